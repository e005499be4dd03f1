"""``why``: nothing is stuck in silence."""

from __future__ import annotations

import pytest

from racksalt.conductor.why import WAITS, why
from racksalt.model.event import Entry
from racksalt.psm.kernel import Kind
from racksalt.psm.table import MACHINE, STATES
from tests.support.builders import NOW, a_node


def pending(name, error=None):
    """Return what is still to be done."""
    return {"name": name, "attempts": 1, "created_at": NOW, "not_before": 0.0, "error": error}


def entry(kind="transition", message="", **fields):
    """Return a journal entry."""
    given = {"event": "x", "from_state": "a", "to_state": "b", "stage": None, "source": "boot"}
    given |= fields
    return Entry(
        seq=7, at=NOW, node="n1", kind=kind, event_id="e", actor="", message=message, **given
    )


@pytest.mark.parametrize("state", STATES, ids=lambda s: s.name)
def test_every_state_has_an_answer(state):
    """What it waits for, since when, and what a person can do: never empty."""
    node = a_node(state=state.name, boot_environment=state.boots)
    told = why(node, MACHINE, [], [])
    assert told["state"] == state.name
    assert told["waits_for"]
    assert told["what_to_do"]
    assert told["meaning"] == state.meaning
    assert told["since"] == NOW - 60
    assert set(told["legal"]) == set(MACHINE.legal(state.name))
    assert (told["waits_for"] == "nothing") is (
        state.kind is Kind.REST and state.name != "discovered"
    )


@pytest.mark.parametrize("effect", WAITS)
def test_what_is_still_to_be_done_is_what_it_waits_for(effect):
    """The oldest pending effect is named in words."""
    node = a_node(state="commissioning", boot_environment="live", job="j")
    told = why(node, MACHINE, [pending(effect), pending("run_stage")], [])
    assert told["waits_for"] == WAITS[effect]


def test_a_running_stage_is_named_with_its_job():
    """An operator can look the job up."""
    node = a_node(state="commissioning", stage="raid", job="20260101")
    told = why(node, MACHINE, [], [])
    assert told["waits_for"] == "stage 'raid' to end (job 20260101)"


def test_a_dead_bmc_is_said_to_be_the_trouble():
    """The error of the last try is there, and the remedy points to the BMC."""
    node = a_node(state="installing", boot_environment="installer")
    told = why(node, MACHINE, [pending("power_cycle", "no answer from the BMC")], [])
    assert told["last_error"] == "no answer from the BMC"
    assert "Look at its BMC" in told["what_to_do"]


def test_a_problem_has_its_reason_and_where_it_arose():
    """Parked, with the cause and the way on."""
    node = a_node(
        state="problem", origin="installing", reason="stage image: no space", stage="image"
    )
    told = why(node, MACHINE, [], [entry(message="stage image: no space")])
    assert (told["reason"], told["origin"], told["stage"]) == (
        "stage image: no space",
        "installing",
        "image",
    )
    assert "recover" in told["what_to_do"]
    assert told["last_entry"] == {"seq": 7, "event": "x", "message": "stage image: no space"}


def test_refusals_are_shown():
    """Who wonders why a key is not accepted reads it here, the newest five."""
    recent = [entry("refused", f"no {n}") for n in range(7)] + [entry()]
    assert why(a_node(), MACHINE, [], recent)["refused"] == [f"no {n}" for n in range(5)]


@pytest.mark.parametrize(
    ("fields", "by_hand"),
    [
        ({"boot": 3}, True),
        ({"boot": 3, "last_seen_at": NOW - 60}, True),
        ({"boot": 4}, False),
        ({"boot": 3, "last_seen_at": NOW + 60}, False),
        ({"boot": 3, "job": "j1", "stage": "raid"}, False),
        ({"boot": 3, "state": "commissioned"}, False),
    ],
)
def test_a_node_without_a_bmc_waits_for_a_person_to_switch_it(fields, by_hand):
    """Until it is heard from; an earlier boot's note says nothing."""
    node = a_node(**{"state": "installing", "boot_environment": "installer", **fields})
    note = entry("noted", "the node has no BMC", event="effect_failed", detail={"boot": 3})
    told = why(node, MACHINE, [], [entry(), note])
    assert ("by hand" in told["waits_for"]) is by_hand
    assert ("by hand" in told["what_to_do"]) is by_hand


def test_why_says_where_recovery_begins():
    """Not where it was: a stage relies on those before it, and the boot is a new one."""
    assert "first stage" in why(a_node(state="problem"), MACHINE, [], [])["what_to_do"]
