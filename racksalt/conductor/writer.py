"""Group commit: many threads hand in events and results, one thread writes them, everybody is told after the commit."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from racksalt.conductor.certificates import Seal, certify, erasing
from racksalt.conductor.handle import Outcome, handle
from racksalt.conductor.ports import Clock
from racksalt.conductor.view import Rules
from racksalt.model.errors import StoreError
from racksalt.model.event import Effect, Event
from racksalt.model.node import Bmc, Node
from racksalt.store import Store, Transaction

log = logging.getLogger(__name__)
PAUSE_S = 0.5
"""The wait before what could not be written is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An effect that this conductor leased, with the rows that it needs."""

    effect: Effect
    node: Node | None
    bmc: Bmc | None


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of an effect: done (with events), or once more later."""

    effect: Effect
    events: Sequence[Event] = ()
    again_after_s: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


class Waiting(Protocol):
    """Somebody who waits for an outcome: a concurrent future, or what stands for one."""

    def set_running_or_notify_cancel(self) -> bool:
        """Say whether somebody still waits."""
        ...

    def set_result(self, outcome: Outcome, /) -> None:
        """Tell the outcome."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Tell that there is none."""
        ...


@dataclass(slots=True)
class _Work:
    event: Event
    future: Waiting | None = None


class Writer:
    """The one thread of this process that writes.

    ``leased`` gets the effects that are due, if there is one; ``room`` says how many it can take.
    """

    def __init__(
        self,
        store: Store,
        rules: Callable[[], Rules],
        clock: Clock,
        *,
        batch: int,
        owner: str = "",
        lease_s: float = 60,
        leased: Callable[[list[Task]], None] | None = None,
        room: Callable[[], int] = lambda: 1 << 30,
        seal: Seal | None = None,
    ) -> None:
        self.seal = seal
        self.room = room
        self.store, self.rules, self.clock = store, rules, clock
        self.batch, self.owner, self.lease_s, self.leased = batch, owner, lease_s, leased
        self._work: deque[_Work] = deque()
        self._results: deque[Result] = deque()
        self._noted: set[str] = set()
        self._wake = threading.Event()
        self._look = False
        self._stopping = self._ended = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def put(self, event: Event) -> Future[Outcome]:
        """Hand in an event; the future has its outcome after the commit, or StoreError."""
        future: Future[Outcome] = Future()
        self.take(event, future)
        return future

    def take(self, event: Event, future: Waiting) -> None:
        """Take in an event for somebody who waits."""
        self._work.append(_Work(event, future))
        if self._ended:
            self._turn_away()
        else:
            self._woken()

    def note(self, events: Sequence[Event]) -> None:
        """Hand in events whose outcome nobody waits for; one that waits here already is not taken twice.

        Sweeps find the same again and again, also while nothing can be written.
        """
        for event in events:
            if event.id not in self._noted:
                self._noted.add(event.id)
                self._work.append(_Work(event))
        self._woken()

    def finished(self, results: Sequence[Result]) -> None:
        """Hand in what became of effects."""
        self._results.extend(results)
        self._woken()

    def look(self) -> None:
        """Look for inbox rows and due effects."""
        self._look = True
        self._woken()

    def stop(self) -> None:
        """Write what was handed in, then end the thread; whoever comes later is turned away."""
        self.leased = None
        self._stopping = True
        self._wake.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=30)
        self._ended = True
        self._turn_away()

    def _turn_away(self, why: str = "this process is ending") -> None:
        error = StoreError(f"{why}: nothing was written", "hand it in again")
        while self._work:
            item = self._work.popleft()
            self._noted.discard(item.event.id)
            future = item.future
            if future is not None and future.set_running_or_notify_cancel():
                future.set_exception(error)

    def _woken(self) -> None:
        if self._thread is None:
            with self._starting:
                self._started()
        self._wake.set()

    def _started(self) -> None:
        if self._thread is not None or self._ended:
            return
        thread = threading.Thread(target=self._run, name="racksalt-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # Whoever comes next tries again. Until then nobody waits for a thread that is not there.
            log.error("the thread that writes cannot be started: %s", error)
            self._turn_away(f"the thread that writes cannot be started ({error})")
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            if not (self._work or self._results or self._look):
                if self._stopping:
                    return
                self._wake.wait()
            self._wake.clear()
            self._look = False
            work = [self._work.popleft() for _ in range(min(len(self._work), self.batch))]
            for item in work:
                self._noted.discard(item.event.id)
                if item.future is not None and not item.future.set_running_or_notify_cancel():
                    # Nobody waits any more; the event happened all the same.
                    item.future = None
            results = [self._results.popleft() for _ in range(min(len(self._results), self.batch))]
            try:
                self._commit(work, results, inbox=self.batch)
            except StoreError as error:
                self._unwritten(work, results, error)
            except Exception:
                log.exception(
                    "a batch of %s events cannot be handled; each is tried alone", len(work)
                )
                self._one_by_one(work, results)

    def _commit(self, work: Sequence[_Work], results: Sequence[Result], inbox: int = 0) -> None:
        now, tasks, leased = self.clock(), [], self.leased
        # Read before the lock is taken: files that take long must not keep others from writing.
        rules = self._read_rules()
        room = min(self.batch, self.room())
        events = [item.event for item in work]
        told = [event for result in results for event in result.events]
        with self.store.write() as tx:
            taken = tx.inbox_take(inbox) if leased and inbox else []
            every = [*events, *told, *taken]
            stages = erasing(tx, every, rules)
            outcomes = handle(tx, every, rules, now)
            certify(tx, every, outcomes, stages, self.seal)
            _settle(tx, results, now, self.owner)
            if leased and room > 0:
                tasks = _tasks(tx, tx.lease(self.owner, now, self.lease_s, room))
        for item, outcome in zip(work, outcomes, strict=False):
            if item.future is not None:
                item.future.set_result(outcome)
        self._look = self._look or (bool(taken) and len(taken) == inbox) or len(tasks) == self.batch
        if tasks and leased:
            try:
                leased(tasks)
            except Exception:
                # The batch is committed: this is no reason to try it again. The leases end by themselves.
                log.exception("%s effects were leased and not taken", len(tasks))

    def _read_rules(self) -> Rules:
        """Return the rules. That they cannot be read is no fault of any event: StoreError, as for a full disk."""
        try:
            return self.rules()
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(
                f"the site's rules cannot be read ({type(error).__name__}: {error}): nothing was written",
                "mend the site's files and folders; it goes on by itself",
            ) from error

    def _unwritten(
        self, work: Sequence[_Work], results: Sequence[Result], error: StoreError
    ) -> None:
        """Nothing was written: tell those who wait, keep the rest for the next try."""
        log.error("%s", error)
        for item in work:
            if item.future is not None:
                item.future.set_exception(error)
        if self._stopping:
            # Sweeps find it again, and effects are done again, by the next process.
            return
        kept = [item for item in work if item.future is None and item.event.id not in self._noted]
        self._noted.update(item.event.id for item in kept)
        self._work.extendleft(reversed(kept))
        self._results.extendleft(reversed(results))
        # A full disk does not mend in microseconds.
        self._wake.clear()
        threading.Event().wait(PAUSE_S)
        self._look = True

    def _one_by_one(self, work: Sequence[_Work], results: Sequence[Result]) -> None:
        """Commit each alone, so that one that cannot be handled takes no other with it."""
        for item in work:
            self._alone([item], (), f"event {item.event.name} of {item.event.node}")
        for result in results:
            what = f"the result of {result.effect.name} on {result.effect.node}"
            if not self._alone((), [result], what):
                # It is done all the same: doing it again would end in the same.
                self._alone((), [replace(result, events=())], what)
        if self.leased:
            self._look = True
            if not self._alone((), (), "an event from the inbox", inbox=1):
                self._drop_from_inbox()

    def _drop_from_inbox(self) -> None:
        try:
            with self.store.write() as tx:
                tx.inbox_take(1)
        except StoreError as error:
            self._unwritten((), (), error)

    def _alone(
        self, work: Sequence[_Work], results: Sequence[Result], what: str, inbox: int = 0
    ) -> bool:
        try:
            self._commit(work, results, inbox)
        except StoreError as error:
            self._unwritten(work, results, error)
        except Exception as error:
            log.exception("%s cannot be handled; it is dropped", what)
            for item in work:
                if item.future is not None:
                    item.future.set_exception(error)
            return False
        return True


def _settle(tx: Transaction, results: Sequence[Result], now: float, owner: str) -> None:
    tx.effects_done([r.effect.id for r in results if r.again_after_s is None])
    tx.effects_again(
        [
            {
                "id": r.effect.id,
                "not_before": now + r.again_after_s,
                "progress": r.progress or r.effect.progress,
                "attempts": r.effect.attempts,
                "error": r.error,
            }
            for r in results
            if r.again_after_s is not None
        ],
        owner,
    )


def _tasks(tx: Transaction, effects: Sequence[Effect]) -> list[Task]:
    if not effects:
        return []
    ids = {effect.node for effect in effects}
    nodes, bmcs = tx.nodes(ids), tx.bmcs(ids)
    return [Task(effect=e, node=nodes.get(e.node), bmc=bmcs.get(e.node)) for e in effects]
