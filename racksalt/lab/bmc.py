"""Virtual management controllers: many in one process, each on its own UDP port of loopback.

`LabBmc.handle` is the whole BMC as a function from packet to answer; the rest of the class gives it a socket, a clock
and a fate. No packet, however broken, raises out of it, and without a session nothing is answered but presence,
capabilities, cipher suites, GUID and the handshake.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from racksalt.lab import bmc_commands, rmcp
from racksalt.lab.bmc_commands import Command, Desk, Machine
from racksalt.lab.bmc_session import ADMINISTRATOR, Account, Session, Sessions

log = logging.getLogger(__name__)

Peer = tuple[str, int]


class LogEntry(TypedDict):
    """One command that a BMC took: ``at`` in seconds since the epoch, ``code`` the completion code it gave."""

    at: float
    bmc: str
    command: str
    session: int
    code: int


class CommandLog:
    """What the BMCs were told, in order: in memory, and line by line in ``path`` if one is given.

    The file is opened for appending and written without a buffer, so that it tells the truth after a kill.
    """

    def __init__(self, path: Path | None = None, keep: int = 100_000) -> None:
        self.entries: deque[LogEntry] = deque(maxlen=keep)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if path else None

    def add(self, entry: LogEntry) -> None:
        """Record one command."""
        self.entries.append(entry)
        if self._fd is not None:
            os.write(self._fd, json.dumps(entry).encode() + b"\n")

    def of(self, bmc: str) -> list[LogEntry]:
        """Return the entries of one BMC, oldest first."""
        return [entry for entry in self.entries if entry["bmc"] == bmc]

    def close(self) -> None:
        """Close the file; no harm when there is none."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def unobserved_actions(
    entries: Sequence[LogEntry], restarts: Sequence[float] = ()
) -> list[LogEntry]:
    """Return the power actions with no look at that BMC's power since the last action, or since whoever acts restarted.

    ``restarts`` are the times, in seconds since the epoch, at which what had been seen was forgotten.
    """
    ahead, seen, found = deque(sorted(restarts)), set[str](), []
    for entry in entries:
        while ahead and ahead[0] <= entry["at"]:
            ahead.popleft()
            seen.clear()
        if entry["command"] == "get_chassis_status":
            seen.add(entry["bmc"])
        elif entry["command"] in bmc_commands.POWER_ACTIONS:
            if entry["bmc"] not in seen:
                found.append(entry)
            seen.discard(entry["bmc"])
    return found


@dataclass(slots=True)
class Fate:
    """What is wrong with a BMC: seconds before each answer, share of packets lost, or no answer at all.

    ``refuse_sessions``: nobody new is let in. ``lie_rate``: share of power readings that are the contrary of the
    truth. ``says``: what every reading is, whatever the truth.
    """

    latency_s: float = 0.0
    drop_rate: float = 0.0
    dead: bool = False
    refuse_sessions: bool = False
    lie_rate: float = 0.0
    says: Literal["on", "off"] | None = None


class Readings:
    """What a BMC says of the power: the truth, unless its fate lets it lie."""

    def __init__(self, name: str) -> None:
        self._dice = random.Random(f"{name} lies")

    def say(self, fate: Fate, truth: Literal["on", "off"]) -> Literal["on", "off"]:
        """Return one reading."""
        if fate.says is not None:
            return fate.says
        if fate.lie_rate and self._dice.random() < fate.lie_rate:
            return "off" if truth == "on" else "on"
        return truth


class _Face:
    """The machine as its BMC tells of it; everything but the reading is the machine itself."""

    def __init__(self, bmc: LabBmc) -> None:
        self._bmc = bmc
        self._readings = Readings(bmc.name)

    def power_state(self) -> Literal["on", "off"]:
        return self._readings.say(self._bmc.fate, self._bmc.machine.power_state())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bmc.machine, name)


class LabBmc(asyncio.DatagramProtocol):
    """One virtual BMC. ``fate`` may be changed at any time; ``port`` is known after `start`."""

    def __init__(
        self,
        name: str,
        machine: Machine,
        username: str,
        password: str,
        *,
        command_log: CommandLog | None = None,
        fate: Fate | None = None,
        guid: uuid.UUID | None = None,
        privilege: int = ADMINISTRATOR,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.machine = machine
        self.fate = fate or Fate()
        self.log = command_log or CommandLog()
        self.counts: Counter[str] = Counter()
        """Packets ``taken``, ``dropped`` as malformed or unwelcome, ``repeated`` for retransmissions."""
        self.host = ""
        self.port = 0
        # Laid out as in SMBIOS: what consoles expect and real BMCs send, whatever §20.8 says.
        raw = (guid or uuid.uuid5(uuid.NAMESPACE_OID, f"racksalt-lab-{name}")).bytes_le
        self.sessions = Sessions(Account(username, password, privilege), raw)
        self._desk = Desk(cast("Machine", _Face(self)), self.sessions, raw)
        self._clock = clock
        self._wall_clock = wall_clock
        self._dice = random.Random(name)
        self._transport: asyncio.DatagramTransport | None = None

    # ------------------------------------------------------------ the socket

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the UDP port; 0 takes a free one."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, (host, port))
        self._transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def close(self) -> None:
        """Unbind the port; no harm when it is not bound."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def reset(self) -> None:
        """Lose all sessions, as a BMC that starts anew."""
        self.sessions.clear()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Take a packet and answer it as the BMC's fate allows."""
        if self.fate.dead or self._lost():
            return
        if self.fate.latency_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self.fate.latency_s, self._answer, data, addr)
        else:
            self._answer(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Take note that a console has closed its port; a BMC does not care."""
        log.debug("%s: %s", self.name, exc)

    def _answer(self, data: bytes, addr: Peer) -> None:
        answer = self.handle(data, addr[:2])
        if answer is not None and self._transport and not self._lost():
            self._transport.sendto(answer, addr)

    def _lost(self) -> bool:
        return bool(self.fate.drop_rate) and self._dice.random() < self.fate.drop_rate

    # ------------------------------------------------------------ the BMC

    def handle(self, packet: bytes, peer: Peer) -> bytes | None:
        """Return the answer to a packet, or None when it deserves none. Never raises."""
        self.counts["taken"] += 1
        try:
            answer = rmcp.presence_pong(packet) or self._ipmi(packet, peer)
        except rmcp.MalformedError:
            answer = None
        except Exception:
            log.exception("%s: a packet of %d bytes broke the BMC", self.name, len(packet))
            answer = None
        if answer is None:
            self.counts["dropped"] += 1
        return answer

    def _ipmi(self, packet: bytes, peer: Peer) -> bytes | None:
        frame = rmcp.parse_frame(packet)
        now = self._clock()
        if frame.session == 0:
            return self._sessionless(frame, peer, now)
        session = self.sessions.find(frame.session, now)
        if session is None or session.keys is None or frame.payload_type != rmcp.IPMI_PAYLOAD:
            return None
        message = rmcp.unseal(session.keys, packet, frame)
        if not session.window.accept(frame.sequence):
            return None
        session.touched = now
        keys, console = session.keys, session.console
        answer = self._in_session(session, message, now)
        session.sent += 1
        return rmcp.seal(keys, console, session.sent, answer)

    def _sessionless(self, frame: rmcp.Frame, peer: Peer, now: float) -> bytes | None:
        if frame.encrypted or frame.authenticated:
            return None
        if frame.payload_type != rmcp.IPMI_PAYLOAD:
            self.sessions.full = self.fate.refuse_sessions
            return self.sessions.handshake(frame.payload_type, frame.payload, peer, now)
        request = rmcp.parse_request(frame.payload)
        command = bmc_commands.COMMANDS.get((request.netfn, request.command))
        if command is None or command.privilege:
            return None
        self._desk.session, self._desk.now = None, now
        code, data = bmc_commands.run(command, self._desk, request.data)
        answer = rmcp.build_response(request, code, data)
        return rmcp.plain_frame(rmcp.IPMI_PAYLOAD, answer, legacy=frame.legacy)

    def _in_session(self, session: Session, message: bytes, now: float) -> bytes:
        request = rmcp.parse_request(message)
        if message == session.last[0]:
            # Same sequence number, same bytes: its answer was lost on the way. Not carried out again.
            self.counts["repeated"] += 1
            return session.last[1]
        command = bmc_commands.COMMANDS.get((request.netfn, request.command))
        if command is None:
            code, data = bmc_commands.UNKNOWN_COMMAND, b""
        else:
            code, data = self._carry_out(command, session, request.data, now)
        session.last = (message, rmcp.build_response(request, code, data))
        return session.last[1]

    def _carry_out(
        self, command: Command, session: Session, data: bytes, now: float
    ) -> tuple[int, bytes]:
        self._desk.session, self._desk.now = session, now
        try:
            code, answer = bmc_commands.run(command, self._desk, data)
        except Exception:
            log.exception("%s: the machine failed at %s", self.name, command.name)
            code, answer = bmc_commands.UNSPECIFIED, b""
        self.log.add(
            LogEntry(
                at=self._wall_clock(),
                bmc=self.name,
                command=bmc_commands.log_name(command, data),
                session=session.id,
                code=code,
            )
        )
        return code, answer


def read_log(path: Path) -> list[LogEntry]:
    """Return the entries of a log file, oldest first; a line cut short by a kill is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(cast("LogEntry", json.loads(line)))
        except json.JSONDecodeError:
            continue
    return entries
