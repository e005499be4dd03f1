"""The machine refuses an unsound table, and steps as the table says."""

from __future__ import annotations

import pytest

from racksalt.model.errors import IllegalEventError, UnsoundMachineError
from racksalt.psm.kernel import Facts, Kind, Machine, State, Transition

GUARDS = {"approved": lambda facts: facts.approved}
FACTS = Facts()


def state(name, kind=Kind.REST, deadline_s=None):
    """Return a state."""
    return State(name, kind, "live", deadline_s, "For tests.")


IDLE, BUSY = state("idle"), state("busy", Kind.BUSY, 60)
TROUBLE = state("trouble", Kind.PROBLEM)
ROWS = (
    Transition("idle", "go", None, "busy", ("act",)),
    Transition("busy", "done", None, "idle"),
    Transition("busy", "deadline_passed", None, "trouble"),
    Transition("trouble", "mend", "approved", "idle"),
)


def machine(states=(IDLE, BUSY, TROUBLE), rows=ROWS, initial=("idle",)):
    """Return a machine of three states, or what a test makes of it."""
    return Machine(states, rows, initial=initial, guards=GUARDS)


def without(event):
    """Return the rows but those for one event."""
    return [row for row in ROWS if row.event != event]


LOST = state("lost")
STUCK = (
    Transition("idle", "fall", None, "pit"),
    Transition("pit", "deadline_passed", None, "dump"),
)
UNSOUND = {
    "declared twice": ({"states": (IDLE, IDLE, BUSY, TROUBLE)}, "state 'idle' is declared twice"),
    "unknown source": (
        {"rows": (*ROWS, Transition("nowhere", "x", None, "idle"))},
        "nowhere --x--> idle: state 'nowhere' is not declared",
    ),
    "unknown target": (
        {"rows": (*ROWS, Transition("idle", "x", None, "nowhere"))},
        "idle --x--> nowhere: state 'nowhere' is not declared",
    ),
    "unknown initial": ({"initial": ("idle", "start")}, "initial state 'start' is not declared"),
    "unknown guard": (
        {"rows": (*ROWS, Transition("idle", "x", "lucky", "busy"))},
        "idle --x: guard 'lucky' is not declared",
    ),
    "row twice": (
        {"rows": (*ROWS, Transition("trouble", "mend", "approved", "busy"))},
        "trouble --mend [approved] is declared twice",
    ),
    "row never tried": (
        {"rows": (*ROWS, Transition("idle", "go", "approved", "idle"))},
        "idle --go [approved] comes after a row without guard",
    ),
    "unreachable": ({"states": (IDLE, BUSY, TROUBLE, LOST)}, "state 'lost' cannot be reached"),
    "no deadline": (
        {"states": (IDLE, state("busy", Kind.BUSY), TROUBLE)},
        "busy state 'busy' has no deadline",
    ),
    "deadline of zero": (
        {"states": (IDLE, state("busy", Kind.BUSY, 0), TROUBLE)},
        "busy state 'busy' has no deadline",
    ),
    "no answer to the deadline": (
        {"rows": without("deadline_passed")},
        "busy state 'busy' has no row for 'deadline_passed'",
    ),
    "no way to problem": (
        {
            "rows": (
                *without("deadline_passed"),
                Transition("busy", "deadline_passed", None, "idle"),
            )
        },
        "busy state 'busy' has no way to a problem state",
    ),
    "no way to rest": (
        {
            "states": (IDLE, state("pit", Kind.BUSY, 1), state("dump", Kind.PROBLEM)),
            "rows": STUCK,
        },
        "busy state 'pit' has no way to rest",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_table_is_refused_with_its_reason(case):
    """Each rule of soundness has a table that breaks it, and a message that names state or row."""
    different, message = UNSOUND[case]
    with pytest.raises(UnsoundMachineError) as caught:
        machine(**different)
    assert message in caught.value.message


def test_all_faults_are_told_at_once():
    """Who mends a table sees every fault of it, not one per try."""
    with pytest.raises(UnsoundMachineError) as caught:
        machine(states=(IDLE, state("busy", Kind.BUSY), TROUBLE, LOST))
    assert caught.value.message.count(";") == 1


def test_a_step_gives_row_and_effects():
    """The row that fits says where to and what to do."""
    row = machine().step("idle", "go", FACTS)
    assert (row.target, row.effects) == ("busy", ("act",))


def test_the_first_row_whose_guard_holds_wins():
    """Rows are tried from top to bottom."""
    rows = (
        *ROWS,
        Transition("idle", "x", "approved", "busy"),
        Transition("idle", "x", None, "idle"),
    )
    assert machine(rows=rows).step("idle", "x", Facts(approved=True)).target == "busy"
    assert machine(rows=rows).step("idle", "x", Facts()).target == "idle"


@pytest.mark.parametrize(
    ("at", "event", "legal"),
    [
        ("idle", "done", ["go"]),
        ("busy", "go", ["deadline_passed", "done"]),
        ("trouble", "mend", ["mend"]),
    ],
)
def test_an_illegal_event_names_state_event_and_what_is_legal(at, event, legal):
    """An event that no row fits changes nothing and says what would be accepted."""
    with pytest.raises(IllegalEventError, match=f"'{at}' does not accept '{event}'") as caught:
        machine().step(at, event, FACTS)
    assert caught.value.detail["legal"] == legal
    assert ", ".join(legal) in caught.value.hint


def test_an_extension_gives_a_new_machine_and_leaves_the_old():
    """States, rows and guards are added; what was there stays as it was."""
    old = machine()
    new = old.extend(
        [state("drained")],
        [Transition("idle", "drain", "ripe", "drained")],
        guards={"ripe": lambda facts: facts.goal == "drained"},
    )
    assert new.step("idle", "drain", Facts(goal="drained")).target == "drained"
    assert (len(old.states), old.legal("idle")) == (3, ["go"])
    assert repr(new) == "<Machine(states=4, transitions=5)>"


def test_an_extension_may_come_first():
    """``before`` lets a module's row win over the one that is there."""
    new = machine().extend(transitions=[Transition("idle", "go", "approved", "idle")], before=True)
    assert new.step("idle", "go", Facts(approved=True)).target == "idle"
    assert new.step("idle", "go", Facts()).target == "busy"


@pytest.mark.parametrize(
    ("states", "rows", "message"),
    [
        ([LOST], [], "cannot be reached"),
        ([], [Transition("idle", "go", "approved", "busy")], "comes after a row without guard"),
        ([IDLE], [], "declared twice"),
    ],
)
def test_an_unsound_extension_is_refused(states, rows, message):
    """The whole is checked again, so a module cannot break the machine."""
    with pytest.raises(UnsoundMachineError, match=message):
        machine().extend(states, rows)
