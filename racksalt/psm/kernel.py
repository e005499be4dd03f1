"""The machine that runs the table: pure, no clock, no I/O; it refuses an unsound table at construction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from racksalt.model.errors import IllegalEventError, UnsoundMachineError
from racksalt.model.node import BootEnvironment


class Kind(str, Enum):
    """What a state asks of racksalt: nothing (rest), progress before a deadline (busy), a person (problem)."""

    REST = "rest"
    BUSY = "busy"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class State:
    """Where a node is. ``deadline_s`` bounds one wait in a busy state; ``retries`` is the budget of such waits.

    ``boots`` is what PXE gives to a node in this state; ``sequence`` names the stages that a busy state runs.
    """

    name: str
    kind: Kind
    boots: BootEnvironment
    deadline_s: int | None
    meaning: str
    sequence: str | None = None
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: in ``source``, on ``event``, if ``guard`` holds (None: always), go to ``target`` and do ``effects``."""

    source: str
    event: str
    guard: str | None
    target: str
    effects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What guards may look at; worked out by the conductor from the node's own rows before each step."""

    approved: bool = False
    vouched: bool = False
    goal: str = "ready"
    origin: str | None = None
    has_retries: bool = False
    job_running: bool = False
    boot_spent: bool = False
    boot_fresh: bool = False
    enrolled: bool = False
    next_stage: str | None = None
    next_stage_here: bool = False
    stage_gone: bool = False
    install_starts_here: bool = False
    identity_conflicts: bool = False


Guard = Callable[[Facts], bool]


class Machine:
    """States and transitions that were found to be sound. Immutable; ``extend`` gives a new one."""

    def __init__(
        self,
        states: Iterable[State],
        transitions: Iterable[Transition],
        *,
        initial: tuple[str, ...],
        guards: Mapping[str, Guard],
    ) -> None:
        self.states: dict[str, State] = {}
        for state in states:
            if state.name in self.states:
                raise UnsoundMachineError(f"state {state.name!r} is declared twice", "rename one")
            self.states[state.name] = state
        self.transitions = tuple(transitions)
        self.initial = initial
        self.guards = dict(guards)
        self._rows: dict[tuple[str, str], list[Transition]] = {}
        for row in self.transitions:
            self._rows.setdefault((row.source, row.event), []).append(row)
        problems = [*_row_problems(self), *_state_problems(self)]
        if problems:
            raise UnsoundMachineError("; ".join(problems), "nothing was changed; mend these rows")

    def step(self, state: str, event: str, facts: Facts) -> Transition:
        """Return the first row for ``event`` in ``state`` whose guard holds.

        Raises:
            IllegalEventError: no row fits; names state, event and what would be legal; nothing changes.
        """
        for row in self._rows.get((state, event), ()):
            if row.guard is None or self.guards[row.guard](facts):
                return row
        legal = self.legal(state)
        raise IllegalEventError(
            f"{state!r} does not accept {event!r}",
            f"it accepts {', '.join(legal) or 'nothing'}",
            legal=legal,
        )

    def legal(self, state: str) -> list[str]:
        """Return the events that ``state`` accepts, sorted."""
        return sorted({row.event for row in self.transitions if row.source == state})

    def extend(
        self,
        states: Iterable[State] = (),
        transitions: Iterable[Transition] = (),
        *,
        before: bool = False,
        guards: Mapping[str, Guard] | None = None,
    ) -> Machine:
        """Return a new machine with more rows, checked as a whole; ``before`` puts them ahead of the present rows."""
        added = tuple(transitions)
        rows = (*added, *self.transitions) if before else (*self.transitions, *added)
        return Machine(
            (*self.states.values(), *states),
            rows,
            initial=self.initial,
            guards={**self.guards, **(guards or {})},
        )

    def __repr__(self) -> str:
        return f"<Machine(states={len(self.states)}, transitions={len(self.transitions)})>"


def _row_problems(machine: Machine) -> list[str]:
    problems = []
    seen: dict[tuple[str, str], set[str | None]] = {}
    for row in machine.transitions:
        problems += [
            f"{row.source} --{row.event}--> {row.target}: state {name!r} is not declared"
            for name in (row.source, row.target)
            if name not in machine.states
        ]
        if row.guard is not None and row.guard not in machine.guards:
            problems.append(f"{row.source} --{row.event}: guard {row.guard!r} is not declared")
        guards = seen.setdefault((row.source, row.event), set())
        if row.guard in guards:
            problems.append(f"{row.source} --{row.event} [{row.guard}] is declared twice")
        elif None in guards:
            problems.append(
                f"{row.source} --{row.event} [{row.guard}] comes after a row without guard"
            )
        guards.add(row.guard)
    return problems


def _state_problems(machine: Machine) -> list[str]:
    problems = [
        f"initial state {name!r} is not declared"
        for name in machine.initial
        if name not in machine.states
    ]
    edges: dict[str, set[str]] = {}
    for row in machine.transitions:
        edges.setdefault(row.source, set()).add(row.target)
    reached = _closure(machine.initial, edges)
    quiet = {name for name, state in machine.states.items() if state.kind is not Kind.BUSY}
    troubled = {name for name, state in machine.states.items() if state.kind is Kind.PROBLEM}
    for name, state in machine.states.items():
        if name not in reached:
            problems.append(f"state {name!r} cannot be reached")
        if state.kind is not Kind.BUSY:
            continue
        if not state.deadline_s:
            problems.append(f"busy state {name!r} has no deadline")
        if not any(
            row.source == name and row.event == "deadline_passed" for row in machine.transitions
        ):
            problems.append(f"busy state {name!r} has no row for 'deadline_passed'")
        if not edges.get(name, set()) & troubled:
            problems.append(f"busy state {name!r} has no way to a problem state")
        if not (_closure((name,), edges) - {name}) & (quiet - troubled):
            problems.append(f"busy state {name!r} has no way to rest")
    return problems


def _closure(start: Iterable[str], edges: Mapping[str, set[str]]) -> set[str]:
    reached, todo = set(start), list(start)
    while todo:
        for target in edges.get(todo.pop(), ()):
            if target not in reached:
                reached.add(target)
                todo.append(target)
    return reached
