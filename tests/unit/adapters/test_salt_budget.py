"""How many events of the bus are taken in, and what is told of the others."""

from __future__ import annotations

import pytest

from racksalt.adapters import salt_budget
from racksalt.adapters.salt_budget import ALL_BURST, BURST, TOLD_S, Budget
from racksalt.adapters.salt_hints import hint_of
from racksalt.conductor.handle import handle
from tests.support.builders import NOW, the_rules
from tests.support.fakes import FakeClock


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def budget(clock):
    """The budget under test."""
    return Budget(clock)


def event(node, number=0, sender=None):
    """Return the hint of an event, as its sender has it."""
    payload = {"data": {"event_id": str(number)}} | ({"id": sender} if sender else {})
    return hint_of(f"racksalt/node/{node}/event/seen", payload, 1.0)


def test_a_burst_of_ten_thousand_events_about_twenty_nodes_is_taken_in(budget):
    """What the master's own processes fire has no sender; it is what the test of bursts and the benchmark send."""
    assert all(budget.admits(event(f"b{n % 20}", n)) for n in range(10_000))
    assert budget.told(NOW) is None


def test_every_node_of_a_large_site_may_start_and_say_so_at_once(budget):
    """Ten thousand starts and as many events of their own."""
    for number in range(10_000):
        assert budget.admits(hint_of(f"salt/minion/n{number}/start", {}, 1.0))
        assert budget.admits(event(f"n{number}", sender=f"n{number}"))


@pytest.mark.parametrize(
    ("flood", "words"),
    [
        (lambda n: event("n1", n), "500 about n1"),
        (lambda n: event(f"n{n}", n, "bad"), "500 fired by 'bad'"),
        (lambda n: event("n1", n, f"name{n}"), "500 about n1"),
    ],
)
def test_whoever_floods_is_cut_off_and_nobody_else(budget, clock, flood, words):
    """About one node, or of one sender, whatever names it makes up; others are still heard."""
    taken = sum(budget.admits(flood(number)) for number in range(BURST + 500))
    assert taken == BURST
    assert budget.admits(event("other", sender="good"))
    clock.pass_(TOLD_S)
    told = budget.told(NOW)
    assert words in told.data["refused"]
    assert told.data["left_out"] == 500
    assert budget.told(NOW) is None, "told once"


def test_made_up_names_are_bounded_by_what_all_may_fire(budget):
    """New senders about new names each time: neither disk nor memory follows."""
    taken = sum(budget.admits(event(f"n{n}", n, f"m{n}")) for n in range(ALL_BURST + 5000))
    assert taken == ALL_BURST


def test_after_a_flood_a_little_is_heard_again(budget, clock):
    """The budget fills with time, at a rate that is no flood."""
    for number in range(BURST + 1):
        budget.admits(event("n1", number))
    clock.pass_(10)
    assert sum(budget.admits(event("n1", number)) for number in range(100)) == 10


def test_what_is_no_event_is_not_counted_here(budget):
    """Sign-ins and returns have limits of their own."""
    returned = hint_of("salt/job/20261123000102000007/ret/n1", {}, 1.0)
    assert all(budget.admits(returned) for _ in range(ALL_BURST + 1))


def test_what_is_told_is_one_short_entry_however_many_flooded(budget, clock, monkeypatch):
    """It names a few and counts all, in bounded memory."""
    monkeypatch.setattr(salt_budget, "MOST_NAMED", 10)
    for number in range(100):
        for _ in range(2 + BURST):
            budget.admits(event(f"n{number}"))
    budget.strangers(7)
    clock.pass_(TOLD_S)
    told = budget.told(NOW)
    assert told.data["left_out"] == 100 * (2 + BURST) - ALL_BURST + 7
    assert "beyond what all may fire" in told.data["refused"]
    assert len(told.data["refused"]) < 300


def test_what_is_told_gets_into_the_journal(store, budget, clock):
    """As refused, of no node: the conductor itself takes it."""
    budget.strangers(3)
    clock.pass_(TOLD_S)
    with store.write() as tx:
        handle(tx, [budget.told(NOW)], the_rules(), NOW)
    (entry,) = store.journal()
    assert (entry.kind, entry.node, entry.detail["left_out"]) == ("refused", "", 3)
    assert "3 events of the bus were left out" in entry.message
    assert "3 about names that no node has" in entry.message
