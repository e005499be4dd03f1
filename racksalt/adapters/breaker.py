"""One BMC's protection from us, and ours from it: a circuit breaker and a minimum interval. The clock is passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a BMC is left alone, and for how long.

    After ``failures`` failures in a row the circuit opens for ``pause_s``; one probe is let through after that, and
    each probe that fails doubles the pause up to ``longest_pause_s``. ``interval_s`` lies between any two operations.
    """

    failures: int = 3
    pause_s: float = 5.0
    longest_pause_s: float = 300.0
    interval_s: float = 0.05


class Breaker:
    """The circuit of one BMC: closed, open, or half-open for one probe. Not locked: one caller at a time."""

    __slots__ = (
        "_clock",
        "_failures",
        "_next_at",
        "_open_until",
        "_pause_s",
        "_proven",
        "_settings",
    )

    def __init__(self, settings: BreakerSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._proven = False
        self._pause_s = settings.pause_s
        self._open_until: float | None = None
        self._next_at = 0.0

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Where the circuit is now."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    @property
    def is_suspect(self) -> bool:
        """Whether the last operation failed or none has ever worked: it may cost a whole time-out."""
        return self._failures > 0 or not self._proven

    def retry_after_s(self) -> float:
        """Return the seconds until the next operation is let through; 0 when it is now."""
        return max(0.0, (self._open_until or 0.0) - self._clock())

    def wait_s(self) -> float:
        """Return the seconds that the minimum interval still asks for, and book the operation after them."""
        now = self._clock()
        start = max(now, self._next_at)
        self._next_at = start + self._settings.interval_s
        return start - now

    def succeeded(self) -> None:
        """The BMC answered: close the circuit."""
        self._failures = 0
        self._proven = True
        self._pause_s = self._settings.pause_s
        self._open_until = None

    def failed(self) -> None:
        """The BMC did not answer, or did not let us in: count, and open the circuit when it is enough."""
        self._failures += 1
        if self._failures < self._settings.failures:
            return
        if self._failures > self._settings.failures:
            self._pause_s = min(self._pause_s * 2, self._settings.longest_pause_s)
        self._open_until = self._clock() + self._pause_s
