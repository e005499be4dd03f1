"""One QEMU process as a machine: power rail, boot choice, disks that stay. All methods run on the lab's event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from racksalt.lab.processes import stand_back
from racksalt.lab.qemu.qmp import RESET, live
from racksalt.lab.qemu.spec import FIRMWARE_VARS, Files, Order, Spec, command

if TYPE_CHECKING:
    from racksalt.lab.bmc_commands import BootDevice


class QemuMachine:
    """What a virtual BMC manages (``racksalt.lab.bmc_commands.Machine``).

    The power rail is the process: a killed QEMU is a power cut, and a guest that switches itself off is off. A guest
    that resets itself gets another process: what QEMU has translated for the one system costs the next one dearly,
    whose every write into such memory is looked up (seen: firmware whose stack came to lie there ran nothing but its
    timer's interrupt). Left to itself the firmware tries the network first, as racksalt wants of real ones.
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
        """QEMU while the rail is on, one that was killed, or between two the one that has just ended by itself."""
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
        """The process id of QEMU while the rail is on."""
        return self._process.pid if self._process and self.power_state() == "on" else None

    # ------------------------------------------------------------ what the BMC can do

    def power_state(self) -> Literal["on", "off"]:
        """Return the state of the power rail now.

        A QEMU that was killed or failed is off at once; of one that ended by itself `_follow` finds out why.
        """
        return "on" if self._process is not None and not self._process.poll() else "off"

    def power_on(self) -> None:
        """Switch on; nothing happens when it is on."""
        if self.power_state() == "off":
            self.starts += 1
            self._boot(f"power on, start {self.starts}")

    def power_off(self) -> None:
        """Cut the power: QEMU is killed, what the guest had not written is lost. Nothing happens when it is off."""
        if self.power_state() == "on":
            self.say("power off")
            self._end()

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

    def reset(self) -> None:
        """Press the reset button: the guest is not asked. Nothing happens when the machine is off."""
        if self.power_state() == "on":
            self._end()
            self._boot("reset")

    def say(self, line: str) -> None:
        """Write a line to the console log, among what the machine itself prints."""
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        with self.files.console.open("a", encoding="utf-8") as log:
            log.write(f"\n[lab {stamp}] {self.spec.id}: {line}\n")

    def _boot(self, why: str) -> None:
        """Start QEMU for one boot: what is to be tried first is asked then, and a choice for once is used up."""
        device, persistent = self._choice
        first: Order = "disk" if device == "disk" else "network"
        if not persistent:
            self._choice = ("none", False)
        self.files.monitor.unlink(missing_ok=True)
        self.say(f"{why}, {first} first")
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
        self._errand(self._follow(self._process))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    async def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Let QEMU begin; when it ends and nobody here has ended it, start another if its guest has reset itself."""
        reason = await live(self.files.monitor, lambda: process.poll() is None)
        if not reason:
            process.kill()  # it was killed, or cannot be talked to and waits for ever
        await asyncio.to_thread(process.wait)
        if process is self._process:
            self._process = None
            if reason == RESET:
                self._boot("reset by itself")

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
