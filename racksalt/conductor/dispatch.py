"""Carries out leased effects in worker threads; effects of one node and lane never run at the same time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from racksalt.conductor.decide import LANES
from racksalt.conductor.effects import ANY_BOOT, EFFECTS, TOGETHER, backoff
from racksalt.conductor.ports import World
from racksalt.conductor.writer import Result, Task
from racksalt.model.errors import RacksaltError

log = logging.getLogger(__name__)
LARGEST = {"salt": 8}
"""Most tasks of one kind of agent in one call: each costs Salt a while, and what a crash cuts short is begun anew."""
MOST_HELD = 1024
"""How many effects one process keeps to itself."""
STALE_S = 2.0
"""After how long in the queue an effect is looked up again before it is done."""
ON_KEYS = ("accept_key", "revoke_key", "revoke_old_key")
"""Effects that ask Salt's key store: in the lane of power, in their turn, but never behind other nodes' dead BMCs."""
KEYS, KEY_WORKERS = "keys", 4
POWER, APART = "power", "apart"
"""The lane of power, and the pool for those of its effects whose BMC may cost a whole time-out."""


class Dispatcher:
    """One pool for each lane of the outbox, and two besides: ``keys``, and ``apart`` for BMCs under suspicion.

    So BMCs that are slow or dead hold up neither agents nor keys, nor the power of nodes whose BMC is well.
    """

    def __init__(
        self,
        world: World,
        workers: int,
        finished: Callable[[Sequence[Result]], None],
        wanted: Callable[[Sequence[int]], Collection[int]] = lambda ids: ids,
    ) -> None:
        self.world, self.finished, self.wanted = world, finished, wanted
        self._stopping = False
        sizes = dict.fromkeys(LANES.values(), workers)
        sizes |= {KEYS: min(KEY_WORKERS, workers), APART: max(workers // 2, 1)}
        self._pools = {
            name: ThreadPoolExecutor(size, thread_name_prefix=f"racksalt-{name}")
            for name, size in sizes.items()
        }
        self._busy: set[tuple[str, str]] = set()
        self._held: dict[tuple[str, str], deque[Task]] = {}
        self._mine: dict[int, float] = {}
        self._lock = threading.Lock()
        self._wanted: set[int] = set()
        self._looked_at = float("-inf")
        self._looking = threading.Lock()

    def leased(self, tasks: Sequence[Task]) -> None:
        """Take leased effects; returns at once."""
        if self._stopping:
            return
        void = [task for task in tasks if _is_void(task)]
        if void:
            self.finished([Result(effect=task.effect) for task in void])
        self._begin(self._free([task for task in tasks if not _is_void(task)]))

    def room(self) -> int:
        """Return how many more effects may be leased: the rest is left to other conductors."""
        return MOST_HELD - len(self._mine)

    def held(self) -> list[int]:
        """Return the effects that wait or run here."""
        with self._lock:
            return list(self._mine)

    def stop(self) -> None:
        """Let running effects end; what was not begun stays in the outbox."""
        self._stopping = True
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self, tasks: Sequence[Task]) -> None:
        for group in _groups(tasks):
            ticket = [group]
            try:
                self._pools[self._pool_of(group[0])].submit(self._perform, ticket)
            except Exception as error:  # noqa: BLE001 - whatever it is, leases of what never runs must not go on for ever
                if not self._stopping:
                    self._not_begun(ticket, error)

    def _pool_of(self, task: Task) -> str:
        name, bmc = task.effect.name, task.bmc
        if name in ON_KEYS:
            return KEYS
        is_apart = LANES[name] == POWER and bmc is not None and self.world.is_suspect(bmc)
        return APART if is_apart else LANES[name]

    def _not_begun(self, ticket: list[list[Task]], error: Exception) -> None:
        """Put back what a pool did not take (no thread can be started, say): it is tried again later.

        The pool may keep the ticket all the same, and a thread may come for it: whoever takes the group out has it.
        """
        for tasks in _taken(ticket):
            why = f"it could not be begun: {type(error).__name__}: {error}"
            log.warning("%s for %s: %s", tasks[0].effect.name, _names(tasks), why)
            self._release(tasks)
            self.finished([_failed(task, why) for task in tasks])

    def _free(self, tasks: Sequence[Task]) -> list[Task]:
        """Return the tasks that may begin; those whose node and lane are busy wait. Notes since when each is here."""
        ready, now = [], self.world.clock()
        with self._lock:
            for task in tasks:
                if task.effect.id in self._mine:
                    # Leased again because it waits here for longer than its lease.
                    continue
                self._mine[task.effect.id] = now
                key = (task.effect.node, LANES[task.effect.name])
                if key in self._busy:
                    self._held.setdefault(key, deque()).append(task)
                else:
                    self._busy.add(key)
                    ready.append(task)
        return ready

    def _perform(self, ticket: list[list[Task]]) -> None:
        for tasks in _taken(ticket):
            self._carry_out(tasks)

    def _carry_out(self, tasks: Sequence[Task]) -> None:
        name, now = tasks[0].effect.name, self.world.clock()
        try:
            if late := self._late(tasks, now):
                # They stood in the queue for long: what became void meanwhile must not be done.
                tasks, void = _parted(tasks, late - set(self._still_wanted(now)))
                self._release(void)
            results = EFFECTS[name](self.world, tasks, now) if tasks else []
        except RacksaltError as error:
            log.warning("%s failed for %s: %s", name, _names(tasks), error)
            results = [_failed(task, str(error)) for task in tasks]
        except Exception as error:
            log.exception("%s failed for %s", name, _names(tasks))
            results = [_failed(task, f"{type(error).__name__}: {error}") for task in tasks]
        self._release(tasks)
        self.finished(results)

    def _late(self, tasks: Sequence[Task], now: float) -> set[int]:
        """Return those that are here for long: of one that just came, an older look at the outbox says nothing."""
        ids = [task.effect.id for task in tasks]
        return {one for one in ids if now - self._mine.get(one, now) > STALE_S}

    def _still_wanted(self, now: float) -> Collection[int]:
        """Return which effects are still to be done: one look, not older than STALE_S, at all that are held here."""
        with self._looking:
            if not 0 <= now - self._looked_at <= STALE_S:
                self._wanted, self._looked_at = set(self.wanted(self.held())), now
            return self._wanted

    def _release(self, tasks: Sequence[Task]) -> None:
        """Let go of tasks that are done, and begin those that waited for them, which count from when they came."""
        next_ones = []
        with self._lock:
            for task in tasks:
                key = (task.effect.node, LANES[task.effect.name])
                self._mine.pop(task.effect.id, None)
                waiting = self._held.get(key)
                if waiting:
                    next_ones.append(waiting.popleft())
                    if not waiting:
                        del self._held[key]
                else:
                    self._busy.discard(key)
        if next_ones and not self._stopping:
            self._begin(next_ones)


def _taken(ticket: list[list[Task]]) -> list[list[Task]]:
    """Return the group of a ticket, in a list that is empty when somebody else has taken it."""
    try:
        return [ticket.pop()]
    except IndexError:
        return []


def _parted(tasks: Sequence[Task], gone: Collection[int]) -> tuple[list[Task], list[Task]]:
    return [t for t in tasks if t.effect.id not in gone], [t for t in tasks if t.effect.id in gone]


def _names(tasks: Sequence[Task]) -> str:
    return ", ".join(task.effect.node for task in tasks[:5]) + (", …" if len(tasks) > 5 else "")


def _failed(task: Task, why: str) -> Result:
    effect = task.effect
    return Result(effect=effect, again_after_s=backoff(effect.attempts), error=why)


def _is_void(task: Task) -> bool:
    if task.node is None:
        return True
    return task.effect.boot != task.node.boot and task.effect.name not in ANY_BOOT


def _groups(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return tasks that are carried out in one call."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        name = task.effect.name
        agent = task.node.agent if task.node else ""
        groups.setdefault((name, agent if name in TOGETHER else task.effect.node), []).append(task)
    return [part for (_, of), group in groups.items() for part in _parts(group, LARGEST.get(of))]


def _parts(group: list[Task], size: int | None) -> list[list[Task]]:
    """Return the group in parts of at most ``size``."""
    size = size or len(group)
    return [group[at : at + size] for at in range(0, len(group), size)]
