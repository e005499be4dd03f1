"""The lab's end of ``racksalt.adapters.lab_link``: power and agents of many machines over JSON lines."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from racksalt.lab.light import LightAgent
from racksalt.lab.machine import Machine

log = logging.getLogger(__name__)

MAX_LINE = 4 * 1024 * 1024


class LinkServer:
    """Answers for all machines of one lab; their fates slow it down or silence it."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_LINE)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*filter(None, self._open))
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[asyncio.current_task()] = writer
        try:
            while line := await reader.readline():
                self._obey(json.loads(line), writer)
                await writer.drain()
        except (OSError, ValueError, KeyError) as error:
            log.warning("the connection of a conductor broke: %r", error)
        finally:
            self._open.pop(asyncio.current_task(), None)
            writer.transport.abort()

    def _obey(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        op = request["op"]
        if op not in _POWER:
            _answer(writer, request["n"], ok=_AGENTS[op](self, request))
            return
        machine = self._machines.get(request["node"])
        if machine is None:
            _answer(writer, request["n"], error=f"there is no machine {request['node']!r}")
        elif machine.fate.bmc_dead:
            return
        elif machine.fate.bmc_delay_s:
            loop = asyncio.get_running_loop()
            loop.call_later(machine.fate.bmc_delay_s, self._power, machine, request, writer)
        else:
            self._power(machine, request, writer)

    def _power(
        self, machine: Machine, request: dict[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        op = request["op"]
        if op == "on":
            machine.power_on()
        elif op == "off":
            machine.power_off()
        elif op == "boot_next":
            machine.set_boot_device(request["device"], persistent=False)
        _answer(writer, request["n"], ok=machine.power_state())

    def _light(self, node: str) -> LightAgent | None:
        machine = self._machines.get(node)
        agent = machine.agent if machine else None
        return agent if isinstance(agent, LightAgent) else None

    def _submit(self, request: dict[str, Any]) -> list[str]:
        """Hand out jobs; return the nodes on which no agent runs."""
        away = []
        for job in request["jobs"]:
            agent = self._light(job["node"])
            if agent is None or not agent.submit(job["jid"], job["stage"]):
                away.append(job["node"])
        return away

    def _results(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for jid, node in request["wanted"]:
            agent = self._light(node)
            result = agent.result(jid) if agent else None
            if result is not None:
                found.append({"jid": jid, "node": node, **result})
        return found

    def _outcomes(self, request: dict[str, Any]) -> list[tuple[str, str, str]]:
        """Return (jid, node, outcome) for the agents that are up."""
        found = []
        for jid, node in request["wanted"]:
            agent = self._light(node)
            if agent is not None and agent.is_up():
                found.append((jid, node, agent.outcome(jid)))
        return found

    def _answering(self, request: dict[str, Any]) -> list[str]:
        agents = ((node, self._light(node)) for node in request["nodes"])
        return [node for node, agent in agents if agent is not None and agent.is_up()]


def _answer(writer: asyncio.StreamWriter, number: int, **what: Any) -> None:
    if not writer.is_closing():
        writer.write(json.dumps({"n": number, **what}).encode() + b"\n")


_POWER = frozenset({"observe", "on", "off", "boot_next"})
_AGENTS = {
    "submit": LinkServer._submit,  # noqa: SLF001 - the table belongs to the class
    "results": LinkServer._results,  # noqa: SLF001
    "outcomes": LinkServer._outcomes,  # noqa: SLF001
    "answering": LinkServer._answering,  # noqa: SLF001
}
