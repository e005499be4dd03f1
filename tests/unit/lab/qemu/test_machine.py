from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from racksalt.lab.qemu import spec
from racksalt.lab.qemu.machine import QemuMachine
from racksalt.lab.qemu.qmp import Monitor, MonitorError
from racksalt.lab.qemu.spec import Spec
from tests.support.needs import need

# Firmware of our own, in real mode (Intel ICH9 datasheet, sections 13.1.12, 13.7.5 and 13.8.3.3).
HALT = "f4 ebfd"
RESET = bytes.fromhex(f"b006 baf90c ee {HALT}")
"""Writes 06h to the reset control register, port CF9h."""
OFF = bytes.fromhex(
    "66b840f80080 baf80c 66ef 66b801060000 bafc0c 66ef"  # ACPI's registers (PMBASE) at port 600h
    "66b844f80080 baf80c 66ef 66b880000000 bafc0c 66ef"  # and switched on (ACPI_CNTL)
    f"b80020 ba0406 ef {HALT}"
)
"""Asks for sleep state S5 in the register PM1_CNT."""
VECTOR = bytes.fromhex("e90d00")
"""The first instruction, 16 bytes below 4 GiB (Intel SDM volume 3, section 9.1.4): a jump to the ROM's beginning."""
ROM = 65536


@pytest.fixture
def machine(tmp_path):
    """A machine without a network, which is switched off at the end."""
    need("qemu-system-x86_64")
    spec = Spec(id="q1", macs=(), disks_gb=(1,), firmware="uefi", memory_mib=64)
    made = QemuMachine(spec, tmp_path / "q1", ())
    made.prepare()
    yield made
    made.power_off()


@pytest.fixture
def bare_guest(machine, monkeypatch):
    """A machine whose firmware is its file ``rom``."""

    def made(*arguments: Any, **named: Any) -> list[str]:
        words = spec.command(*arguments, **named)
        for number in reversed([n for n, word in enumerate(words) if "if=pflash" in word]):
            del words[number - 1 : number + 1]
        return [*words, "-bios", str(machine.files.folder / "rom")]

    monkeypatch.setattr("racksalt.lab.qemu.machine.command", made)
    return machine


def _does(machine, code: bytes) -> None:
    rom = code.ljust(ROM - 16, b"\0") + VECTOR.ljust(16, b"\0")
    (machine.files.folder / "rom").write_bytes(rom)


async def _until(
    condition: Callable[[], bool], pause_s: float = 0.01, timeout_s: float = 20
) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(pause_s)


def _boots(machine) -> list[tuple[str, str]]:
    """Return why each boot was, and what it was to try first, as the console log says."""
    found = re.findall(
        r"^\[lab .*: (.*), (\w+) first$", machine.files.console.read_text(), re.MULTILINE
    )
    return [(str(why), str(first)) for why, first in found]


def _kill(pid: int) -> None:
    """Kill a child and wait until it is dead, without taking its status from whom it belongs to."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


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
        await _until(lambda: machine.power_state() == "off", timeout_s=10)
        assert machine.pid is None
        machine.power_on()
        assert (machine.power_state(), machine.starts) == ("on", 2)

    asyncio.run(drive())


def test_a_killed_qemu_is_off_before_anything_else_has_looked(machine):
    """Nobody is told "on" of a machine whose process is gone, and switching it on at once does so."""

    async def drive() -> None:
        machine.power_on()
        pid = machine.pid
        _kill(pid)
        assert machine.power_state() == "off"
        machine.power_on()
        assert (machine.power_state(), machine.starts, machine.pid != pid) == ("on", 2, True)
        await asyncio.sleep(0.3)
        assert machine.power_state() == "on", "the end of the first is not that of the second"

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


def test_the_reset_button_is_a_boot_and_no_power_cut(machine):
    """A choice for one boot holds for the next one only, whoever begins it. A machine that is off stays off."""

    async def drive() -> None:
        machine.reset()
        assert (machine.power_state(), machine.starts) == ("off", 0)
        machine.power_on()
        first = machine.pid
        machine.set_boot_device("disk", persistent=False)
        machine.reset()
        assert _ended(first)
        assert (machine.power_state(), machine.starts) == ("on", 1)
        machine.reset()
        assert [first for _, first in _boots(machine)] == ["network", "disk", "network"]

    asyncio.run(drive())


@pytest.mark.parametrize("first", ["disk", "network"])
def test_a_guest_that_resets_itself_boots_in_a_new_process(bare_guest, first):
    """The rail stays on all the time, nobody counts a start, and a choice for one boot is used up by this one.

    What QEMU has translated for one system is not there for the next: it made firmware hang.
    """
    _does(bare_guest, RESET)

    async def drive() -> None:
        bare_guest.power_on()
        before = bare_guest.pid
        bare_guest.set_boot_device(first, persistent=False)
        states = set()

        def again() -> bool:
            states.add(bare_guest.power_state())
            return bare_guest.pid != before

        await _until(again, pause_s=0)
        assert states == {"on"}
        assert _ended(before)
        assert _boots(bare_guest)[1] == ("reset by itself", first)
        assert bare_guest.starts == 1
        later = bare_guest.pid
        await _until(lambda: bare_guest.pid != later)
        assert _boots(bare_guest)[2] == ("reset by itself", "network")

    asyncio.run(drive())


def test_a_guest_that_switches_itself_off_stays_off(bare_guest):
    """QEMU's end says nothing: what it said before does."""
    _does(bare_guest, OFF)

    async def drive() -> None:
        bare_guest.power_on()
        await _until(lambda: bare_guest.power_state() == "off")
        await asyncio.sleep(0.2)
        assert (bare_guest.power_state(), len(_boots(bare_guest))) == ("off", 1)

    asyncio.run(drive())


def test_a_monitor_that_is_not_there_is_told(tmp_path):
    """Nobody waits for ever for a QEMU that is gone."""
    with pytest.raises(MonitorError, match="no monitor"):
        asyncio.run(Monitor.open(tmp_path / "qmp", timeout_s=0.1))
