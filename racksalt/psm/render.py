"""Draws the machine: Mermaid for README and docs, Markdown tables for the reference. From the table, nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from racksalt.psm.kernel import Kind, Machine
from racksalt.psm.sequences import Sequences

QUIET = ("deadline_passed", "power_lost", "effect_failed")
"""Events that every busy state answers alike; the diagram draws them as one arrow to ``problem``."""
MOST_LABELS = 4


def mermaid(machine: Machine, here: str | None = None) -> str:
    """Return the state diagram; rows that stay in their state are left out, ``here`` marks where a node is."""
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {name}" for name in machine.initial]
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in machine.transitions:
        if row.source != row.target and row.event not in QUIET:
            events = arrows.setdefault((row.source, row.target), [])
            if row.event not in events:
                events.append(row.event)
    for (source, target), events in sorted(arrows.items()):
        more = f", +{len(events) - MOST_LABELS}" if len(events) > MOST_LABELS else ""
        lines.append(f"    {source} --> {target}: {', '.join(events[:MOST_LABELS])}{more}")
    lines += [
        f"    {name} --> problem: budget spent"
        for name, state in machine.states.items()
        if state.kind is Kind.BUSY and (name, "problem") not in arrows
    ]
    for kind in (Kind.BUSY, Kind.PROBLEM):
        names = ",".join(name for name, state in machine.states.items() if state.kind is kind)
        lines.append(f"    class {names} {kind.value}")
    lines += [
        "    classDef busy fill:#fff3cd,stroke:#b58900",
        "    classDef problem fill:#f8d7da,stroke:#a02020",
    ]
    if here is not None:
        lines += [f"    class {here} here", "    classDef here stroke-width:4px"]
    return "\n".join(lines)


def tables_markdown(machine: Machine, sequences: Sequences) -> str:
    """Return states, transitions, stages and sequences as Markdown tables."""
    parts = [_states(machine), _transitions(machine), _stages(sequences), _sequences(sequences)]
    return "\n\n".join(parts)


def _states(machine: Machine) -> str:
    rows = [
        (
            f"`{s.name}`",
            s.kind.value,
            f"`{s.boots}`",
            _text(s.deadline_s),
            _text(s.sequence),
            s.meaning,
        )
        for s in machine.states.values()
    ]
    return _table("States", ("State", "Kind", "Boots", "Deadline (s)", "Sequence", "Meaning"), rows)


def _transitions(machine: Machine) -> str:
    rows = [
        (
            f"`{t.source}`",
            f"`{t.event}`",
            _code(t.guard),
            f"`{t.target}`",
            ", ".join(f"`{e}`" for e in t.effects),
        )
        for t in machine.transitions
    ]
    return _table("Transitions", ("In", "On", "If", "Go to", "Do"), rows)


def _stages(sequences: Sequences) -> str:
    rows = [
        (
            f"`{s.name}`",
            f"`{s.environment}`",
            f"`{s.sls}`",
            str(s.deadline_s),
            str(s.retries),
            "yes" if s.destructive else "",
            s.meaning,
        )
        for s in sequences.stages.values()
    ]
    head = ("Stage", "Environment", "SLS", "Deadline (s)", "Retries", "Writes to disks", "Meaning")
    return _table("Stages", head, rows)


def _sequences(sequences: Sequences) -> str:
    rows = [
        (f"`{name}`", " → ".join(f"`{m}`" for m in members))
        for name, members in sequences.sequences.items()
    ]
    return _table("Sequences", ("Sequence", "Stages"), rows)


def _table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _code(value: str | None) -> str:
    return "" if value is None else f"`{value}`"
