"""The simulated ports against the lab's own end of the wire."""

from __future__ import annotations

import asyncio
import threading

import pytest

from racksalt.adapters.simulated import (
    Links,
    NullKeys,
    SimulatedJobs,
    SimulatedPower,
)
from racksalt.conductor.ports import JobRequest, MinionKey
from racksalt.lab.light import LightAgent
from racksalt.lab.link import LinkServer
from racksalt.lab.machine import Bench, Machine, MachineSpec
from racksalt.model.errors import (
    AgentUnreachableError,
    BmcRefusedError,
    BmcUnreachableError,
    ConflictError,
    InvalidInputError,
)
from racksalt.model.node import Bmc
from tests.support.boot_server import BootServer, kernel_script
from tests.support.waiting import wait_for

JID = "20260101000000000001"


class Lab:
    """A lab in a thread of its own, as the conductor sees it."""

    def __init__(self, folder, names):
        self.folder, self.names, self.links = folder, names, Links()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def do(self, coroutine):
        """Run a coroutine in the lab's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def __enter__(self):
        self.thread.start()
        self.do(self.open())
        return self

    def __exit__(self, *_):
        self.links.close()
        self.do(self.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def open(self):
        """Start boot server, machines and link."""
        self.server = BootServer()
        await self.server.start()
        self.server.script = lambda query: kernel_script(self.server.url, self.by_mac[query["mac"]])
        bench = Bench(folder=self.folder, boot_url=self.server.url, pace=0.01)
        self.machines = {
            name: Machine(MachineSpec(id=name, agent="light"), bench, LightAgent)
            for name in self.names
        }
        self.by_mac = {m.hardware["nics"][0]["mac"]: m.id for m in self.machines.values()}
        self.link = LinkServer(self.machines)
        self.port = await self.link.start()

    async def close(self):
        """Stop it all."""
        for machine in self.machines.values():
            machine.power_off()
        await self.link.close()
        await self.server.close()


def bmc_of(lab, node):
    """Return the BMC as a site would declare it."""
    return Bmc(
        node=node, protocol="simulated", address="127.0.0.1", port=lab.port, username="", secret=""
    )


@pytest.fixture
def lab(tmp_path):
    """Machines with a good and two bad BMCs."""
    with Lab(tmp_path, ["n1", "n2-dead-bmc", "n3-slow-bmc"]) as lab:
        yield lab


def test_power_is_what_the_machine_has(lab):
    """On and off take effect before they return, again is no harm, and the boot choice arrives."""
    power, bmc = SimulatedPower(lab.links), bmc_of(lab, "n1")
    assert power.observe(bmc) == "off"
    power.boot_next(bmc, "network")
    assert lab.machines["n1"].get_boot_device() == ("network", False)
    power.on(bmc)
    power.on(bmc)
    assert power.observe(bmc) == "on"
    power.off(bmc)
    power.off(bmc)
    assert power.observe(bmc) == "off"


def test_a_silent_bmc_delays_nobody_else(lab):
    """No answer raises BmcUnreachableError after the timeout; others answer meanwhile; slow is not dead."""
    links = lab.links
    quick, patient = SimulatedPower(links, timeout_s=0.3), SimulatedPower(links, timeout_s=5)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(patient.observe(bmc_of(lab, "n3-slow-bmc")))
    )
    asking.start()
    with pytest.raises(BmcUnreachableError, match="n2-dead-bmc"):
        quick.observe(bmc_of(lab, "n2-dead-bmc"))
    assert quick.observe(bmc_of(lab, "n1")) == "off"
    assert [quick.is_suspect(bmc_of(lab, name)) for name in ("n1", "n2-dead-bmc")] == [False, True]
    assert not answers
    asking.join(10)
    assert answers == ["off"]


def test_an_unknown_machine_is_refused(lab):
    """The lab says that it has no such machine."""
    with pytest.raises(BmcRefusedError, match="no machine"):
        SimulatedPower(lab.links).observe(bmc_of(lab, "nobody"))


def test_a_lab_that_comes_back_is_found_again(lab):
    """While the lab is away every call raises; afterwards the same port works."""
    power, bmc = SimulatedPower(lab.links, timeout_s=2), bmc_of(lab, "n1")
    assert power.observe(bmc) == "off"
    lab.do(lab.link.close())
    with pytest.raises(BmcUnreachableError):
        power.observe(bmc)
    with pytest.raises(BmcUnreachableError):
        power.observe(bmc)
    lab.link = LinkServer(lab.machines)
    lab.do(lab.link.start(port=lab.port))
    assert power.observe(bmc) == "off"


def test_jobs_reach_the_agent_once_and_their_results_are_kept(lab):
    """A job is run by the agent that is up, once, and a result that was not heard can be looked up."""
    links = lab.links
    power, jobs = SimulatedPower(links), SimulatedJobs(f"127.0.0.1:{lab.port}", links)
    request = JobRequest(jid=JID, node="n1", stage="bios", sls="stages.bios")
    with pytest.raises(AgentUnreachableError, match="n1"):
        jobs.submit([request])
    assert jobs.answering({"n1": 0, "nobody": 0}, 2) == set()
    power.on(bmc_of(lab, "n1"))
    lab.do(lab.server.until(lambda: len(lab.server.reports) == 2))
    assert jobs.answering({"n1": 0, "n3-slow-bmc": 0}, 2) == {"n1"}
    assert jobs.outcomes([(JID, "n1"), (JID, "n3-slow-bmc")], 2) == {(JID, "n1"): "lost"}
    lab.server.statuses = [403]
    jobs.submit([request])
    jobs.submit([request])
    agent = lab.machines["n1"].agent
    assert wait_for(lambda: agent.result(JID), 20) is not None
    (result,) = jobs.results([(JID, "n1"), (JID, "n3-slow-bmc")])
    assert (result.ok, result.node, result.jid) == (True, "n1", JID)
    assert jobs.outcomes([(JID, "n1")], 2) == {(JID, "n1"): "finished"}


def test_silence_proves_nothing(lab):
    """Without an answer no job is called lost and no agent alive; a job cannot be handed in."""
    lab.do(lab.link.close())
    jobs = SimulatedJobs(f"127.0.0.1:{lab.port}", lab.links)
    assert jobs.outcomes([(JID, "n1")], 1) == {}
    assert jobs.answering({"n1": 0}, 1) == set()
    with pytest.raises(AgentUnreachableError, match="lab"):
        jobs.submit([JobRequest(jid=JID, node="n1", stage="bios", sls="x")])


def test_an_address_must_name_a_port():
    """A setting without a port is refused with its value."""
    with pytest.raises(InvalidInputError, match="lab-example"):
        SimulatedJobs("lab-example")


def test_without_a_master_there_are_no_keys():
    """Nothing is pending, nothing can be accepted, revoking does nothing."""
    keys = NullKeys()
    assert keys.pending() == keys.get("n1") == []
    keys.revoke("n1")
    keys.clear_waiting("n1")
    with pytest.raises(ConflictError, match="n1"):
        keys.accept(MinionKey(node="n1", public_key="x", accepted=False))
