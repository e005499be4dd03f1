"""Operating systems made of a real salt-minion in a folder of their own.

A boot environment's root lives in memory: it is made at boot and gone when the power goes. The disk's root stays.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from racksalt.lab.firmware import Environment
from racksalt.lab.machine import Machine
from racksalt.lab.minion_config import (
    has_system,
    overlay,
    root_is_short_enough,
    write_environment,
)
from racksalt.lab.minions import Minions, Running
from racksalt.lab.reports import Reporter
from racksalt.model.errors import InvalidInputError

RESTART_S = 1.0
"""Pause before a minion that ended is started again, as an init system would."""


class MinionAgent:
    """The systems of one machine that run a real salt-minion."""

    def __init__(self, machine: Machine, minions: Minions) -> None:
        self._machine, self._minions = machine, minions
        self._running: Running | None = None
        self._cleaning: set[asyncio.Task[None]] = set()
        self.disk = machine.folder / "disk"
        self.hardware_file = machine.folder / "hardware.json"
        if not root_is_short_enough(machine.folder / "ram99"):
            raise InvalidInputError(
                f"{machine.folder} is too long a path for a minion's sockets",
                "give the lab a folder with a short path, such as one under /tmp",
            )
        self.disk.mkdir(parents=True, exist_ok=True)
        self.hardware_file.write_text(json.dumps(machine.hardware, indent=1), encoding="utf-8")

    def has_system(self) -> bool:
        """Say whether the disk has what an install leaves there."""
        return has_system(self.disk)

    def kill(self) -> None:
        """Kill the minion and all that it has started."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    async def run(self, environment: Environment) -> None:
        """Be the booted system: in a boot environment report the hardware; keep a minion running."""
        if environment.name == "local":
            folder = self._machine.folder / "local"
            conf = overlay(self.disk, folder, hardware_file=self.hardware_file)
            await self._keep_running(conf, [])
            return
        ram = self._machine.folder / f"ram{self._machine.starts % 100}"
        shutil.rmtree(ram, ignore_errors=True)
        reporting, started = None, list[Running]()
        try:
            conf = await asyncio.to_thread(
                write_environment,
                ram,
                environment,
                hardware_file=self.hardware_file,
                target_root=self.disk,
            )
            if environment.name == "live":
                reporting = asyncio.create_task(self._report(environment))
            await self._keep_running(conf, started)
        finally:
            if reporting is not None:
                reporting.cancel()
            self._forget(ram, started)

    async def _report(self, environment: Environment) -> None:
        machine = self._machine
        reporter = Reporter(
            machine.caller,
            url=environment.url,
            node=environment.node,
            token=environment.token,
            say=machine.say,
            rude=machine.fate.rude,
        )
        answer = await reporter.report("inventory_reported", **machine.hardware)
        if answer is not None:
            machine.say(f"inventory reported; the node is {answer.get('state')}")

    async def _keep_running(self, conf: Path, started: list[Running]) -> None:
        log = self._machine.folder / "minion.log"
        while True:
            self._running = running = self._minions.start(self._machine.id, conf, log)
            started.append(running)
            try:
                status = await running.ended()
            finally:
                running.kill()
            self._machine.say(f"salt-minion ended with status {status}; starting it again")
            await asyncio.sleep(RESTART_S)

    def _forget(self, ram: Path, started: list[Running]) -> None:
        """Remove what was in memory, once the killed minions are gone."""

        async def remove() -> None:
            for running in started:
                await running.ended()
            await asyncio.to_thread(shutil.rmtree, ram, ignore_errors=True)

        task = asyncio.get_running_loop().create_task(remove())
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
