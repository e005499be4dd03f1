"""Looks at the world now and then, because nothing may depend on an event that arrived.

Deadlines that passed, job results, pending keys; power states are in `power_sweep`. Each sweep only hands in events;
what is found twice has the same event id and counts once.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from racksalt.conductor.certificates import erasure_of
from racksalt.conductor.enrolment import KeyCheck
from racksalt.conductor.pace import Pace
from racksalt.conductor.ports import JobResult, MinionKey, World
from racksalt.conductor.view import EXCUSED, Rules
from racksalt.model.errors import RacksaltError
from racksalt.model.event import Event
from racksalt.model.node import Node
from racksalt.store import Store
from racksalt.store.job_reads import Running, running

log = logging.getLogger(__name__)
ERROR_PAUSE_S = 1.0
"""The least pause after a look that failed."""
AWAY_S = 15.0
"""Between two looks at deadlines that are further apart, this machine slept (or its clock was set)."""
SILENT_SHARE, MOST_SHARES, AT_FIRST = 0.25, 8.0, 4
"""A silent agent is asked again after this share of the time after which a job counts as overdue; after the first few
times, twice as long each time, up to a bound: on a slow machine questions must not keep the job from its end."""
BACK_S = 2.0
"""How old a job must be before an agent that came back is asked for it."""
ASKED_S = 1.5
"""How long one look waits for what agents say of their jobs: who is slower is heard by a later one."""
Tell = Callable[[Sequence[Event]], None]


class Sweep(threading.Thread):
    """Calls ``look`` every ``every_s`` seconds, or sooner when poked; an error is logged and the sweep goes on."""

    def __init__(
        self, name: str, every_s: float, look: Callable[[], None], first_s: float = 0.0
    ) -> None:
        super().__init__(name=f"racksalt-{name}", daemon=True)
        self.every_s, self.look, self.first_s = every_s, look, first_s
        self._poked = threading.Event()
        self._ended = False

    def run(self) -> None:
        """Sweep until stopped."""
        self._poked.wait(self.first_s)
        while not self._ended:
            self._poked.clear()
            pause_s = self.every_s
            try:
                self.look()
            except Exception as error:
                # Neither the log nor whatever is in trouble is flooded.
                pause_s = max(pause_s, ERROR_PAUSE_S)
                known = isinstance(error, RacksaltError)
                log.error("%s: %s; next try in %s s", self.name, error, pause_s, exc_info=not known)
            self._poked.wait(pause_s)

    def poke(self) -> None:
        """Sweep now."""
        self._poked.set()

    def stop(self) -> None:
        """End after the present sweep."""
        self._ended = True
        self._poked.set()


class DeadlineSweep:
    """Tells of nodes whose deadline passed; after a sleep of this machine, it lets the world be looked at first."""

    def __init__(
        self, store: Store, world: World, tell: Tell, grace_s: float, rules: Callable[[], Rules]
    ) -> None:
        self.store, self.world, self.tell, self.grace_s = store, world, tell, grace_s
        self.rules = rules
        self._looked_at = world.clock() + grace_s
        self._from = 0.0

    def __call__(self) -> None:
        """One look at all deadlines."""
        now = self.world.clock()
        if now - self._looked_at > AWAY_S:
            log.warning("nobody looked for %.0f s: deadlines wait", now - self._looked_at)
            self._from = now + self.grace_s
        self._looked_at = now
        # A clock that ran ahead and was set back must not leave everybody without a deadline for as long.
        self._from = min(self._from, now + self.grace_s)
        if now >= self._from:
            overdue = self.store.overdue(now, self.rules().longest_s)
            self.tell([_passed(node, now) for node in overdue])


def _passed(node: Node, at: float) -> Event:
    return Event(
        id=f"deadline:{node.id}:{node.boot}:{node.deadline_at}",
        node=node.id,
        name="deadline_passed",
        at=at,
        source="clock",
        data={"boot": node.boot, "deadline_at": node.deadline_at},
    )


class JobSweep:
    """Looks up results of running jobs; asks the agent about those that should have ended."""

    def __init__(self, store: Store, world: World, tell: Tell, lost_s: float) -> None:
        self.store, self.world, self.tell, self.lost_s = store, world, tell, lost_s
        self._began = world.clock()
        self._asked: dict[str, float] = {}
        self._silent: Counter[str] = Counter()
        self._hinted: deque[str] = deque()
        self._back: set[str] = set()
        self._pace = Pace(world.clock, world.spent)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="racksalt-lost")

    def hint(self, jids: Iterable[str]) -> None:
        """Look at these jobs first: their results are said to be there."""
        self._hinted.extend(jids)

    def back(self, nodes: Iterable[str]) -> None:
        """Ask the agents of these nodes soon: they connected anew, so what they had to say may be lost."""
        self._back.update(nodes)

    def __call__(self) -> None:
        """Look up the jobs that were hinted at, and now and then all that run."""
        hinted = {self._hinted.popleft() for _ in range(len(self._hinted))}
        if self._pace.is_due(hinted=bool(hinted)):
            with self._pace.look():
                self._all()
        elif hinted:
            self._look(running(self.store, hinted))

    def _all(self) -> None:
        nodes = running(self.store)
        self._look(nodes)
        known = {node.job for node in nodes}
        self._asked = {jid: at for jid, at in list(self._asked.items()) if jid in known}
        self._silent = Counter({jid: n for jid, n in list(self._silent.items()) if jid in known})

    def _look(self, running: Sequence[Running]) -> None:
        agents: dict[str, list[Running]] = {}
        for node in running:
            agents.setdefault(node.agent, []).append(node)
        for agent, nodes in agents.items():
            try:
                self._look_up(nodes)
            except RacksaltError as error:
                # One kind of agent that cannot be asked must not hide the results of the others.
                log.warning("jobs of %s agents cannot be looked up: %s", agent, error)

    def _look_up(self, nodes: Sequence[Running]) -> None:
        wanted = {(node.job, node.id): node for node in nodes}
        found = self.world.jobs_of(nodes[0].agent).results(list(wanted))
        self.tell([self._result(result, wanted) for result in found])
        ended = {result.jid for result in found}
        self._lost([node for node in nodes if node.job not in ended])

    def _lost(self, nodes: Iterable[Running]) -> None:
        now = self.world.clock()
        overdue = []
        for node in nodes:
            begun, asked = node.job_since or now, self._asked.get(node.job, 0.0)
            wait_s = min(BACK_S, self.lost_s) if node.id in self._back else self.lost_s
            if now - begun >= wait_s and (now - asked >= self.lost_s or node.id in self._back):
                overdue.append(node)
        unsent = self.store.awaiting("run_stage", [node.id for node in overdue]) if overdue else ()
        asking = [node for node in overdue if node.id not in unsent]
        self._back -= {node.id for node in asking}
        self._asked |= dict.fromkeys((node.job for node in asking), now)
        if asking:
            self._pool.submit(self._ask, asking)

    def _ask(self, nodes: Sequence[Running]) -> None:
        """Ask the agents for their jobs, all at once and apart from the sweep, which goes on looking up results.

        After a restart many agents are silent for seconds: they are asked again soon.
        """
        try:
            jobs = self.world.jobs_of(nodes[0].agent)
            wanted = {(node.job, node.id): node for node in nodes}
            outcomes = jobs.outcomes(list(wanted), ASKED_S)
            now = self.world.clock()
            for jid, node in wanted:
                self._heard(jid, now, (jid, node) in outcomes)
            finished = [pair for pair, outcome in outcomes.items() if outcome == "finished"]
            self.tell([self._result(result, wanted) for result in jobs.results(finished)])
            lost = [wanted[pair] for pair, outcome in outcomes.items() if outcome == "lost"]
            self.tell([self._excused(_lost(node, now), node) for node in lost])
        except RacksaltError as error:
            log.warning("agents cannot be asked for their jobs: %s", error)
        except Exception:
            log.exception("agents could not be asked for their jobs")

    def _heard(self, jid: str, now: float, answered: bool) -> None:
        """Note when the agent of a job is to be asked next."""
        if answered:
            self._silent.pop(jid, None)
            return
        shares = min(SILENT_SHARE * 2.0 ** max(0, self._silent[jid] - AT_FIRST + 1), MOST_SHARES)
        self._silent[jid] += 1
        self._asked[jid] = now - self.lost_s + self.lost_s * shares

    def _result(self, result: JobResult, wanted: Mapping[tuple[str, str], Running]) -> Event:
        event = job_event(result, self.world.clock())
        return self._excused(event, wanted.get((result.jid, result.node)))

    def _excused(self, event: Event, node: Running | None) -> Event:
        """Return the event; where a job was lost over our own start, say so: it costs the node no try."""
        ours = node is not None and node.job_since is not None and node.job_since < self._began
        if event.name != "stage_lost" or not ours:
            return event
        return replace(event, data={**event.data, EXCUSED: True})


def _lost(node: Running, at: float) -> Event:
    return Event(
        id=f"lost:{node.job}:{node.id}",
        node=node.id,
        name="stage_lost",
        at=at,
        source="jobs",
        data={"jid": node.job, "boot": node.boot, "stage": node.stage},
    )


def job_event(result: JobResult, at: float) -> Event:
    """Return the event that a job's result is."""
    data: dict[str, Any] = {"jid": result.jid, "message": result.message}
    if result.data.get("inventory"):
        data["inventory"] = result.data["inventory"]
    if isinstance(result.data.get("burn_in"), dict):
        data["burn_in"] = result.data["burn_in"]
    erasure = erasure_of(result.data)
    if erasure:
        data["erasure"] = erasure
    return Event(
        id=f"job:{result.jid}:{result.node}",
        node=result.node,
        name="stage_succeeded" if result.ok else "stage_failed" if result.ran else "stage_lost",
        at=at,
        source="jobs",
        data=data,
    )


class KeySweep:
    """Checks pending keys against the proofs that were seen."""

    def __init__(self, store: Store, world: World, tell: Tell, check: KeyCheck) -> None:
        self.store, self.world, self.tell, self.check = store, world, tell, check
        self._hinted: deque[str] = deque()
        self._pace = Pace(world.clock, world.spent)

    def hint(self, nodes: Iterable[str]) -> None:
        """Look at the keys of these nodes first: they are said to have signed in."""
        self._hinted.extend(nodes)

    def __call__(self) -> None:
        """Check the keys that were hinted at, and now and then all that wait."""
        hinted = {self._hinted.popleft() for _ in range(len(self._hinted))}
        keys = self.world.keys
        if self._pace.is_due(hinted=bool(hinted)):
            with self._pace.look():
                self._check(keys.pending(), None)
        elif hinted:
            found = [key for name in sorted(hinted) for key in keys.get(name)]
            self._check([key for key in found if not key.accepted], hinted)

    def _check(self, pending: Sequence[MinionKey], of: set[str] | None) -> None:
        found = self.check.refusals.few(self.check.events(pending, of=of))
        if found:
            self.tell(found)
