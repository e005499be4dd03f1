"""QEMU's machine protocol: one JSON object on each line (QEMU manual, "QEMU Machine Protocol Specification")."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONNECT_S = 60.0
"""Long for a slow computer: a QEMU that has ended is seen at once, and one that lives will listen."""
RESET = "guest-reset"
"""Reason of the event SHUTDOWN (QAPI ``ShutdownCause``) where a guest has reset a machine that ends instead."""


class MonitorError(RuntimeError):
    """The monitor refused a command or is not there; the message says what it said."""


class Monitor:
    """A connection to one machine's monitor, on an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(
        cls, path: Path, timeout_s: float = CONNECT_S, alive: Callable[[], bool] = lambda: True
    ) -> Monitor:
        """Connect and agree on the protocol; waits for a QEMU that is just starting. Raises MonitorError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            try:
                monitor = cls(*await asyncio.open_unix_connection(path))
                break
            except OSError as error:
                if loop.time() > end or not alive():
                    raise MonitorError(f"no monitor at {path}: {error.strerror}") from error
                await asyncio.sleep(0.05)
        await monitor._answer("QMP")
        await monitor.execute("qmp_capabilities")
        return monitor

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Return what a command answers. Raises MonitorError."""
        self._writer.write(json.dumps({"execute": command, "arguments": arguments}).encode())
        await self._writer.drain()
        return await self._answer("return")

    async def _answer(self, wanted: str) -> Any:
        while line := await self._reader.readline():
            told = json.loads(line)
            if wanted in told:
                return told[wanted]
            if "error" in told:
                raise MonitorError(str(told["error"].get("desc", told["error"])))
        raise MonitorError("the monitor hung up")

    async def shutdown_reason(self) -> str:
        """Return why QEMU says that it ends, once it has hung up; empty when it did not say."""
        reason = ""
        while line := await self._reader.readline():
            told = json.loads(line)
            if told.get("event") == "SHUTDOWN":
                reason = str(told["data"]["reason"])
        return reason

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def live(path: Path, alive: Callable[[], bool]) -> str:
    """Let a QEMU begin that waits for that (``-S``); return why it says it ends, empty when it did not say (killed)."""
    with contextlib.suppress(MonitorError, OSError, ValueError):
        monitor = await Monitor.open(path, alive=alive)
        try:
            await monitor.execute("cont")
            return await monitor.shutdown_reason()
        finally:
            monitor.close()
    return ""
