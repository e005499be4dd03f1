"""The lab's end of the nursery: start and kill real salt-minions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

START_S = 60.0


class Minions:
    """A nursery process and the minions that it has forked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def open(cls, log: Path) -> Minions:
        """Start a nursery whose own errors go to ``log``; return when Salt is loaded."""
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "racksalt.lab.nursery",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the lab, which then ends the nursery's input
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_S)
        if not line:
            raise RuntimeError(f"the minion nursery did not start; see {log}")
        return cls(process)

    def start(self, node: str, conf: Path, log: Path) -> Running:
        """Fork a minion with the configuration folder ``conf``; what it prints goes to ``log``."""
        key = f"{node}#{next(self._numbers)}"
        self._exits[key] = asyncio.get_running_loop().create_future()
        self._send({"start": key, "conf": str(conf), "log": str(log)})
        return Running(self, key)

    async def close(self) -> None:
        """Kill every minion and the nursery; return when they are gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading

    def kill(self, key: str) -> None:
        """Kill a minion with all that it has started; no harm when it is gone."""
        if key in self._exits:
            self._send({"kill": key})

    async def ended(self, key: str) -> int:
        """Return the minion's exit status once it is gone."""
        future = self._exits.get(key)
        return await asyncio.shield(future) if future else 0

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                said = json.loads(line)
                if "exited" in said:
                    self._gone(said["exited"], said["status"])
        finally:
            for key in list(self._exits):
                self._gone(key, -9)

    def _gone(self, key: str, status: int) -> None:
        future = self._exits.pop(key, None)
        if future is not None and not future.done():
            future.set_result(status)


class Running:
    """One minion process."""

    def __init__(self, minions: Minions, key: str) -> None:
        self._minions, self._key = minions, key

    def kill(self) -> None:
        """Kill it at once."""
        self._minions.kill(self._key)

    async def ended(self) -> int:
        """Return its exit status once it is gone."""
        return await self._minions.ended(self._key)


@contextlib.asynccontextmanager
async def open_minions(log: Path) -> AsyncIterator[Minions]:
    """Keep a nursery for the time of a block."""
    minions = await Minions.open(log)
    try:
        yield minions
    finally:
        await minions.close()
