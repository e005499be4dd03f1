"""How often to look at everything: often with few nodes, and with many for little of a processor all the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from racksalt.conductor.ports import Clock

SHARE = 0.05
"""The share of a processor that one kind of look at everything may take: with many nodes they are further apart."""
FULL_LOOK_S = 5.0
"""How long hints about single nodes may put off a look at all of them."""


class Pace:
    """When a look at everything is due. ``spent`` tells the processor time, in seconds, of all that looks."""

    def __init__(self, clock: Clock, spent: Clock) -> None:
        self._clock, self._spent = clock, spent
        self._at, self._cost_s = -math.inf, 0.0

    def is_due(self, *, hinted: bool = False) -> bool:
        """Say whether it is time; with hints to follow, there is less hurry. A clock that was set back hurries."""
        least_s = max(self._cost_s / SHARE, FULL_LOOK_S if hinted else 0.0)
        return not 0.0 <= self._clock() - self._at < least_s

    @contextmanager
    def look(self) -> Iterator[None]:
        """Look at everything within: when that was, and what it cost, also if it fails."""
        self._at, began = self._clock(), self._spent()
        try:
            yield
        finally:
            self._cost_s = self._spent() - began
