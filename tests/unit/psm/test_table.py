"""The one table: what each state accepts, and that nobody outside of it is meant."""

from __future__ import annotations

import pytest

from racksalt.conductor.decide import INTERNAL, JOB_EVENTS, LANES, TRIES
from racksalt.conductor.why import REMEDIES, WAITS
from racksalt.psm.kernel import Facts, Kind
from racksalt.psm.table import COMMANDS, GUARDS, MACHINE, STATES

POWER = {"power_on", "power_off", "power_cycle"}
TROUBLE = {"deadline_passed", "power_lost", "effect_failed"}
STAGES = {
    "agent_answered",
    "agent_silent",
    "boot_requested",
    "inventory_reported",
    "key_proven",
    "stage_failed",
    "stage_lost",
    "stage_succeeded",
}
BUSY = [s.name for s in STATES if s.kind is Kind.BUSY]
LEGAL = {
    "declared": {"approve", "boot_requested", "commission", "retire", *POWER},
    "discovering": {"boot_requested", "inventory_reported", *TROUBLE},
    "discovered": {"approve", "boot_requested", "inventory_reported", "retire", *POWER},
    "commissioning": STAGES | TROUBLE,
    "commissioned": {"boot_requested", "commission", "install", "retire", *POWER},
    "installing": {"enrolment_requested", *STAGES, *TROUBLE},
    "enrolling": {"agent_answered", "boot_requested", "key_proven", *TROUBLE},
    "ready": {"boot_requested", "reinstall", "release", "retire", *POWER},
    "booting": {"agent_answered", "boot_requested", "key_proven", *TROUBLE},
    "releasing": STAGES | TROUBLE,
    "retiring": STAGES | TROUBLE,
    "retired": {"boot_requested", "commission", *POWER},
    "problem": {
        "approve",
        "boot_requested",
        "commission",
        "forget",
        "recover",
        "reinstall",
        "release",
        "retire",
        *POWER,
    },
}


def test_every_state_is_looked_at_here():
    """A new state must say in this table what it accepts."""
    assert set(LEGAL) == set(MACHINE.states)


@pytest.mark.parametrize("state", LEGAL)
def test_a_state_accepts_these_events(state):
    """What a state accepts is a promise to operators and nodes."""
    assert set(MACHINE.legal(state)) == LEGAL[state]


@pytest.mark.parametrize("state", BUSY)
def test_no_command_reaches_a_busy_state(state):
    """What is under way is not disturbed by hand: it ends, or parks in problem."""
    assert not set(MACHINE.legal(state)) & set(COMMANDS)


@pytest.mark.parametrize("state", BUSY)
def test_a_node_in_problem_goes_back_where_it_came_from(state):
    """Recovery leads to the state in which the trouble arose, with a new boot."""
    row = MACHINE.step("problem", "recover", Facts(origin=state))
    assert row.target == state
    assert "new_boot" in row.effects


@pytest.mark.parametrize("state", BUSY)
@pytest.mark.parametrize("event", ["deadline_passed", "power_lost"])
def test_a_spent_budget_parks_the_node(state, event):
    """While there are retries the node is booted again; then it waits for a person."""
    assert MACHINE.step(state, event, Facts(has_retries=True)).target == state
    assert MACHINE.step(state, event, Facts(has_retries=False)).target == "problem"


def test_every_command_is_accepted_somewhere():
    """A command that no state accepts would be a lie in the help."""
    events = {row.event for row in MACHINE.transitions}
    assert set(COMMANDS) <= events


def test_every_guard_is_used():
    """A guard that no row has is a leftover."""
    assert {row.guard for row in MACHINE.transitions} - {None} == set(GUARDS)


def test_every_effect_has_somebody_who_does_it():
    """An effect goes to the outbox or is done in the transaction: no typo ends in silence."""
    effects = {effect for row in MACHINE.transitions for effect in row.effects}
    assert effects <= set(LANES) | set(INTERNAL)
    assert set(LANES) | set(INTERNAL) <= effects


def test_every_try_and_job_event_is_in_the_table():
    """The conductor's lists of names follow the table."""
    events = {row.event for row in MACHINE.transitions}
    assert set(TRIES) | set(JOB_EVENTS) <= events


def test_why_has_words_for_everything():
    """Each effect that is waited for and each quiet state has its sentence."""
    assert set(WAITS) == set(LANES)
    assert set(REMEDIES) == {s.name for s in STATES if s.kind is not Kind.BUSY}


def test_a_boot_into_another_system_revokes_the_old_key():
    """Whenever the environment may change, the key of the old system is worth nothing."""
    for row in MACHINE.transitions:
        target = MACHINE.states[row.target]
        if (
            row.source == row.target
            or target.kind is not Kind.BUSY
            or "new_boot" not in row.effects
        ):
            continue
        first_contact = row.source in ("declared", "discovered")
        own_disk = row.target == "booting" or row.source == "problem"
        assert "revoke_key" in row.effects or first_contact or own_disk, row


def test_only_an_approved_node_is_written_to():
    """Who is not approved gets no further than telling what it is."""
    writes = {"commissioning", "installing", "releasing"}
    for row in MACHINE.transitions:
        entering = row.target in writes and row.source != row.target
        if entering and MACHINE.states[row.source].kind is not Kind.BUSY and row.event != "recover":
            assert row.guard == "approved" or "approve" in row.effects, row
