from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from racksalt.lab.qemu.machine import QemuMachine
from racksalt.lab.qemu.qmp import Monitor, MonitorError
from racksalt.lab.qemu.spec import Spec, boot_indices
from tests.support.needs import need


@pytest.fixture
def machine(tmp_path):
    """A machine without a network, which is switched off at the end."""
    need("qemu-system-x86_64")
    spec = Spec(id="q1", macs=(), disks_gb=(1,), firmware="uefi", memory_mib=64)
    made = QemuMachine(spec, tmp_path / "q1", ())
    made.prepare()
    yield made
    made.power_off()


def _ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_power_rail_is_the_process(machine):
    """On starts QEMU, off ends it; both twice do no harm."""

    async def drive() -> None:
        machine.power_on()
        pid = machine.pid
        machine.power_on()
        assert (machine.power_state(), machine.pid, machine.starts) == ("on", pid, 1)
        machine.power_off()
        machine.power_off()
        assert machine.power_state() == "off"
        assert _ended(pid)

    asyncio.run(drive())


def test_a_killed_qemu_is_a_power_cut(machine):
    """Whoever kills the process has cut the power, and it can be switched on again."""

    async def drive() -> None:
        machine.power_on()
        os.kill(machine.pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while machine.power_state() == "on":
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        assert machine.pid is None
        machine.power_on()
        assert machine.power_state() == "on"

    asyncio.run(drive())


def test_what_is_on_the_disks_stays_over_power_cuts_and_preparations(machine):
    """Blank disks are made once."""
    disk = machine.files.disk(0)
    assert disk.stat().st_size == 10**9
    with disk.open("r+b") as file:
        file.write(b"kept")
    machine.prepare()
    assert disk.read_bytes()[:4] == b"kept"


def test_a_choice_for_one_boot_is_used_up_by_it(machine):
    """After a boot from disk for once, the next start tries the network first again."""

    async def drive() -> None:
        machine.set_boot_device("disk", persistent=False)
        machine.power_cycle()
        assert machine.get_boot_device() == ("none", False)
        machine.set_boot_device("disk", persistent=True)
        machine.power_cycle()
        assert machine.get_boot_device() == ("disk", True)

    asyncio.run(drive())


def test_a_running_machine_takes_a_choice_for_one_boot_back(machine):
    """The boot order that a reset will find is network first again, soon after the start."""
    wanted = boot_indices(machine.spec, "network")["disk0"]

    async def order() -> int:
        monitor = await Monitor.open(machine.files.monitor)
        try:
            path = "/machine/peripheral/disk0"
            return await monitor.execute("qom-get", path=path, property="bootindex")
        finally:
            monitor.close()

    async def drive() -> None:
        machine.set_boot_device("disk", persistent=False)
        machine.power_on()
        end = time.monotonic() + 20
        while await order() != wanted:
            assert time.monotonic() < end

    asyncio.run(drive())


def test_the_reset_button_resets(machine):
    """QEMU carries out a reset and goes on as the same process."""

    async def drive() -> None:
        machine.power_on()
        pid = machine.pid
        await machine.reset()
        assert machine.pid == pid

    asyncio.run(drive())


def test_a_monitor_that_is_not_there_is_told(tmp_path):
    """Nobody waits for ever for a QEMU that is gone."""
    with pytest.raises(MonitorError, match="no monitor"):
        asyncio.run(Monitor.open(tmp_path / "qmp", timeout_s=0.1))
