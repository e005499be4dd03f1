"""How many events of the bus are taken in: whoever may fire one may fire any number, in any node's name.

Salt says who fired an event only of those that come alone; in a list of many, and in what the master's own processes
fire, the name is the sender's own word or there is none. So there is a budget for each node that events are about, one
for each name that is said to have fired them, and one for all. What is over it is counted, and told once a minute.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from racksalt.limits import TokenBuckets
from racksalt.model.event import Event

if TYPE_CHECKING:
    from racksalt.adapters.salt_hints import Hint

BURST, RATE_PER_S = 1000, 1.0
"""Events about one node, and by one sender, at once and from then on: a node has a few in an hour."""
ALL_BURST, ALL_RATE_PER_S = 20_000, 5.0
"""The same for all together: every node of a large site may start at once. A flood costs a gigabyte a day at most."""
TOLD_S = 60.0
MOST_NAMED, NAMED = 1000, 5
"""For how many nodes and senders what was left out is counted apart, and how many of these are named."""
STRANGERS, OTHERS, ALL = "about names that no node has", "about others", "beyond what all may fire"


class Budget:
    """Says which events are taken in. ``clock`` is monotonic. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._each = TokenBuckets[str](RATE_PER_S, BURST)
        self._all = TokenBuckets[str](ALL_RATE_PER_S, ALL_BURST)
        self._left_out: Counter[str] = Counter()
        self._since = 0.0
        self._lock = threading.Lock()

    def admits(self, hint: Hint) -> bool:
        """Say whether a hint is taken in, and count it if not; what is no event is limited elsewhere."""
        if hint.kind not in {"event", "started"}:
            return True
        with self._lock:
            now = self._clock()
            over = self._over(hint, now)
            if over:
                self._count(over, 1, now)
            return not over

    def strangers(self, count: int) -> None:
        """Take note of events that were left out because no node has the name."""
        if count:
            with self._lock:
                self._count(STRANGERS, count, self._clock())

    def told(self, at: float) -> Event | None:
        """Return the entry that stands for what was left out, a minute after the first; ``at`` is UTC in seconds."""
        with self._lock:
            now = self._clock()
            if not self._left_out or now - self._since < TOLD_S:
                return None
            found, self._left_out = self._left_out, Counter()
        most = ", ".join(f"{count} {who}" for who, count in found.most_common(NAMED))
        message = f"{found.total()} events of the bus were left out within a minute, most: {most}"
        return Event(
            id=f"events_left_out:{at}",
            node="",
            name="events_left_out",
            at=at,
            source="bus",
            data={"refused": message, "left_out": found.total()},
        )

    def _over(self, hint: Hint, now: float) -> str:
        """Return whose budget is spent, or nothing; a token is taken of each budget up to that one."""
        whose = [f"about {hint.node}", *([f"fired by {hint.actor!r}"] if hint.actor else [])]
        for one in whose:
            if self._each.wait_s(one, now):
                return one
        return ALL if self._all.wait_s(ALL, now) else ""

    def _count(self, who: str, count: int, now: float) -> None:
        if not self._left_out:
            self._since = now
        named = who in (ALL, STRANGERS) or who in self._left_out or len(self._left_out) < MOST_NAMED
        self._left_out[who if named else OTHERS] += count
