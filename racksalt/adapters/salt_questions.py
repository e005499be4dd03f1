"""Questions to minions that nobody has answered yet.

A minion on a loaded machine may take longer for an answer than anybody wants to wait at a time. Its return is in the
job cache all the same, under the id of the question: who remembers the id finds the answer later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

About = TypeVar("About", bound=Hashable)

LATE_S = 600.0
"""How long a question is remembered."""


class Question(NamedTuple):
    """A job that asks something: when it was published, and under which id."""

    at: float
    jid: str


class Questions(Generic[About]):
    """The open questions by what they are about. May be used from many threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._open: dict[About, list[Question]] = {}
        self._lock = threading.Lock()

    def __contains__(self, about: About) -> bool:
        with self._lock:
            return about in self._open

    def abouts(self) -> list[About]:
        """Return what there are open questions about."""
        with self._lock:
            return list(self._open)

    def note(self, abouts: Iterable[About], jid: str) -> None:
        """Remember a question that was just published; forget those that are too old."""
        now = self.clock()
        with self._lock:
            recent = {
                about: [one for one in asked if now - one.at < LATE_S]
                for about, asked in self._open.items()
            }
            self._open = {about: asked for about, asked in recent.items() if asked}
            for about in abouts:
                self._open.setdefault(about, []).append(Question(now, jid))

    def about(self, about: About, since: float = 0.0) -> list[Question]:
        """Return the open questions that were asked at ``since`` or later, the oldest first."""
        from_then = max(since, self.clock() - LATE_S)
        with self._lock:
            return [one for one in self._open.get(about, ()) if one.at >= from_then]

    def answered(self, abouts: Iterable[About]) -> None:
        """Close all questions about these."""
        with self._lock:
            for about in abouts:
                self._open.pop(about, None)
