"""``racksalt hardware``: inventory, burn-in compared, firmware and BIOS settings by the BMC, factory passwords."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from racksalt.bootstrap import open_app, settings_from
from racksalt.cli_output import a_table, clean, print_table, show
from racksalt.conductor.hardware import HardwareOperations, problems

hardware = typer.Typer(
    help="Hardware: inventory, burn-in, firmware, BIOS settings, factory passwords.",
    no_args_is_help=True,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
One = Annotated[str, typer.Argument(help="Node id.")]
Some = Annotated[list[str] | None, typer.Argument(help="Node ids; all by default.")]
Plan = Annotated[str | None, typer.Option(help="Hash of the plan that was reviewed.")]


def _hardware(context: typer.Context) -> HardwareOperations:
    app = open_app(settings_from(context.find_root().params.get("settings")))
    context.call_on_close(app.close)
    return HardwareOperations(app.operations)


@hardware.command("inventory")
def hardware_inventory(context: typer.Context, node: One, as_json: Json = False) -> None:
    """Show all that is known of a node's hardware, and where its switch port says that it stands."""
    show(_hardware(context).inventory(node), as_json)


@hardware.command("burn-in")
def hardware_burn_in(
    context: typer.Context,
    nodes: Some = None,
    worse: Annotated[bool, typer.Option("--worse", help="Only what failed or stands out.")] = False,
    as_json: Json = False,
) -> None:
    """List burn-in figures beside those of the same parts of other nodes; exit status 1 if any is bad."""
    found = _hardware(context).burn_in(nodes or (), worse=worse)
    show(found, as_json, _print_burn_in)
    if any(row["stands_out"] or not row["ok"] for row in found):
        raise typer.Exit(1)


@hardware.command("firmware")
def hardware_firmware(context: typer.Context, node: One, as_json: Json = False) -> None:
    """Compare a node's firmware with the site's baseline; exit status 1 if any is old."""
    found = _hardware(context).firmware(node)
    show(found, as_json)
    if any(row["verdict"] in ("old", "unknown") for row in found):
        raise typer.Exit(1)


@hardware.command("update-firmware")
def hardware_update(
    context: typer.Context,
    node: One,
    plan: Plan = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Hand the next firmware image of the plan to the node's BMC."""
    hands = _hardware(context)
    show(hands.update_firmware(node, getpass.getuser(), plan=plan, dry_run=dry_run), as_json)


@hardware.command("task")
def hardware_task(
    context: typer.Context,
    node: One,
    task: Annotated[str, typer.Argument(help="The task that update-firmware told.")],
    as_json: Json = False,
) -> None:
    """Say how far a firmware update is; exit status 1 if it failed."""
    found = _hardware(context).firmware_task(node, task)
    show(found, as_json)
    if found["state"] == "failed":
        raise typer.Exit(1)


@hardware.command("bios")
def hardware_bios(context: typer.Context, node: One, as_json: Json = False) -> None:
    """Compare a node's BIOS settings with those that the site wants; exit status 1 if any differs."""
    found = _hardware(context).bios(node)
    show(found, as_json)
    if found["differ"]:
        raise typer.Exit(1)


@hardware.command("set-bios")
def hardware_set_bios(
    context: typer.Context, node: One, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Let the wanted BIOS settings take force at the node's next start; restarts nothing."""
    show(_hardware(context).set_bios(node, getpass.getuser(), dry_run=dry_run), as_json)


@hardware.command("security")
def hardware_security(context: typer.Context, nodes: Some = None, as_json: Json = False) -> None:
    """Try well-known factory passwords on BMCs, once each; exit status 1 unless all are known to be safe."""
    found = _hardware(context).security(nodes or (), getpass.getuser())
    show(found, as_json)
    if problems(found):
        raise typer.Exit(1)


def _print_burn_in(rows: list[dict[str, Any]]) -> None:
    names = ("node", "part", "measure", "value", "median", "off", "peers", "model", "")
    table = a_table(names, [row["node"] for row in rows])
    for row in rows:
        off = "" if row["deviation"] is None else f"{row['deviation']:+.0%}"
        said = "FAILED" if not row["ok"] else "stands out" if row["stands_out"] else ""
        texts = [
            row["node"],
            row["part"],
            row["measure"] or "",
            _figure(row["value"]),
            _figure(row["median"]),
        ]
        texts += [off, str(row["peers"]), row["model"] or "", f"{said} {row['message']}".strip()]
        table.add_row(*(clean(text).replace("[", "\\[") for text in texts))
    print_table(table)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
