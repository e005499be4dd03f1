"""A flood of refused keys leaves a few entries in the journal, and no node's silences another's."""

from __future__ import annotations

import pytest

from racksalt.conductor.refusals import (
    AGAIN_S,
    FORGET_S,
    MOST_OF_NODE,
    MOST_OF_STRANGERS,
    WINDOW_S,
    Refusals,
)
from racksalt.model.event import Event
from tests.support.builders import NOW
from tests.support.fakes import FakeClock


@pytest.fixture
def refusals():
    """The limit, over a clock of the test's; names that begin with n are nodes."""
    return Refusals(FakeClock(), lambda names: {name for name in names if name.startswith("n")})


def refused(number, node="n1"):
    """Return the refusal of one key."""
    data = {"refused": f"minion key {number} not accepted"}
    return Event(
        id=f"k:{node}:{number}", node=node, name="key_refused", at=NOW, source="keys", data=data
    )


def test_of_a_nodes_refusals_few_a_minute_are_told_and_that_there_were_more(refusals):
    """Ten entries and one more for a thousand keys; the next minute begins anew."""
    told = refusals.few([refused(n) for n in range(500)])
    told += refusals.few([refused(n) for n in range(500, 1000)])
    assert len(told) == MOST_OF_NODE + 1
    assert f"{MOST_OF_NODE} of them" in told[-1].data["refused"]
    refusals._clock.pass_(WINDOW_S)
    again = refusals.few([refused(n) for n in range(1000, 1100)])
    assert len(again) == MOST_OF_NODE + 1
    assert {one.id for one in again}.isdisjoint({one.id for one in told})


def test_one_nodes_flood_silences_no_other_node(refusals):
    """Strangers and nodes are counted apart."""
    refusals.few([refused(n) for n in range(100)])
    assert refusals.few([refused(1, "n2")]) == [refused(1, "n2")]
    strangers = refusals.few([refused(1, f"ghost{n}") for n in range(1000)])
    assert len(strangers) == MOST_OF_STRANGERS + 1
    assert refusals.few([refused(2, "n2")]) == [refused(2, "n2")]


def test_a_key_that_goes_on_waiting_is_told_seldom_and_uses_nothing_up(refusals):
    """The sweep finds it every few seconds; it is handed on again in case it was lost."""
    waiting = [refused(n) for n in range(3)]
    assert refusals.few(waiting) == waiting
    assert refusals.few(waiting) == []
    refusals._clock.pass_(AGAIN_S)
    assert refusals.few(waiting) == waiting
    assert len(refusals.few([refused(n) for n in range(3, 3 + MOST_OF_NODE)])) == MOST_OF_NODE


def test_what_is_no_refusal_passes(refusals):
    """A node that is let in never waits for a flood to end."""
    good = Event(id="g", node="n1", name="key_proven", at=NOW, source="keys")
    assert refusals.few([*(refused(n) for n in range(50)), good, good])[-1] == good
    assert refusals.few([good]) == [good]


def test_memory_is_given_back(refusals):
    """What no longer waits is forgotten."""
    for minute in range(20):
        refusals.few([refused(f"{minute}-{n}") for n in range(20)])
        refusals._clock.pass_(WINDOW_S)
    refusals.few([])
    assert len(refusals._told) <= MOST_OF_NODE * (FORGET_S / WINDOW_S)
