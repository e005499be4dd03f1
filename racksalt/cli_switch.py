"""``racksalt switch``: what switches should be, what they are, and the way there."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from racksalt.bootstrap import open_app, settings_from
from racksalt.cli_output import ago, clean, print_history, show
from racksalt.conductor.switching import SwitchOperations
from racksalt.network.switch_text import ranges

switch = typer.Typer(help="Switches: plan, apply, drift, roll back.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
Name = Annotated[str, typer.Argument(help="A switch that the site declares.")]
Plan = Annotated[str | None, typer.Option(help="Hash of the plan that was reviewed.")]


def _switches(context: typer.Context) -> SwitchOperations:
    app = open_app(settings_from(context.find_root().params.get("settings")))
    context.call_on_close(app.close)
    return app.switches


@switch.command("list")
def switch_list(context: typer.Context, as_json: Json = False) -> None:
    """List the declared switches and what was last done to each; asks none of them."""
    show(_switches(context).listed(), as_json, _print_switches)


@switch.command("show")
def switch_show(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show a switch as it is: all ports, whoever declared them."""
    show(_switches(context).show(name), as_json, _print_observed)


@switch.command("plan")
def switch_plan(
    context: typer.Context,
    name: Name,
    clear: Annotated[
        bool, typer.Option("--clear", help="Plan a switch as it comes out of its box.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which steps lead from what the switch is to what is declared, and why; changes nothing."""
    show(_switches(context).plan(name, clear=clear), as_json, _print_plan)


@switch.command("apply")
def switch_apply(
    context: typer.Context,
    name: Name,
    plan: Plan = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make a switch what is declared. A step that fails takes the others back."""
    found = _switches(context).apply(name, getpass.getuser(), plan=plan, dry_run=dry_run)
    show(found, as_json, _print_plan)


@switch.command("clear")
def switch_clear(
    context: typer.Context,
    name: Name,
    plan: Plan = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take all VLANs and settings off all ports, but for what the switch is reached by."""
    answer = _switches(context).apply(
        name, getpass.getuser(), plan=plan, clear=True, dry_run=dry_run
    )
    show(answer, as_json, _print_plan)


@switch.command("rollback")
def switch_rollback(
    context: typer.Context,
    name: Name,
    plan: Plan = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take back the last change, also one that broke off in the middle."""
    answer = _switches(context).rollback(name, getpass.getuser(), plan=plan, dry_run=dry_run)
    show(answer, as_json, _print_plan)


@switch.command("drift")
def switch_drift(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Say how the switch differs from what is declared; exit status 1 if it does."""
    found = _switches(context).drift(name)
    show(found, as_json, _print_drift)
    if found["differences"] or found["misplugged"]:
        raise typer.Exit(1)


@switch.command("history")
def switch_history(
    context: typer.Context, name: Name, limit: int = 50, as_json: Json = False
) -> None:
    """Show what was done to a switch, newest first."""
    show(_switches(context).history(name, limit), as_json, print_history)


def _print_switches(answer: list[dict[str, Any]]) -> None:
    for it in answer:
        words = [it["rack"], it["driver"], it["address"] or "", f"{it['ports']} ports"]
        if it["last_change"]:
            when = f"{ago(it['last_change_at'])} ago by {it['last_change_by']}"
            words.append(f"{it['last_change']} {when}")
        typer.echo(clean(f"{it['name']}  {', '.join(filter(None, words))}"))


def _value(value: Any) -> str:
    """Return a setting's value in few words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, dict):
        return clean(str(value)) or "none"
    parts = [f"untagged {value['untagged']}"] if value["untagged"] is not None else []
    parts += [f"tagged {ranges(value['tagged'])}"] if value["tagged"] else []
    parts += [f"stray {', '.join(value['stray'])}"] if value.get("stray") else []
    return ", ".join(parts) or "none"


def _print_plan(answer: dict[str, Any]) -> None:
    for step in answer["steps"]:
        change = f"{_value(step['before'])} -> {_value(step['after'])}"
        name = clean(step["port"]) or "(switch)"
        typer.echo(f"{name}  {step['kind']}: {change}  ({clean(step['why'])})")
    for note in answer["notes"]:
        typer.echo(f"note: {clean(note)}", err=True)
    if not answer["steps"]:
        typer.echo(f"{answer['switch']} is as it should be")
    done = "done" if answer.get("applied") else "nothing was done"
    typer.echo(f"plan {answer['hash']} ({done})")


def _print_drift(answer: dict[str, Any]) -> None:
    for it in answer["differences"]:
        name = clean(it["port"]) or "(switch)"
        declared, now = _value(it["declared"]), _value(it["is"])
        typer.echo(f"{name}  {it['setting']}: declared {declared}, is {now}  ({clean(it['why'])})")
    for note in answer["notes"]:
        typer.echo(f"note: {clean(note)}", err=True)
    for it in answer["misplugged"]:
        typer.echo(clean(f"{it['port']}  sees {it['sees']}, where {it['declared']} should be"))
    if not answer["differences"] and not answer["misplugged"]:
        typer.echo(f"{answer['switch']} is as it is declared")


def _print_observed(answer: dict[str, Any]) -> None:
    typer.echo(f"{answer['switch']}: VLANs are {answer['bridge']}")
    for name, port in answer["ports"].items():
        words = [_value(port)] if port["member"] else ["no port of the bridge"]
        words += ["edge"] if port["edge"] else []
        words += [f"LLDP-MED {port['med']}"] if port["med"] else []
        words += [f'"{port["description"]}"'] if port["description"] else []
        seen = answer["neighbours"].get(name)
        words += [f"sees {seen}"] if seen else []
        typer.echo(clean(f"{name}  {', '.join(words)}"))
