"""Two hundred BMCs, every fifth of them in trouble: who is asked, who waits, and what becomes of the nodes."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

from racksalt.adapters.bmc_power import BmcSettings
from racksalt.adapters.breaker import BreakerSettings
from racksalt.adapters.ipmi import IpmiPower
from racksalt.conductor import Conductor
from racksalt.conductor.power_sweep import SLOW_S, PowerSweep
from racksalt.lab.bmc import Fate, LabBmc
from racksalt.lab.fates import fate_of
from racksalt.lab.host import bmc_fate
from racksalt.psm.table import MACHINE
from racksalt.settings import ConductorSettings
from tests.support.bmc_rig import record, rig
from tests.support.builders import a_node, the_rules
from tests.support.fakes import FakeWorld
from tests.support.waiting import wait_for

TROUBLES = ("lossy-bmc", "full-bmc", "slow-bmc", "lying-bmc", "dead-bmc")
EACH, GOOD = 4, 180
QUICK = "racksalt-power-sweep"
"""How the threads are called that nobody may hold up who is known to be slow."""
BUSY = ("installing", "commissioning", "discovering", "enrolling", "booting")


class TroubledBmc(LabBmc):
    """One that knows by name what is wrong with it."""

    trouble = ""


class Site:
    """The nodes and their BMCs, with a real database, real decisions and the real adapter."""

    def __init__(self, bmcs, store):
        self.store, self.bmcs = store, {}
        fates = [""] * GOOD + [trouble for trouble in TROUBLES for _ in range(EACH)]
        random.Random(1).shuffle(fates)
        for one, trouble in zip(bmcs.add(len(fates), kind=TroubledBmc), fates, strict=True):
            one.trouble, one.fate = trouble, bmc_fate(fate_of(trouble))
            # Late enough to be told from the good ones, four times in each login.
            one.fate.latency_s = min(one.fate.latency_s, 0.6)
            one.machine.power = "on"
            self.bmcs[one.name] = one
        world = FakeWorld(clock=time.time)
        settings = BmcSettings(breaker=BreakerSettings(pause_s=1.0, longest_pause_s=4.0))
        self.power = world.ports.power["ipmi"] = IpmiPower(bmcs.secrets, settings=settings)
        self.asked = {}
        self._really_observe, self.power.observe = self.power.observe, self._observe
        self.rules = the_rules()
        self.conductor = Conductor(
            store, lambda: self.rules, world.ports, ConductorSettings(), b"s" * 32
        )
        self._fill()
        self.events = []
        self.sweep = PowerSweep(store, world.ports, self._tell, lambda: MACHINE, 16)
        self.sweep.pause_s = 0.1

    def _fill(self):
        """Half of the nodes are busy, with deadlines far ahead, half at rest."""
        now = time.time()
        nodes = []
        for number, name in enumerate(self.bmcs):
            state = "ready" if number % 2 else BUSY[number // 2 % len(BUSY)]
            deadline = None if number % 2 else now + 3600
            nodes.append(
                a_node(
                    name, state, power="on", boot=1, deadline_at=deadline, approved=True,
                    state_since=now, created_at=now,
                )
            )  # fmt: skip
        with self.store.write() as tx:
            tx.add_nodes(nodes)
            tx.put([record(one) for one in self.bmcs.values()])
        self.states = {node.id: node.state for node in nodes}

    def _tell(self, events):
        self.events += events
        self.conductor.handle(events)

    def look(self):
        """Sweep once; return the seconds that it took."""
        begun = time.monotonic()
        self.sweep()
        return time.monotonic() - begun

    def threads(self):
        """Sweep once; return which thread asked each BMC first, and those who were slow or silent the time before."""
        slow = {name for name, took_s in self.sweep._took_s.items() if took_s > SLOW_S}
        self.asked.clear()
        self.look()
        self.rest()
        return dict(self.asked), slow

    def _observe(self, bmc):
        self.asked.setdefault(bmc.node, threading.current_thread().name)
        return self._really_observe(bmc)

    def rest(self):
        """Wait until the slow ones have answered too, or failed."""
        assert wait_for(lambda: not self.sweep._busy, 60) is not None

    def circuits(self, *troubles):
        """Return how many circuits of these BMCs are in each state."""
        return Counter(
            self.power.circuit(record(one)) for one in self.bmcs.values() if one.trouble in troubles
        )

    def close(self):
        """End workers and threads."""
        self.power.close()
        self.conductor.stop()


@pytest.fixture(name="site")
def site_fixture(tmp_path, sqlite_store):
    """The site, its BMCs served by a thread of this process."""
    with rig(tmp_path) as bmcs:
        made = Site(bmcs, sqlite_store)
        yield made
        made.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_bmcs_in_trouble_delay_nobody_and_move_no_node(site):
    """Packets lost, sessions refused, answers late, readings wrong, silence: the other BMCs do not notice.

    The circuits of those that let nobody in open, and close when they are well again; no node leaves its state, and
    the power of none is recorded as off.
    """
    # The first sweep finds out who is slow: a good BMC may have to wait for one.
    site.look()
    site.rest()
    for _ in range(3):
        asked, slow = site.threads()
        assert asked.keys() == site.bmcs.keys()
        assert slow >= {name for name, one in site.bmcs.items() if one.trouble == "dead-bmc"}
        quick = {name for name, thread in asked.items() if thread.startswith(QUICK)}
        assert not quick & slow
        assert quick >= {name for name, one in site.bmcs.items() if not one.trouble} - slow
    assert site.circuits("full-bmc", "dead-bmc")["closed"] == 0
    assert site.circuits("", "lying-bmc") == {"closed": GOOD + EACH}
    for one in site.bmcs.values():
        one.fate = Fate()

    def mended():
        site.look()
        site.rest()
        return site.circuits("", *TROUBLES) == {"closed": len(site.bmcs)}

    assert wait_for(mended, 60, every_s=0.5) is not None
    nodes = site.store.nodes()
    assert {node.id: node.state for node in nodes} == site.states
    assert {node.power for node in nodes} == {"on"}
    assert all(not one.machine.calls for one in site.bmcs.values())
    assert "power_lost" not in {event.name for event in site.events}


@pytest.mark.slow
def test_a_machine_that_is_really_off_is_told_of_among_the_liars(site):
    """Doubt does not hide the truth: a busy node whose power is gone is started again, a quiet one is recorded."""
    busy = next(n for n, s in site.states.items() if s == "installing")
    quiet = next(n for n, s in site.states.items() if s == "ready")
    for one in site.bmcs.values():
        if one.trouble != "lying-bmc":
            one.fate = Fate()
    for name in (busy, quiet):
        site.bmcs[name].fate = Fate()
        site.bmcs[name].machine.power = "off"
    site.look()
    assert sorted((event.node, event.name) for event in site.events) == sorted(
        [(busy, "power_observed"), (busy, "power_lost"), (quiet, "power_observed")]
    )
    assert site.store.node(quiet).power == "off"
    assert (site.store.node(busy).state, site.store.node(busy).boot) == ("installing", 2)
    assert site.store.in_lane("power", [busy])
