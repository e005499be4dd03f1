"""One QEMU process as a machine: power rail, boot choice, disks that stay. All methods run on the lab's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from racksalt.lab.processes import stand_back
from racksalt.lab.qemu.qmp import Monitor, MonitorError
from racksalt.lab.qemu.spec import FIRMWARE_VARS, Files, Order, Spec, boot_indices, command

if TYPE_CHECKING:
    from racksalt.lab.bmc_commands import BootDevice


class QemuMachine:
    """What a virtual BMC manages (``racksalt.lab.bmc_commands.Machine``).

    The power rail is the process: it is on exactly while QEMU runs, so a killed QEMU is a power cut and a guest that
    switches itself off is off. Left to itself the firmware tries the network first, as racksalt wants of real ones.
    """

    def __init__(
        self, spec: Spec, folder: Path, taps: Sequence[str], *, accel: str = "tcg"
    ) -> None:
        self.spec = spec
        self.files = Files(folder)
        self.taps = tuple(taps)
        self.starts = 0
        self._accel = accel
        self._process: subprocess.Popen[bytes] | None = None
        self._choice: tuple[BootDevice, bool] = ("none", False)
        self._errands: set[asyncio.Task[None]] = set()

    def prepare(self) -> None:
        """Make what the machine keeps over power cuts, unless it is there: blank disks and firmware variables."""
        self.files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number, size_gb in enumerate(self.spec.disks_gb):
            disk = self.files.disk(number)
            if not disk.exists():
                disk.touch(mode=0o600)
                os.truncate(disk, size_gb * 10**9)
        if self.spec.firmware == "uefi" and not self.files.variables.exists():
            shutil.copyfile(FIRMWARE_VARS, self.files.variables)

    @property
    def pid(self) -> int | None:
        """The process id of the running QEMU."""
        return self._process.pid if self._process and self.power_state() == "on" else None

    # ------------------------------------------------------------ what the BMC can do

    def power_state(self) -> Literal["on", "off"]:
        """Return the state of the power rail now."""
        return "on" if self._process is not None and self._process.poll() is None else "off"

    def power_on(self) -> None:
        """Switch on; nothing happens when it is on."""
        if self.power_state() == "on":
            return
        device, persistent = self._choice
        first: Order = "disk" if device == "disk" else "network"
        if not persistent:
            self._choice = ("none", False)
        self.files.monitor.unlink(missing_ok=True)
        self.starts += 1
        self.say(f"power on, start {self.starts}, {first} first")
        program = command(self.spec, self.files, self.taps, first=first, accel=self._accel)
        program[0] = shutil.which(program[0]) or program[0]
        tether = [sys.executable, "-m", "racksalt.lab.tether", "SIGKILL", str(os.getpid())]
        with self.files.errors.open("ab") as log:
            self._process = subprocess.Popen(
                [*tether, *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.files.folder,
                start_new_session=True,
            )
        stand_back(self._process.pid)
        if first == "disk" and not persistent:
            self._errand(self._network_first())

    def power_off(self) -> None:
        """Cut the power: QEMU is killed, what the guest had not written is lost. Nothing happens when it is off."""
        if self.power_state() == "on" and self._process is not None:
            self.say("power off")
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def power_cycle(self) -> None:
        """Cut the power and switch on again."""
        self.power_off()
        self.power_on()

    def set_boot_device(self, device: BootDevice, persistent: bool) -> None:
        """Choose what boots next, once or from now on; ``none`` takes the choice back."""
        self._choice = (device, persistent)

    def get_boot_device(self) -> tuple[BootDevice, bool]:
        """Return the choice that still stands and whether it persists."""
        return self._choice

    # ------------------------------------------------------------ the rest

    async def reset(self) -> None:
        """Press the reset button: the guest is not asked. Raises MonitorError."""
        monitor = await Monitor.open(self.files.monitor)
        try:
            await monitor.execute("system_reset")
        finally:
            monitor.close()

    def say(self, line: str) -> None:
        """Write a line to the console log, among what the machine itself prints."""
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        with self.files.console.open("a", encoding="utf-8") as log:
            log.write(f"\n[lab {stamp}] {self.spec.id}: {line}\n")

    async def _network_first(self) -> None:
        """Take a choice for one boot back; the firmware has read it, a reset reads the boot order anew."""
        with contextlib.suppress(MonitorError, OSError):
            monitor = await Monitor.open(self.files.monitor)
            try:
                for path, index in _without_clash(boot_indices(self.spec, "network")):
                    with contextlib.suppress(MonitorError):
                        peripheral = f"/machine/peripheral/{path}"
                        await monitor.execute(
                            "qom-set", path=peripheral, property="bootindex", value=index
                        )
            finally:
                monitor.close()

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def _without_clash(indices: dict[str, int]) -> list[tuple[str, int]]:
    """Return the settings in an order in which no two devices ever have one index: QEMU refuses that."""
    aside = [(device, index + 100) for device, index in indices.items()]
    return [*aside, *indices.items()]
