from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.adapters.breaker import Breaker, BreakerSettings

SETTINGS = BreakerSettings(failures=3, pause_s=5.0, longest_pause_s=30.0, interval_s=0.5)


class Ticker:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock():
    """A clock of one's own."""
    return Ticker()


@pytest.fixture
def breaker(clock):
    """A breaker that has seen nothing yet."""
    return Breaker(SETTINGS, clock)


def _fail(breaker, times):
    for _ in range(times):
        breaker.failed()


def test_the_circuit_opens_after_enough_failures_in_a_row(breaker):
    """A success in between starts the count anew."""
    _fail(breaker, 2)
    breaker.succeeded()
    _fail(breaker, 2)
    assert breaker.state == "closed"
    breaker.failed()
    assert (breaker.state, breaker.retry_after_s()) == ("open", 5.0)


def test_after_the_pause_one_probe_decides(breaker, clock):
    """Half-open lets an operation through; its success closes the circuit and forgets the past."""
    _fail(breaker, 3)
    clock.now += 5
    assert (breaker.state, breaker.retry_after_s()) == ("half_open", 0.0)
    breaker.succeeded()
    assert breaker.state == "closed"
    _fail(breaker, 3)
    assert breaker.retry_after_s() == 5.0


def test_each_failed_probe_doubles_the_pause_up_to_the_cap(breaker, clock):
    """5, 10, 20, 30, 30 seconds."""
    _fail(breaker, 3)
    pauses = [breaker.retry_after_s()]
    for _ in range(4):
        clock.now += breaker.retry_after_s()
        breaker.failed()
        pauses.append(breaker.retry_after_s())
    assert pauses == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_who_failed_or_never_worked_is_suspect(breaker):
    """Proven by a success, suspect again from the first failure on."""
    assert breaker.is_suspect
    breaker.succeeded()
    assert not breaker.is_suspect
    breaker.failed()
    assert breaker.is_suspect


@given(steps=st.lists(st.floats(0, 2), max_size=30))
def test_operations_never_come_closer_than_the_interval(steps):
    """Whatever the pace of the callers, starts are at least the interval apart and never needlessly late."""
    clock = Ticker()
    breaker, starts = Breaker(SETTINGS, clock), []
    for step in steps:
        clock.now += step
        wait_s = breaker.wait_s()
        assert 0 <= wait_s <= SETTINGS.interval_s
        clock.now += wait_s
        starts.append(clock.now)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(gap >= SETTINGS.interval_s - 1e-9 for gap in gaps)
