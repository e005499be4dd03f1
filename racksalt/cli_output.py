"""How the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

INDENT: Final = " " * 18
NARROWEST: Final = 60
FIRST_SHARE: Final = 0.25
"""How much of the terminal's width a table's first column may have for itself."""
PIPE_WIDTH: Final = 10_000
"""Wide enough for every row that a program reads."""
STYLES = {"ready": "green", "problem": "bold red"}


def show(answer: Any, as_json: bool, printed: Callable[[Any], None] | None = None) -> None:
    """Print an answer as JSON, by its own printer, or as a plain table."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2, sort_keys=True, default=str))
    elif printed is not None:
        printed(answer)
    elif isinstance(answer, list):
        _rows(answer)
    else:
        _fields(answer)


def clean(text: str) -> str:
    """Return a text without what could move a terminal's cursor: much of it comes from the nodes themselves."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "" if value is None else escape(clean(text))


def a_table(names: Sequence[str], first: Sequence[str] = ()) -> Table:
    """Return an empty table that cuts nothing off: what is too long for its column goes on in the next line.

    ``first`` are the texts of the first column, which names what the rows are about: where they are short, they stay
    in one piece, so that they can be copied.
    """
    columns = [Column(name, overflow="fold") for name in names]
    widest = max(map(len, first), default=0)
    columns[0].no_wrap = widest <= shutil.get_terminal_size().columns * FIRST_SHARE
    return Table(*columns)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; for a program, each row is one line, however long."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    console.print(table)


def ago(at: float | None) -> str:
    """Return how long ago an instant was, such as ``12 s`` or ``3.5 h``."""
    if at is None:
        return ""
    passed = max(0.0, time.time() - at)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= size * 2:
            return f"{passed / size:.1f} {unit}"
    return f"{passed:.0f} s"


def node_table(nodes: Sequence[dict[str, Any]]) -> Table:
    """Return the table of nodes that `node list` and `watch` show."""
    names = ("node", "zone", "rack", "state", "stage", "since", "power", "reason")
    table = a_table(names, [n["id"] for n in nodes])
    for n in nodes:
        state = f"[{STYLES.get(n['state'], 'yellow')}]{n['state']}[/]"
        table.add_row(
            n["id"],
            n["zone"],
            n["rack"],
            state,
            n["stage"],
            ago(n["state_since"]),
            n["power"],
            _cell(n["reason"]),
        )
    return table


def print_nodes(nodes: Sequence[dict[str, Any]]) -> None:
    """Print nodes as a table."""
    print_table(node_table(nodes))


def print_why(answer: dict[str, Any]) -> None:
    """Print why a node is where it is."""
    _fields(
        {
            k: v
            for k, v in answer.items()
            if k not in ("pending", "legal") and v not in (None, [], "")
        }
    )
    typer.echo(f"accepts: {', '.join(answer['legal'])}")


def print_history(entries: Sequence[dict[str, Any]]) -> None:
    """Print journal entries, newest first: a line for what happened, and below it what was said of it."""
    for e in entries:
        moved = e["from_state"] != e["to_state"]
        where = f"{e['from_state']} -> {e['to_state']}" if moved else e["to_state"]
        stage = f" [{e['stage']}]" if e["stage"] else ""
        kind = "" if e["kind"] == "transition" else f" ({e['kind']})"
        head = f"{e['seq']:>6}  {ago(e['at']):>8}  {e['event']}{kind}  {where}{stage}  by {e['actor'] or e['source']}"
        typer.echo(clean(head))
        if e["message"]:
            typer.echo(_indented(clean(e["message"])))


def _indented(text: str) -> str:
    """Return a text below its line: wrapped for a terminal, in one piece for a program that looks for words."""
    if not sys.stdout.isatty():
        return f"{INDENT}{text}"
    width = max(shutil.get_terminal_size().columns, NARROWEST)
    return textwrap.fill(text, width, initial_indent=INDENT, subsequent_indent=INDENT)


def print_run(answer: dict[str, Any]) -> None:
    """Print what became of a command: the plan, who accepted, who refused and why."""
    for plan in answer["plan"]["nodes"]:
        typer.echo(f"{plan['node']}: {plan['reboots']} reboots, ends in {plan['ends_in']}")
        for disk in plan["disks_wiped"]:
            typer.echo(f"  wipes {clean(disk)}")
        for step in plan["transitions"]:
            stage = f" [{step['stage']}]" if step["stage"] else ""
            typer.echo(f"  {step['from']} --{step['event']}--> {step['to']}{stage}")
    for one in answer["accepted"]:
        typer.echo(f"{one['node']}: {one['from']} -> {one['to']} (journal {one['seq']})")
    for one in answer["refused"]:
        why = clean(f"{one['message']} ({one['hint']})")
        typer.echo(f"{one['node']}: refused: {why}", err=True)
    typer.echo(f"plan {answer['plan']['hash']}{' (nothing was done)' if answer['dry_run'] else ''}")


def _rows(answer: Sequence[dict[str, Any]]) -> None:
    if not answer:
        return
    names = list(answer[0])
    rows = [[_cell(_readable(name, row.get(name))) for name in names] for row in answer]
    table = a_table(names, [row[0] for row in rows])
    for row in rows:
        table.add_row(*row)
    print_table(table)


def _readable(name: str, value: object) -> object:
    """Return an instant as a date, anything else as it is."""
    if name.endswith("_at") and isinstance(value, float):
        return time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(value))
    return value


def _fields(answer: dict[str, Any]) -> None:
    for name, value in answer.items():
        text = json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)
        typer.echo(f"{name:>16}  {clean(text)}")
