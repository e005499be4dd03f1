"""How often somebody may ask, and how much of a flood is written down."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
MAX_KEYS = 20_000
"""Sources remembered at once; the longest silent is forgotten first (about 3 MB in all)."""


class TokenBuckets(Generic[Key]):
    """A token bucket for each key: ``rate_per_s`` on average, ``burst`` at once.

    Times are seconds of one monotonic clock, handed in.
    """

    def __init__(self, rate_per_s: float, burst: float, max_keys: int = MAX_KEYS) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._max_keys = max_keys
        self._levels: OrderedDict[Key, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: Key, now: float) -> float:
        """Take one token and return 0; or take none and return the seconds until there is one."""
        level, since = self._levels.pop(key, (self.burst, now))
        level = min(self.burst, level + max(0.0, now - since) * self.rate_per_s)
        granted = level >= 1.0
        self._levels[key] = (level - 1.0 if granted else level, now)
        if len(self._levels) > self._max_keys:
            self._levels.popitem(last=False)
        return 0.0 if granted else (1.0 - level) / self.rate_per_s


class Recent(Generic[Key, Value]):
    """Remembers for ``window_s`` what a key came to, so that the same again need not be written down."""

    def __init__(self, window_s: float, max_keys: int = MAX_KEYS) -> None:
        self.window_s = window_s
        self._max_keys = max_keys
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def keep(self, key: Key, value: Value, now: float) -> None:
        """Remember ``value``; the oldest key is forgotten when there are too many."""
        self._kept.pop(key, None)
        self._kept[key] = (now, value)
        if len(self._kept) > self._max_keys:
            self._kept.popitem(last=False)

    def same(self, key: Key, value: Value, now: float) -> bool:
        """Say whether the key came to exactly this within the window."""
        since, kept = self._kept.get(key, (now, None))
        return kept == value and now - since < self.window_s


@dataclass(slots=True)
class _Window:
    """What was admitted and left out for one key since ``started``."""

    started: float
    admitted: int = 0
    left_out: int = 0


class Sampler(Generic[Key]):
    """Admits ``limit`` of a kind per key and ``window_s``, and counts the rest for one summary.

    So a flood of refusals costs the journal a constant number of rows a minute per node, and
    ``max_keys`` bounds the memory; beyond that, new keys are left out altogether until old ones
    have passed.
    """

    def __init__(self, limit: int, window_s: float = 60.0, max_keys: int = MAX_KEYS) -> None:
        self.limit = limit
        self.window_s = window_s
        self._max_keys = max_keys
        self._windows: OrderedDict[Key, _Window] = OrderedDict()

    def admit(self, key: Key, now: float) -> bool:
        """Say whether this one is to be written down."""
        window = self._windows.get(key)
        if window is not None and not window.left_out and now - window.started >= self.window_s:
            del self._windows[key]  # over, and nothing to tell of it
            window = None
        if window is None:
            if len(self._windows) >= self._max_keys:
                return False
            window = self._windows[key] = _Window(started=now)
        if window.admitted < self.limit:
            window.admitted += 1
            return True
        window.left_out += 1
        return False

    def active(self, key: Key, now: float) -> bool:
        """Say whether one of this kind was admitted within the window that is running."""
        window = self._windows.get(key)
        return window is not None and now - window.started < self.window_s

    def passed(self, now: float) -> list[tuple[Key, int]]:
        """Forget the windows that are over; return (key, how many were left out) where any were."""
        told = []
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if now - window.started < self.window_s:
                break
            del self._windows[key]
            if window.left_out:
                told.append((key, window.left_out))
        return told
