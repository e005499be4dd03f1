"""How many refused keys are worth a journal entry? Anybody may sign in under any name, with any number of keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from racksalt.conductor.ports import Clock
from racksalt.model.event import Event

WINDOW_S = 60.0
MOST_OF_NODE = 10
"""Entries a minute about one node's keys; one more says that there were others."""
MOST_OF_STRANGERS = 60
"""Entries a minute about the keys of all names that no node has."""
AGAIN_S, FORGET_S = 60.0, 600.0
"""How soon the same refusal is handed on again, should it have been lost, and when it is forgotten."""
LOOK_UP = 500
STRANGERS = ""


class Refusals:
    """Lets through few refusals a minute for each node; everything that is no refusal passes.

    ``known`` tells which of some names are nodes. May be used from any thread.
    """

    def __init__(self, clock: Clock, known: Callable[[Sequence[str]], set[str]]) -> None:
        self._clock, self._known = clock, known
        self._told: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._began = clock()
        self._lock = threading.Lock()

    def few(self, events: Sequence[Event]) -> list[Event]:
        """Return the events to hand on; past the limit, one that says that more was refused."""
        now = self._clock()
        with self._lock:
            self._tick(now)
            fresh = [one.node for one in events if _refuses(one) and one.id not in self._told]
            known = self._known(list(dict.fromkeys(fresh))[:LOOK_UP]) if fresh else set()
            passed = [self._one(one, one.node in known, now) for one in events]
        return list({one.id: one for one in passed if one is not None}.values())

    def _one(self, event: Event, known: bool, now: float) -> Event | None:
        if not _refuses(event):
            return event
        if event.id in self._told:
            if now - self._told[event.id] < AGAIN_S:
                return None
            self._told[event.id] = now
            return event
        who, most = (event.node, MOST_OF_NODE) if known else (STRANGERS, MOST_OF_STRANGERS)
        self._counts[who] = self._counts.get(who, 0) + 1
        if self._counts[who] <= most:
            self._told[event.id] = now
            return event
        return _more(event, self._began, most) if self._counts[who] == most + 1 else None

    def _tick(self, now: float) -> None:
        if now - self._began < WINDOW_S:
            return
        self._began = now
        self._counts.clear()
        self._told = {id_: at for id_, at in self._told.items() if now - at < FORGET_S}


def _refuses(event: Event) -> bool:
    return "refused" in event.data


def _more(event: Event, began: float, most: int) -> Event:
    """Return the entry that stands for all further refusals of this minute."""
    return Event(
        id=f"key_refused:{event.node}:more:{began}",
        node=event.node,
        name="key_refused",
        at=event.at,
        source=event.source,
        data={"refused": f"more keys were refused within a minute; {most} of them are told of"},
    )
