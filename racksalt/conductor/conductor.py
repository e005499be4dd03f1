"""The conductor of one process: takes events in, commits them, carries out effects, sweeps the world."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from racksalt.conductor.answers import Answers
from racksalt.conductor.certificates import Seal
from racksalt.conductor.dispatch import Dispatcher
from racksalt.conductor.enrolment import KeyCheck
from racksalt.conductor.handle import Outcome
from racksalt.conductor.ports import World
from racksalt.conductor.power_sweep import PowerSweep
from racksalt.conductor.sweeps import DeadlineSweep, JobSweep, KeySweep, Sweep
from racksalt.conductor.view import Rules
from racksalt.conductor.writer import Writer
from racksalt.model.errors import StoreError
from racksalt.model.event import Event
from racksalt.settings import ConductorSettings
from racksalt.store import Store
from racksalt.wire import state_payload, state_tag

log = logging.getLogger(__name__)
BEAT_S = 2.0
SILENT_S = 6.0
"""A conductor that was silent for so long is dead: others take over what it holds."""
MARK_S = 1.0
PUBLISHED = "published"
"""The mark that says up to which journal entry transitions were published."""


class Conductor:
    """Without ``start`` it only takes events in (boot API, CLI, runner); started, it also drives the world.

    Any number of conductors may run over one database: effects are leased, events are de-duplicated.
    """

    def __init__(
        self,
        store: Store,
        rules: Callable[[], Rules],
        world: World,
        settings: ConductorSettings,
        secret: bytes,
        seal: Seal | None = None,
    ) -> None:
        self.seal = seal
        self.store, self.rules, self.world, self.settings = store, rules, world, settings
        self.check = KeyCheck(store, world.clock, secret)
        self.writer = Writer(
            store, rules, world.clock, batch=settings.batch, lease_s=settings.lease_s, seal=seal
        )
        self._dispatcher: Dispatcher | None = None
        self._sweeps: dict[str, Sweep] = {}
        self._answers: Answers | None = None
        self._pulse = 0
        self._published = 0
        self._marked = 0.0
        self._beaten = world.clock()
        self._jobs: JobSweep | None = None
        self._keys: KeySweep | None = None

    async def submit(self, event: Event) -> Outcome:
        """Take in an event; return its outcome after the commit.

        Raises:
            StoreError: nothing was written; hand it in again.
        """
        loop = asyncio.get_running_loop()
        if self._answers is None or self._answers.loop is not loop:
            self._answers = Answers(loop)
        answer = self._answers.expect()
        self.writer.take(event, answer)
        return await answer.future

    def handle_wait(self, event: Event, timeout_s: float = 30) -> Outcome:
        """Take in an event from synchronous code; return its outcome after the commit.

        Raises:
            StoreError: nothing was written, or nothing is known after ``timeout_s``.
        """
        return self.handle([event], timeout_s)[0]

    def handle(self, events: Sequence[Event], timeout_s: float = 60) -> list[Outcome]:
        """Take in several events; return their outcomes, in order, after the commit. Raises as ``handle_wait``."""
        futures: list[Future[Outcome]] = [self.writer.put(event) for event in events]
        try:
            return [future.result(timeout_s) for future in futures]
        except FutureTimeoutError:
            raise StoreError(
                f"the database took nothing in for {timeout_s:g} s: the event may be written yet",
                "hand it in again with the same id",
            ) from None

    def start(self) -> None:
        """Begin to carry out effects and to sweep the world; returns at once."""
        settings = self.settings
        self._dispatcher = Dispatcher(
            self.world,
            settings.workers,
            self.writer.finished,
            lambda ids: self.store.held(ids, self.writer.owner),
        )
        self.writer.owner, self.writer.room = secrets.token_hex(8), self._dispatcher.room
        self.writer.leased = self._dispatcher.leased
        self._published = self.store.mark(PUBLISHED)
        self._beaten = self.world.clock()
        tell, store, world = self.writer.note, self.store, self.world
        power = PowerSweep(
            store,
            world,
            tell,
            lambda: self.rules().machine,
            settings.workers,
            lambda: (self.writer.owner, store.conductors(world.clock() - SILENT_S)),
        )
        self._jobs = JobSweep(store, world, tell, settings.job_lost_s)
        self._keys = KeySweep(store, world, tell, self.check)
        self._beat()
        self.sweep("beat", BEAT_S, self._beat)
        self.sweep("work", settings.poll_s, self._look)
        late = DeadlineSweep(store, world, tell, settings.start_grace_s, self.rules)
        self.sweep("deadlines", 1.0, late, first_s=settings.start_grace_s)
        self.sweep("jobs", settings.jobs_sweep_s, self._jobs)
        self.sweep("keys", settings.keys_sweep_s, self._keys)
        self.sweep("power", settings.power_sweep_s, power)
        if world.announcer is not None:
            self.sweep("publish", max(settings.poll_s, 0.1), self._publish)

    def returned(self, jids: Sequence[str]) -> None:
        """Look up these jobs now: something said that they ended."""
        if self._jobs is not None and jids:
            self._jobs.hint(jids)
            self.poke("jobs")

    def connected(self, nodes: Sequence[str]) -> None:
        """Ask the agents of these nodes soon: something said that they connected anew."""
        if self._jobs is not None and nodes:
            self._jobs.back(nodes)
            for jobs in self.world.jobs.values():
                jobs.connected(nodes)

    def signed_in(self, nodes: Sequence[str]) -> None:
        """Check the waiting keys of these nodes now: something said that they signed in."""
        if self._keys is not None and nodes:
            self._keys.hint(nodes)
            self.poke("keys")

    def poke(self, sweep: str) -> None:
        """Sweep ``jobs``, ``keys``, ``power`` or ``work`` now, because of a hint."""
        if sweep in self._sweeps:
            self._sweeps[sweep].poke()

    def stop(self) -> None:
        """End every thread; what is leased and not done is done again by the next conductor."""
        for sweep in self._sweeps.values():
            sweep.stop()
        for sweep in self._sweeps.values():
            sweep.join(timeout=10)
        self.writer.leased = None
        if self._dispatcher is not None:
            self._dispatcher.stop()
        self.writer.stop()
        if self._dispatcher is not None:
            self._leave()

    def _leave(self) -> None:
        try:
            with self.store.write() as tx:
                tx.leave(self.writer.owner)
        except StoreError as error:
            log.warning("others must wait for what this conductor held: %s", error)

    def sweep(
        self, name: str, every_s: float, look: Callable[[], None], first_s: float = 0.0
    ) -> None:
        """Look at something every ``every_s`` seconds until the conductor stops."""
        sweep = Sweep(name, every_s, look, first_s)
        sweep.start()
        self._sweeps[name] = sweep

    def _beat(self) -> None:
        with self.store.write() as tx:
            now = self.world.clock()
            # Whatever kept this one from writing for so long kept the others, too: their turn comes next.
            late_s = max(0.0, now - self._beaten - BEAT_S)
            freed = tx.beat(
                self.writer.owner,
                now,
                lease_s=self.settings.lease_s,
                silent_s=SILENT_S + late_s,
                held=self._dispatcher.held() if self._dispatcher else (),
            )
        self._beaten = now
        if freed:
            log.info("took over %s effects of a conductor that is gone", freed)
            self.writer.look()

    def _look(self) -> None:
        pulse = self.store.pulse()
        if pulse != self._pulse or self.store.is_due(self.world.clock()):
            self._pulse = pulse
            self.writer.look()

    def _publish(self) -> None:
        entries = self.store.journal(self._published, 500)
        for entry in entries:
            if entry.kind == "transition" and self.world.announcer is not None:
                tag = state_tag(entry.node, entry.to_state)
                self.world.announcer.publish(tag, state_payload(entry))
        now = self.world.clock()
        if entries and now - self._marked > MARK_S:
            # Published again after a crash in between: announcements may repeat, they never lack.
            self._marked = now
            self.store.set_mark(PUBLISHED, entries[-1].seq)
        if entries:
            self._published = entries[-1].seq
