"""The light agent: an operating system that is one coroutine, for fleets of thousands.

It speaks the boot API's REST as a node does, takes stages from the conductor over ``racksalt.lab.link``, spends a
configurable time on each, and reports the outcome until it is acknowledged. A job id is run once, however often it
is handed in. What a stage leaves behind is decided by the stage's name and the machine's fate.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from racksalt.lab.firmware import Environment
from racksalt.lab.machine import Machine
from racksalt.lab.reports import Reporter

WRITES_SYSTEM = "configure"
"""The stage after which the disk boots."""
ERASES = ("partition", "wipe", "erase")
"""Stages after which the disk does not boot."""
TESTS_DISKS = "burn_in"


@dataclass(slots=True)
class _Disk:
    """What stays when the power goes: the installed system and its first-boot token, and how many stages failed."""

    system: bool = False
    token: str = field(default="", repr=False)
    url: str = ""
    failed: int = 0


class LightAgent:
    """All systems of one machine, light."""

    def __init__(self, machine: Machine, stage_s: float = 0.5) -> None:
        self._machine, self._stage_s = machine, stage_s
        self._disk = _Disk()
        self._reporter: Reporter | None = None
        self._jobs: dict[str, bool] = {}
        self._unheard: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._up = False

    def has_system(self) -> bool:
        """Say whether an install was finished."""
        return self._disk.system

    def is_up(self) -> bool:
        """Say whether the agent answers."""
        return self._up

    def kill(self) -> None:
        """Stop everything; what was in memory is gone."""
        self._up = False
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._jobs.clear()
        self._unheard.clear()
        self._reporter = None

    async def run(self, environment: Environment) -> None:
        """Be the booted system until cancelled."""
        machine = self._machine
        self._reporter = None
        token = environment.token or self._disk.token
        if token:
            self._reporter = Reporter(
                machine.caller,
                url=environment.url or self._disk.url,
                node=environment.node or machine.id,
                token=token,
                say=machine.say,
                rude=machine.fate.rude,
                timings=machine.bench.acknowledged_s,
            )
        self._up = True
        if self._reporter is not None:
            if environment.name == "live":
                await self._reporter.report("inventory_reported", **machine.hardware)
            await self._reporter.report("agent_answered")
        await asyncio.Event().wait()

    def submit(self, jid: str, stage: str) -> bool:
        """Begin a stage unless this job was begun before; False when no agent runs that could."""
        if not self._up or self._reporter is None:
            return False
        if jid not in self._jobs:
            self._jobs[jid] = False
            task = asyncio.get_running_loop().create_task(self._work(jid, stage, self._reporter))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    def result(self, jid: str) -> dict[str, Any] | None:
        """Return the result of a job whose report was refused: ``{"ok", "message", "data"}``; None otherwise."""
        return self._unheard.get(jid)

    def outcome(self, jid: str) -> str:
        """Return what the running agent knows of a job: ``running``, ``finished`` or ``lost``."""
        if jid not in self._jobs:
            return "lost"
        return "finished" if self._jobs[jid] else "running"

    async def _work(self, jid: str, stage: str, reporter: Reporter) -> None:
        await self._machine.wait(self._stage_s)
        why = self._trouble(stage)
        data: dict[str, Any] = {}
        if not why:
            if stage == "inventory":
                data["inventory"] = self._machine.hardware
            elif stage in ERASES:
                self._disk = _Disk(failed=self._disk.failed)
            elif stage == WRITES_SYSTEM:
                token = await reporter.enrolment() or ""
                self._disk.system, self._disk.token, self._disk.url = True, token, reporter.url
        message = why or f"{stage} done"
        self._jobs[jid] = True
        event = "stage_failed" if why else "stage_succeeded"
        told = await reporter.report(event, stage=stage, jid=jid, message=message, **data)
        if told is None:
            self._unheard[jid] = {"ok": not why, "message": message, "data": data}

    def _trouble(self, stage: str) -> str:
        """Return what goes wrong in this stage, or nothing."""
        if stage == TESTS_DISKS:
            for disk in self._machine.hardware["disks"]:
                if disk["health"] != "ok":
                    return f"disk {disk['name']} ({disk['serial']}) is {disk['health']}"
        if self._disk.failed < self._machine.fate.failing_stages:
            self._disk.failed += 1
            return f"{stage} failed as its fate wants, for the {self._disk.failed}. time"
        return ""
