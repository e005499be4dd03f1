"""The command line: parses and prints, decides nothing. ``salt-run racksalt.…`` has the same verbs."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from racksalt import __version__
from racksalt.bootstrap import App, open_app, settings_from
from racksalt.cli_dhcp import dhcp, serve_dhcp
from racksalt.cli_erase import erase_certificate, verify_certificate
from racksalt.cli_hardware import hardware
from racksalt.cli_image import image
from racksalt.cli_output import print_history, print_nodes, print_run, print_why, show
from racksalt.cli_qemu import lab_qemu
from racksalt.cli_switch import switch
from racksalt.model.errors import InvalidInputError, RacksaltError

cli = typer.Typer(
    help="From power-on to running software, on Salt.", no_args_is_help=True, add_completion=False
)
node = typer.Typer(
    help="Nodes: what they are, why, and what to do with them.", no_args_is_help=True
)
token = typer.Typer(help="Tokens of people and programs.", no_args_is_help=True)
site = typer.Typer(help="The site's files.", no_args_is_help=True)
lab = typer.Typer(
    help="Virtual machines with real firmware steps, BMCs and minions.", no_args_is_help=True
)
psm = typer.Typer(help="The provisioning state machine.", no_args_is_help=True)
for name, group in (("node", node), ("token", token), ("site", site), ("lab", lab), ("psm", psm)):
    cli.add_typer(group, name=name)
cli.add_typer(dhcp, name="dhcp")
cli.add_typer(image, name="image")
cli.add_typer(switch, name="switch")
cli.add_typer(hardware, name="hardware")
cli.command("serve-dhcp")(serve_dhcp)
cli.command("erase-certificate")(erase_certificate)
cli.command("verify-certificate")(verify_certificate)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Nodes = Annotated[list[str], typer.Argument(help="Node ids.")]
One = Annotated[str, typer.Argument(help="Node id.")]
Machines = Annotated[int, typer.Option(min=1, help="How many machines.")]
Plan = Annotated[str | None, typer.Option(help="Hash of the plan that was reviewed.")]


def _app(context: typer.Context) -> App:
    app = open_app(settings_from(context.find_root().params.get("settings")))
    context.call_on_close(app.close)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def _main(
    settings: Annotated[
        Path | None, typer.Option(help="Settings file.", envvar="RACKSALT_SETTINGS")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """From power-on to running software, on Salt."""


@node.command("list")
def node_list(
    context: typer.Context, state: str = "", rack: str = "", zone: str = "", as_json: Json = False
) -> None:
    """List nodes, narrowed by state, rack and zone."""
    found = _app(context).operations.list_nodes(state or None, rack or None, zone or None)
    show(found, as_json, print_nodes)


@node.command("show")
def node_show(context: typer.Context, node: One, as_json: Json = False) -> None:
    """Show one node with its hardware, NICs, disks and BMC."""
    show(_app(context).operations.show(node), as_json)


@node.command("why")
def node_why(context: typer.Context, node: One, as_json: Json = False) -> None:
    """Say what a node waits for, since when, and what you can do."""
    show(_app(context).operations.why(node), as_json, print_why)


@node.command("history")
def node_history(
    context: typer.Context,
    node: One,
    limit: int = 50,
    before: int | None = None,
    as_json: Json = False,
) -> None:
    """Show a node's journal, newest first."""
    show(_app(context).operations.history(node, limit, before), as_json, print_history)


def _command(verb: str, meaning: str) -> None:
    def run(
        context: typer.Context,
        nodes: Nodes,
        dry_run: DryRun = False,
        plan: Plan = None,
        as_json: Json = False,
    ) -> None:
        answer = _app(context).operations.run(
            verb, nodes, getpass.getuser(), dry_run=dry_run, plan=plan
        )
        show(answer, as_json, print_run)
        if answer["refused"]:
            raise typer.Exit(1)

    node.command(verb.replace("_", "-"), help=meaning)(run)


for _verb, _meaning in (
    ("approve", "Let discovered hardware in."),
    ("commission", "Inventory, set up and test nodes."),
    ("install", "Install commissioned nodes."),
    ("reinstall", "Wipe ready nodes and install them again."),
    ("release", "Erase ready nodes for another use."),
    ("retire", "Erase nodes and take them out of service."),
    ("forget", "Take dead hardware in `problem` out of service, without erasing it."),
    ("recover", "Send nodes in `problem` on where they were."),
    ("power_on", "Switch nodes on."),
    ("power_off", "Switch nodes off."),
    ("power_cycle", "Switch nodes off and on."),
):
    _command(_verb, _meaning)


@token.command("create")
def token_create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[list[str], typer.Option(help="What it may do; may be given several times.")],
    days: float = 30,
    as_json: Json = False,
) -> None:
    """Create a token; its secret is printed now and never again."""
    answer = _app(context).operations.token_create(name, scope, days * 86400, getpass.getuser())
    show(answer, as_json)


@token.command("list")
def token_list(context: typer.Context, as_json: Json = False) -> None:
    """List tokens without their secrets."""
    show(_app(context).operations.token_list(), as_json)


@token.command("revoke")
def token_revoke(context: typer.Context, token: str, as_json: Json = False) -> None:
    """Make a token worthless, within 3 seconds for requests and 8 for subscriptions."""
    show(_app(context).operations.token_revoke(token), as_json)


@site.command("check")
def site_check(
    folder: Annotated[Path, typer.Argument(help="The site's folder.")], as_json: Json = False
) -> None:
    """Check a site's files, syntax and sense, and list everything that is wrong."""
    from racksalt.adapters.site_files import check
    from racksalt.site.tell import problem_lines

    problems = [problem.as_dict() for problem in check(folder)]
    show(problems, as_json, _lines(problem_lines))
    if any(problem.get("severity") == "error" for problem in problems):
        raise typer.Exit(1)


@site.command("declare")
def site_declare(context: typer.Context, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Take the site's declarations into the store; name the networks that no file declares any more."""
    from racksalt.conductor.networks import undeclared

    operations = _app(context).operations
    show(operations.declare(test=dry_run), as_json)
    for name in undeclared(operations.store, operations.site.declarations):
        typer.echo(
            f"network {name} is served, but no file declares it: if no Salt state does either, forget it with "
            f"`racksalt site forget-network {name}`",
            err=True,
        )


@site.command("forget-network")
def site_forget_network(
    context: typer.Context,
    network: Annotated[str, typer.Argument(help="A network that no file declares.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Forget a network that was taken out of the files, unless nodes have addresses in it."""
    from racksalt.conductor.networks import forget

    show(forget(_app(context).operations, network, test=dry_run), as_json)


@cli.command()
def explain(context: typer.Context, node: One, key: str, as_json: Json = False) -> None:
    """Say which layer set a configuration value, and which layers it hides."""
    from racksalt.site.tell import explanation_lines

    show(_app(context).operations.explain(node, key), as_json, _lines(explanation_lines))


@cli.command()
def impact(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="A layer's file, such as pillar/rack/r1.sls.")],
    against: Annotated[Path | None, typer.Option(help="A file with its new content.")] = None,
    as_json: Json = False,
) -> None:
    """List the nodes that a layer's file touches, or would touch with new content."""
    from racksalt.adapters.site_files import read_values
    from racksalt.site.tell import impact_lines

    new = read_values(against) if against else None
    show(_app(context).operations.impact(file, new), as_json, _lines(impact_lines))


def _lines(told: Callable[[Any], list[str]]) -> Callable[[Any], None]:
    def printed(answer: Any) -> None:
        for line in told(answer):
            typer.echo(line)

    return printed


@psm.command("diagram")
def psm_diagram(context: typer.Context, node: str = "") -> None:
    """Print the state diagram (Mermaid), with a node's place in it if one is named."""
    from racksalt.psm.render import mermaid
    from racksalt.psm.table import MACHINE

    typer.echo(mermaid(MACHINE, _app(context).store.node(node).state if node else None))


@cli.command()
def serve(
    context: typer.Context,
    conductor: Annotated[
        bool, typer.Option(help="Also carry out effects, without a Salt master.")
    ] = False,
) -> None:
    """Serve the boot API and the GraphQL API."""
    from racksalt.serve import serve as run

    run(settings_from(context.find_root().params.get("settings")), conductor=conductor)


@cli.command()
def watch(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(help="Stop after; 0: never.")] = 0,
) -> None:
    """Show all nodes and their states, live."""
    from racksalt.watch import watch as run

    run(_app(context), seconds)


@cli.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check the installation and say what to mend."""
    from racksalt.doctor import examine

    found = [
        finding._asdict()
        for finding in examine(settings_from(context.find_root().params.get("settings")))
    ]
    show(found, as_json)
    if not all(finding["ok"] for finding in found):
        raise typer.Exit(1)


@cli.command()
def demo(
    exit_when_done: Annotated[
        bool, typer.Option("--exit", help="End by itself; 0 only if all went well.")
    ] = False,
    nodes: Machines = 8,
) -> None:
    """Bring a virtual rack from power-on to ready, with a real Salt master and real minions."""
    from racksalt.lab.demo import run

    raise typer.Exit(run(nodes, exit_when_done))


@lab.command("fleet")
def lab_fleet(
    nodes: Machines = 1000,
    bmc: Annotated[str, typer.Option(help="simulated, ipmi or redfish.")] = "simulated",
    as_json: Json = False,
) -> None:
    """Bring a fleet of light machines to ready and print what it cost."""
    from racksalt.lab.fleet import run

    raise typer.Exit(run(nodes, bmc=bmc, as_json=as_json))


@lab.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab_run(context: typer.Context) -> None:
    """Run the virtual machines of a site (see --help of `python -m racksalt.lab`)."""
    from racksalt.lab.host import main as run

    raise typer.Exit(run(context.args))


lab.command("qemu")(lab_qemu)


def main() -> None:
    """Run the command line; an error that a person can mend is told in one line, exit status 1."""
    try:
        cli()
    except InvalidInputError as error:
        _fail(error, {"problems": error.detail.get("problems", ())})
    except RacksaltError as error:
        _fail(error, {})
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        told = f"{where}{error.strerror or error}"
        _fail(RacksaltError(told, "mend it, or name another place, and try again"), {})


def _fail(error: RacksaltError, more: dict[str, Any]) -> None:
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)
    for problem in more.get("problems", ()):
        typer.echo(f"  {json.dumps(problem)}", err=True)
    sys.exit(1)
