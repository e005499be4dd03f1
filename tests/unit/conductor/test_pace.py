"""Looking at everything often, and for little of a processor."""

from __future__ import annotations

import pytest

from racksalt.conductor.pace import FULL_LOOK_S, SHARE, Pace


class Hands:
    """A clock, and the processor time that was spent."""

    def __init__(self):
        self.at, self.spent = 1000.0, 0.0


@pytest.fixture
def hands():
    """A clock that stands."""
    return Hands()


@pytest.fixture
def pace(hands):
    """The pace of looks by that clock."""
    return Pace(lambda: hands.at, lambda: hands.spent)


def _look(pace, hands, cost_s, error=None):
    with pace.look():
        hands.spent += cost_s
        if error:
            raise error


def test_looks_that_cost_much_are_further_apart(pace, hands):
    """A look is due again when what the last one cost is its share of the time that passed, and not before."""
    assert pace.is_due()
    _look(pace, hands, 1.0)
    hands.at += 1.0 / SHARE - 0.1
    assert not pace.is_due()
    hands.at += 0.2
    assert pace.is_due()


def test_looks_that_cost_nothing_are_always_due(pace, hands):
    """Whoever calls says how often; only hints put them off."""
    _look(pace, hands, 0.0)
    assert pace.is_due()
    assert not pace.is_due(hinted=True)
    hands.at += FULL_LOOK_S
    assert pace.is_due(hinted=True)


def test_a_look_that_fails_has_cost_what_it_cost(pace, hands):
    """It is not repeated at once."""
    with pytest.raises(OSError, match="gone"):
        _look(pace, hands, 1.0, OSError("gone"))
    hands.at += 1.0
    assert not pace.is_due()


def test_a_clock_that_was_set_back_hurries(pace, hands):
    """Nobody waits for a time that was reached already."""
    _look(pace, hands, 1.0)
    hands.at -= 3600
    assert pace.is_due()
