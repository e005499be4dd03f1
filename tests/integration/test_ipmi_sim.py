"""Our IPMI client against OpenIPMI's simulator, which shares no code with ours or with pyghmi."""

from __future__ import annotations

import time

import pytest

from racksalt.adapters.bmc_power import BmcSettings
from racksalt.adapters.breaker import BreakerSettings
from racksalt.adapters.ipmi import IpmiPower
from racksalt.conductor.effects import EFFECTS
from racksalt.model.errors import BmcRefusedError, BmcUnreachableError
from tests.integration.test_ipmi_consoles import ipmitool
from tests.support.bmc_rig import rig
from tests.support.builders import NOW, a_task, again
from tests.support.fakes import FakeWorld
from tests.support.ipmi_sim import ipmi_sim
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.daemons, pytest.mark.needs("ipmi_sim")]


@pytest.fixture(name="simulator")
def simulator_fixture(tmp_path):
    """The simulator, its machine switched off."""
    with ipmi_sim(tmp_path) as running:
        yield running


@pytest.fixture(name="power")
def power_fixture(simulator):
    """The adapter, patient enough to be asked again and again."""
    settings = BmcSettings(breaker=BreakerSettings(failures=1000), uefi=False)
    adapter = IpmiPower(simulator.secrets, settings=settings)
    # The process is up when it answers.
    assert wait_for(lambda: _answers(adapter, simulator.record()), 30) is not None
    yield adapter
    adapter.close()


def _answers(adapter, bmc):
    try:
        return adapter.observe(bmc) is not None
    except BmcUnreachableError:
        return False


def test_the_power_port_drives_it(simulator, power):
    """Look, choose the boot device, switch on and off: each change reaches the machine once."""
    bmc = simulator.record()
    assert power.observe(bmc) == "off"
    power.boot_next(bmc, "network")
    power.on(bmc)
    assert power.observe(bmc) == "on"
    power.off(bmc)
    assert power.observe(bmc) == "off"
    assert simulator.changes() == ["boot pxe", "power 1", "power 0"]


def test_a_wrong_password_is_refused_in_words(simulator, power):
    """Not taken for silence, and not shown."""
    with pytest.raises(BmcRefusedError, match="password") as caught:
        power.observe(simulator.record("file:wrong"))
    assert caught.value.detail["login"] is True
    assert "battery" not in str(caught.value)


def test_factory_logins_are_tried_and_none_is_let_in(simulator, power):
    """The simulator has one account, and that has another password."""
    assert power.default_logins(simulator.record()) == []


def cycle(power, bmc, limit_s=60.0):
    """Carry out the effect power_cycle as the dispatcher does: with its progress, until it is done."""
    world = FakeWorld(clock=time.time).ports
    world.power["ipmi"] = power
    task, end = a_task(bmc=bmc), time.monotonic() + limit_s
    while time.monotonic() < end:
        [result] = EFFECTS["power_cycle"](world, [task], NOW)
        if result.again_after_s is None:
            return result
        task = again(task, result)
        time.sleep(min(result.again_after_s, 1.0))
    raise AssertionError("the cycle did not end")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0, 1.5, 5.5])
def test_a_slow_machine_is_switched_once(simulator, power, seconds):
    """A change that takes longer than we wait for its answer is looked for, not asked for again.

    The simulator carries out every retransmission of a power command that is still being carried out.
    """
    (simulator.folder / "power").write_text("1")
    simulator.slow_down(seconds)
    result = cycle(power, simulator.record())
    assert result.progress["seen"] == "on"
    # Every boot choice may be repeated; no power action may.
    assert [one for one in simulator.changes() if one != "boot pxe"] == ["power 0", "power 1"]


@pytest.mark.needs("ipmitool")
def test_ipmitool_sees_the_labs_bmc_as_it_sees_the_simulator(simulator, power, tmp_path):
    """The same words get the same answers from both."""
    home = tmp_path / "home"
    with rig(tmp_path) as made:
        [ours] = made.add()
        for words in (
            ("power", "status"),
            ("power", "on"),
            ("power", "status"),
            ("chassis", "bootdev", "pxe"),
            ("power", "reset"),
            ("power", "off"),
            ("power", "status"),
        ):
            said = [
                ipmitool(bmc, *words, suite=["-C", "3"], home=home) for bmc in (simulator, ours)
            ]
            assert [one.returncode for one in said] == [0, 0]
            assert said[0].stdout == said[1].stdout
        assert simulator.changes() == ["power 1", "boot pxe", "reset 1", "power 0"]
        assert ours.machine.calls == ["on", "cycle", "off"]
