"""The world in memory: BMCs, agents, keys and a bus that behave, and misbehave, as told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from racksalt.conductor.ports import JobResult, MinionKey, World
from racksalt.model.errors import ConflictError
from tests.support.builders import NOW


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        """Return the time."""
        return self.now

    def pass_(self, seconds):
        """Let time pass."""
        self.now += seconds


@dataclass
class FakeMachine:
    """One BMC and its server. ``slow_off`` and ``slow_on``: how many looks it takes until an action shows."""

    power: str = "off"
    slow_off: int = 0
    slow_on: int = 0
    ons: int = 0
    error: Exception | None = None
    pending: list = field(default_factory=list)

    def begin(self, wanted, looks):
        """Start to change; the same again changes nothing."""
        self.ons += wanted == "on"
        if not self.pending or self.pending[0][0] != wanted:
            self.pending = [(wanted, looks)]

    def look(self):
        """Return the power state; what was asked for comes nearer by one look."""
        if self.pending:
            wanted, looks = self.pending[0]
            if looks <= 0:
                self.power = wanted
                self.pending.clear()
            else:
                self.pending[0] = (wanted, looks - 1)
        return self.power


class FakePower:
    """The port ``Power``. ``log`` has every call as (node, what); ``on_call`` is told of each before it is done."""

    def __init__(self):
        self.machines, self.log, self.on_call = {}, [], lambda node, what: None
        self.suspects = set()
        self._lock = threading.Lock()

    def of(self, node):
        """Return the machine behind a node's BMC."""
        return self.machines.setdefault(node, FakeMachine())

    def observe(self, bmc):
        """Return the power state."""
        return self._do(bmc, "observe").look()

    def on(self, bmc):
        """Switch on."""
        machine = self._do(bmc, "on")
        machine.begin("on", machine.slow_on)

    def off(self, bmc):
        """Switch off."""
        machine = self._do(bmc, "off")
        machine.begin("off", machine.slow_off)

    def boot_next(self, bmc, device):
        """Choose the boot device."""
        self._do(bmc, f"boot {device}")

    def is_suspect(self, bmc):
        """Say whether the node is one of ``suspects``."""
        return bmc.node in self.suspects

    def calls(self, node):
        """Return what was done to one BMC, in order."""
        return [what for name, what in self.log if name == node]

    def _do(self, bmc, what):
        self.on_call(bmc.node, what)
        with self._lock:
            self.log.append((bmc.node, what))
            machine = self.of(bmc.node)
        if machine.error is not None:
            raise machine.error
        return machine


class FakeJobs:
    """The port ``Jobs``. ``up``: nodes whose agent answers. A stage ends well at once, unless ``verdict`` differs."""

    def __init__(self, verdict=None):
        self.up, self.submitted, self.forgotten = set(), [], set()
        self.verdict = verdict or (lambda _request: (True, "done"))

    def submit(self, requests):
        """Take jobs; a job id counts once."""
        known = {job.jid for job in self.submitted}
        self.submitted += [job for job in requests if job.jid not in known]

    def results(self, wanted):
        """Return what became of the jobs; a verdict of None is a job that still runs."""
        asked, found = set(wanted), []
        for job in list(self.submitted):
            verdict = self.verdict(job) if (job.jid, job.node) in asked else None
            if verdict is not None and job.jid not in self.forgotten:
                found.append(
                    JobResult(jid=job.jid, node=job.node, ok=verdict[0], message=verdict[1])
                )
        return found

    def outcomes(self, wanted, timeout_s):
        """Return what the agents know of the jobs."""
        known = {job.jid for job in self.submitted} - set(self.forgotten)
        ended = {result.jid for result in self.results(wanted)}
        return {
            (jid, node): "lost" if jid not in known else "finished" if jid in ended else "running"
            for jid, node in wanted
        }

    def connected(self, nodes):
        """Miss no question."""

    def answering(self, since, timeout_s):
        """Return who answers."""
        return since.keys() & self.up


class FakeKeys:
    """The port ``Keys``: a key store with ``held`` keys, one list of ``MinionKey``."""

    def __init__(self):
        self.held, self.log = [], []

    def offer(self, node, public_key):
        """Let a minion ask to be accepted."""
        self.held.append(MinionKey(node=node, public_key=public_key, accepted=False))

    def pending(self):
        """Return keys that wait."""
        return [key for key in self.held if not key.accepted]

    def get(self, node):
        """Return a node's keys."""
        return [key for key in self.held if key.node == node]

    def accept(self, key):
        """Accept this pending key."""
        self.log.append(("accept", key.node, key.public_key))
        if key not in self.held:
            raise ConflictError(f"the key of {key.node} is another one by now")
        self.held.remove(key)
        self.held.append(MinionKey(node=key.node, public_key=key.public_key, accepted=True))

    def revoke(self, node):
        """Delete a node's keys."""
        self.log.append(("revoke", node, ""))
        self.held = [key for key in self.held if key.node != node]

    def clear_waiting(self, node):
        """Delete a node's keys that wait."""
        self.log.append(("clear", node, ""))
        self.held = [key for key in self.held if key.node != node or key.accepted]


class FakeAnnouncer:
    """The port ``Announcer``: keeps what was published."""

    def __init__(self):
        self.published = []

    def publish(self, tag, payload):
        """Keep it."""
        self.published.append((tag, payload))


class FakeWorld:
    """All ports and their world. ``ports`` is what the conductor gets."""

    def __init__(self, clock=None, agent_poll_s=0.05):
        self.clock = clock or FakeClock()
        self.power, self.jobs, self.keys = FakePower(), FakeJobs(), FakeKeys()
        self.announcer = FakeAnnouncer()
        self.ports = World(
            clock=self.clock,
            power={"simulated": self.power},
            jobs={"salt": self.jobs, "light": self.jobs},
            keys=self.keys,
            announcer=self.announcer,
            agent_poll_s=agent_poll_s,
        )


def wait_for(condition, timeout_s=20.0, what="it"):
    """Wait until ``condition()`` is true and return its value."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.005)
    return found
