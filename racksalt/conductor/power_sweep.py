"""Asks every BMC for its power state, and believes what is contrary to the record only after it was said again.

A BMC may be slow, dead, or wrong. A slow one keeps nobody waiting but itself; a dead one says nothing about its server;
one reading is not yet an observation. Of several conductors each asks its share of the BMCs.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Literal

from racksalt.conductor.pace import Pace
from racksalt.conductor.ports import World
from racksalt.model.errors import BmcError, RacksaltError
from racksalt.model.event import Event
from racksalt.model.node import Bmc
from racksalt.psm.kernel import Kind, Machine
from racksalt.store import Store
from racksalt.store.power_reads import Powered, powered

log = logging.getLogger(__name__)
SLOW_S = 1.0
"""A BMC that took longer than this for its last answer, or gave none, is asked apart from the quick ones."""
PATIENCE_S = 10.0
"""How long a sweep waits for BMCs that are not known to be slow: right after a start, none is."""
LEAST_REPEATS, MOST_REPEATS = 2, 8
"""How many further readings must agree: two, and two more for each time that this BMC contradicted itself."""
REPEAT_PAUSE_S = 0.5
"""How far apart these readings are."""
ANSWER_S = 5.0
"""How long the agent of a node that is said to be off is given to prove the contrary."""
AT_ONCE = 200
"""How many nodes the store is asked for in one go: of the last one the answer is still fresh."""
Tell = Callable[[Sequence[Event]], None]
Reading = Literal["on", "off"]


def share_of(owner: str, owners: Iterable[str], nodes: Iterable[str]) -> set[str]:
    """Return which nodes are ``owner``'s to look at: each has one owner, and one that leaves moves only its own."""
    all_owners = {owner, *owners}
    return {node for node in nodes if max(all_owners, key=lambda one: _weight(one, node)) == owner}


def _weight(owner: str, node: str) -> bytes:
    return hashlib.blake2b(f"{owner} {node}".encode(), digest_size=8).digest()


class PowerSweep:
    """Tells of power that changed, and of power that was lost in a busy state."""

    def __init__(
        self,
        store: Store,
        world: World,
        tell: Tell,
        machine: Callable[[], Machine],
        workers: int,
        owner: Callable[[], tuple[str, Sequence[str]]] = lambda: ("", ()),
    ) -> None:
        self.store, self.world, self.tell, self.machine = store, world, tell, machine
        self.owner = owner
        self._pace = Pace(world.clock, self.spent)
        self.pause_s = REPEAT_PAUSE_S
        self._threads = workers
        self._quick = ThreadPoolExecutor(workers, thread_name_prefix="racksalt-power-sweep")
        self._apart = ThreadPoolExecutor(max(workers // 2, 1), thread_name_prefix="racksalt-apart")
        self._busy: set[str] = set()
        self._took_s: dict[str, float] = {}
        self._contrary: dict[str, Reading] = {}
        self._caught: Counter[str] = Counter()
        self._helped_s = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def __call__(self) -> None:
        """Ask every BMC of this conductor's share, unless that would take too much of a processor so soon."""
        if self._pace.is_due():
            with self._pace.look():
                self._all()

    def _all(self) -> None:
        """One sweep; what comes later than its patience is judged by the next one."""
        bmcs = self._share({bmc.node: bmc for bmc in self.store.all_of(Bmc)})
        nodes = [node for node in powered(self.store) if node.id in bmcs]
        quick, apart = self._split(nodes)
        self._ask(self._apart, apart, bmcs)
        wait(self._ask(self._quick, quick, bmcs), PATIENCE_S)
        with self._lock:
            found, self._contrary = self._contrary, {}
        if found:
            self._judge([node for node in nodes if node.id in found], bmcs, found)

    def spent(self) -> float:
        """Return the seconds of processor time that the calling thread had, and the threads that ask BMCs for it."""
        with self._lock:
            return self.world.spent() + self._helped_s

    def _share(self, bmcs: dict[str, Bmc]) -> dict[str, Bmc]:
        owner, others = self.owner()
        mine = share_of(owner, others, bmcs) if others else set(bmcs)
        return {node: bmc for node, bmc in bmcs.items() if node in mine}

    # ------------------------------------------------------------ looking

    def _split(self, nodes: Sequence[Powered]) -> tuple[deque[Powered], deque[Powered]]:
        """Return whom to ask now: the quick ones and the others. Whoever is still being asked is left alone."""
        quick: deque[Powered] = deque()
        apart: deque[Powered] = deque()
        with self._lock:
            took_s = {node.id: self._took_s.get(node.id, 0.0) for node in nodes}
            # The quickest first: who was slow or silent last time has no claim on a thread that others need.
            for node in sorted(nodes, key=lambda node: took_s[node.id]):
                if node.id not in self._busy:
                    self._busy.add(node.id)
                    (apart if took_s[node.id] > SLOW_S else quick).append(node)
        return quick, apart

    def _ask(
        self, pool: ThreadPoolExecutor, nodes: deque[Powered], bmcs: dict[str, Bmc]
    ) -> list[Future[None]]:
        """Let each thread of a pool ask one BMC after the other until all were asked."""
        begun: list[Future[None]] = []
        for _ in range(min(len(nodes), self._threads)):
            try:
                future = pool.submit(self._ask_each, nodes, bmcs)
            except RuntimeError as error:
                # No thread can be started. Those that were started before ask all of them.
                log.warning("only %s threads ask for power states now: %s", len(begun), error)
                if not begun:
                    self._leave(nodes)
                break
            begun.append(future)
        return begun

    def _leave(self, nodes: deque[Powered]) -> None:
        """Leave nodes that nobody asks to the next sweep."""
        left = []
        with contextlib.suppress(IndexError):
            while True:
                left.append(nodes.popleft().id)
        with self._lock:
            self._busy.difference_update(left)

    def _ask_each(self, nodes: deque[Powered], bmcs: dict[str, Bmc]) -> None:
        while True:
            try:
                node = nodes.popleft()
            except IndexError:
                return
            self._look(node, bmcs[node.id])

    def _look(self, node: Powered, bmc: Bmc) -> None:
        begun, seen, contrary = self.world.clock(), None, False
        try:
            seen = self._observed(bmc)
            contrary = seen != node.power or (seen == "off" and self._works(node))
        except BmcError as error:
            log.info("power of %s is not known: %s", node.id, error)
        except Exception:
            # One broken adapter must not end the sweep of the others, who wait behind it in this thread.
            log.exception("power of %s could not be asked", node.id)
        took_s = math.inf if seen is None else self.world.clock() - begun
        with self._lock:
            self._busy.discard(node.id)
            self._took_s[node.id] = took_s
            if seen is not None and contrary:
                self._contrary[node.id] = seen

    def _observed(self, bmc: Bmc) -> Reading:
        """Ask the BMC, and note what it cost. Raises BmcError."""
        began = self.world.spent()
        try:
            return self.world.power_of(bmc).observe(bmc)
        finally:
            with self._lock:
                self._helped_s += self.world.spent() - began

    def _works(self, node: Powered) -> bool:
        return self.machine().states[node.state].kind is Kind.BUSY

    # ------------------------------------------------------------ judging

    def _judge(
        self, nodes: Sequence[Powered], bmcs: dict[str, Bmc], found: dict[str, Reading]
    ) -> None:
        """Tell of what was seen again, by the BMC, and is not disproved, by the node."""
        sure = self._agreed(list(self._not_ours(nodes)), bmcs, found)
        lost = [node for node in sure if found[node.id] == "off" and self._works(node)]
        alive = self._alive(lost)
        now = self.world.clock()
        gone = {node.id for node in lost}
        # Again: reading takes time, and a command may have come in between.
        for node in self._not_ours(sure):
            self.tell(_events(node, found[node.id], now, node.id in gone, node.id in alive))

    def _not_ours(self, nodes: Sequence[Powered]) -> Iterator[Powered]:
        """Leave out those where what was seen may be a moment of our own doing, or is about an older state."""
        for at in range(0, len(nodes), AT_ONCE):
            some = nodes[at : at + AT_ONCE]
            names = [node.id for node in some]
            ours = self.store.in_lane("power", names)
            now = {node.id: _record_of(node) for node in powered(self.store, names)}
            yield from (it for it in some if it.id not in ours and now.get(it.id) == _record_of(it))

    def _agreed(
        self, nodes: Sequence[Powered], bmcs: dict[str, Bmc], found: dict[str, Reading]
    ) -> list[Powered]:
        """Return those of whom all further readings say the same: read in rounds, so that nobody waits for another."""
        repeats = {
            node.id: min(LEAST_REPEATS * (1 + self._caught[node.id]), MOST_REPEATS)
            for node in nodes
        }
        left, agreed = list(nodes), []
        for turn in range(1, MOST_REPEATS + 1):
            if not left:
                break
            self._wake.wait(self.pause_s)
            same = self._quick.map(lambda it: self._agrees(it, bmcs[it.id], found[it.id]), left)
            left = [node for node, is_same in zip(left, same, strict=True) if is_same]
            agreed += [node for node in left if repeats[node.id] == turn]
            left = [node for node in left if repeats[node.id] > turn]
        return agreed

    def _agrees(self, node: Powered, bmc: Bmc, seen: Reading) -> bool:
        try:
            again = self._observed(bmc)
        except BmcError as error:
            log.info("power of %s is not known for sure: %s", node.id, error)
            return False
        if again != seen and any(self._not_ours([node])):
            self._caught[node.id] += 1
            log.warning("the BMC of %s says %s and %s in turn: not believed", node.id, seen, again)
        return again == seen

    def _alive(self, nodes: Sequence[Powered]) -> set[str]:
        """Return those whose agent answers: a machine that answers is not off, whatever its BMC says."""
        agents: dict[str, list[str]] = {}
        for node in nodes:
            agents.setdefault(node.agent, []).append(node.id)
        found: set[str] = set()
        for agent, names in agents.items():
            try:
                asked = dict.fromkeys(names, self.world.clock())
                found |= self.world.jobs_of(agent).answering(asked, ANSWER_S)
            except RacksaltError as error:
                log.info("agents of %s cannot be asked: %s", ", ".join(names[:5]), error)
        return found


def _record_of(node: Powered) -> tuple[object, ...]:
    return node.state, node.boot, node.power


def _events(node: Powered, seen: Reading, now: float, lost: bool, alive: bool) -> list[Event]:
    if alive:
        message = "the BMC reports power off, but the node's agent answers: the BMC is not believed"
        log.warning("%s: %s", node.id, message)
        data: dict[str, Any] = {"noted": message}
        return [_event(node, "power_observed", now, data, "doubted")]
    found = []
    if seen != node.power:
        data = {"power": seen, "noted": f"power is {seen}"}
        found.append(_event(node, "power_observed", now, data, seen))
    if lost:
        data = {
            "boot": node.boot,
            "message": "the BMC reports power off, and nobody switched it off",
        }
        found.append(_event(node, "power_lost", now, data, "off"))
    return found


def _event(node: Powered, name: str, at: float, data: dict[str, Any], what: str) -> Event:
    return Event(
        id=f"{name}:{node.id}:{node.version}:{what}",
        node=node.id,
        name=name,
        at=at,
        source="power",
        data=data,
    )
