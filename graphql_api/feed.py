"""The journal's live feed: every entry to every subscriber, once, in order. A slow one is cut, not waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from graphql_api.records import Record, record, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racksalt.model.event import Entry

BACKLOG = 5000
"""Most entries that wait for one subscriber."""


class SlowConsumerError(Exception):
    """The subscriber did not keep up; it may come again with the last seq that it got."""


class ClosedError(Exception):
    """The server stops."""


class Subscriber:
    """One reader of the feed; ``joined`` is the last seq published before it came."""

    def __init__(self, joined: int, *, audit: bool) -> None:
        self.joined = joined
        self.audit = audit
        self._waiting: deque[Record] = deque()
        self._ready = asyncio.Event()
        self._end: Exception | None = None

    def put(self, one: Record) -> None:
        """Add an entry; a full backlog ends the subscription."""
        if self._end is not None:
            return
        if len(self._waiting) >= BACKLOG:
            self._waiting.clear()
            self.end(SlowConsumerError())
            return
        self._waiting.append(one)
        self._ready.set()

    def end(self, why: Exception) -> None:
        """Make the next ``get`` raise."""
        self._end = why
        self._ready.set()

    async def get(self) -> Record:
        """Return the next entry; raises SlowConsumerError or ClosedError once the feed has ended for this reader."""
        while True:
            if self._end is not None and not self._waiting:
                raise self._end
            if self._waiting:
                return self._waiting.popleft()
            self._ready.clear()
            await self._ready.wait()


class Feed:
    """All subscribers of this process. ``seq`` is the last entry published."""

    def __init__(self) -> None:
        self.seq = 0
        self._subscribers: set[Subscriber] = set()

    def join(self, *, audit: bool) -> Subscriber:
        """Begin to receive everything after ``seq``."""
        subscriber = Subscriber(self.seq, audit=audit)
        self._subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Receive nothing more."""
        self._subscribers.discard(subscriber)

    def publish(self, entries: Sequence[Entry]) -> None:
        """Hand entries on, one object for all subscribers of one kind, so that each is encoded once.

        They come without their node: what waits for a slow subscriber must not hold a snapshot that is done with.
        """
        kinds = {one.audit for one in self._subscribers}
        for entry in entries:
            made = {
                audit: record(entry, {}, audit=audit)
                for audit in kinds
                if visible(entry, audit=audit)
            }
            for subscriber in self._subscribers:
                one = made.get(subscriber.audit)
                if one is not None:
                    subscriber.put(one)
        self.seq = entries[-1].seq

    def close(self) -> None:
        """End every subscription."""
        for subscriber in self._subscribers:
            subscriber.end(ClosedError())
