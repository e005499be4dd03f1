"""A virtual machine: a power rail, firmware, a boot choice, a disk that stays, and whatever system it boots.

All methods are called on the event loop of the lab and never block. `Machine` is what a virtual BMC manages
(``racksalt.lab.bmc_commands.Machine``).
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from racksalt.lab.fates import Fate, fate_of
from racksalt.lab.firmware import Environment, RestartedError, start_up
from racksalt.lab.hardware import make_hardware
from racksalt.lab.http import Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from racksalt.lab.bmc_commands import BootDevice

FIRST_DROP_S = 1.5
"""Shortest time from the start of a system to the first power drop of the fate ``flapping-power``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all machines of one lab share. ``pace`` stretches (> 1) or shortens the waits of firmware and systems."""

    folder: Path
    boot_url: str
    pace: float = 1.0
    post_s: float = 1.0
    keep_logs: bool = True
    acknowledged_s: list[float] = field(default_factory=list)
    """How long each report took to be acknowledged, as the machines saw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """One machine as asked for. ``declared`` may fix serial, system_uuid and macs; ``disguise`` names another node."""

    id: str
    agent: Literal["salt", "light"] = "salt"
    source: str | None = None
    declared: dict[str, Any] = field(default_factory=dict)
    disguise: str | None = None


class Agent(Protocol):
    """The operating systems of one machine: of the boot environments and of its own disk."""

    def has_system(self) -> bool:
        """Say whether the disk boots."""
        ...

    async def run(self, environment: Environment) -> None:
        """Be the booted system until cancelled."""
        ...

    def kill(self) -> None:
        """Stop everything at once, as a power cut does."""
        ...


class Machine:
    """One virtual server. ``make_agent`` gives it its operating systems."""

    def __init__(
        self, spec: MachineSpec, bench: Bench, make_agent: Callable[[Machine], Agent]
    ) -> None:
        self.id = spec.id
        self.spec = spec
        self.bench = bench
        self.fate: Fate = fate_of(spec.id)
        self.hardware = make_hardware(
            spec.id, declared=spec.declared, fate=self.fate, disguise=spec.disguise
        )
        self.folder = bench.folder / spec.id
        self.caller = Caller(spec.source)
        self.starts = 0
        self.network_boots = 0
        self.environment: Environment | None = None
        self._on = False
        self._drops = 0
        self._drop: asyncio.TimerHandle | None = None
        self._boot_device: tuple[BootDevice, bool] = ("none", False)
        self._life: asyncio.Task[None] | None = None
        self.agent = make_agent(self)

    # ------------------------------------------------------------ what the BMC can do

    def power_state(self) -> Literal["on", "off"]:
        """Return the state of the power rail now."""
        return "on" if self._on else "off"

    def power_on(self) -> None:
        """Switch on; nothing happens when it is on."""
        if self._on:
            return
        self._on = True
        self.starts += 1
        self.say("power on")
        self._life = asyncio.get_running_loop().create_task(self._live(), name=f"machine {self.id}")

    def power_off(self) -> None:
        """Cut the power: whatever runs is gone at once. Nothing happens when it is off."""
        if not self._on:
            return
        self._on = False
        self.say("power off")
        if self._drop is not None:
            self._drop.cancel()
        if self._life is not None:
            self._life.cancel()
        self.agent.kill()
        self.caller.close()
        self.environment = None

    def power_cycle(self) -> None:
        """Cut the power and switch on again."""
        self.power_off()
        self.power_on()

    def set_boot_device(self, device: BootDevice, persistent: bool) -> None:
        """Choose what boots next, once or from now on; ``none`` takes the choice back."""
        self._boot_device = (device, persistent)

    def get_boot_device(self) -> tuple[BootDevice, bool]:
        """Return the choice that still stands and whether it persists."""
        return self._boot_device

    # ------------------------------------------------------------ what firmware and systems need

    def take_boot_device(self) -> BootDevice:
        """Return the chosen first device; a choice for one boot is used up by this."""
        device, persistent = self._boot_device
        if not persistent:
            self._boot_device = ("none", False)
        return device

    def has_system(self) -> bool:
        """Say whether the disk boots."""
        return self.agent.has_system()

    async def wait(self, seconds: float) -> None:
        """Let time pass, at the pace of the lab."""
        await asyncio.sleep(seconds * self.bench.pace)

    def say(self, line: str) -> None:
        """Write a line to the machine's console log. Never give it a secret."""
        if not self.bench.keep_logs:
            return
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "console.log").open("a", encoding="utf-8") as log:
            log.write(f"{stamp} {line}\n")

    async def _live(self) -> None:
        """Go from power-on to a system and be that system until the power goes."""
        while True:
            try:
                self.environment = await start_up(self)
                self.say(f"booted: {self.environment.name} (boot {self.environment.boot or '-'})")
                self._plan_drop()
                await self.agent.run(self.environment)
            except RestartedError:
                self.say("restart")
            except Exception as error:  # noqa: BLE001 - a system that dies stays dead until its power is cycled
                self.say(f"system crashed: {type(error).__name__}: {error}")
                return

    def _plan_drop(self) -> None:
        if self._drops >= self.fate.power_drops:
            return
        self._drops += 1
        after_s = FIRST_DROP_S * random.Random(f"{self.id}{self._drops}").uniform(1, 2)
        loop = asyncio.get_running_loop()
        self._drop = loop.call_later(after_s * self.bench.pace, self.power_off)
