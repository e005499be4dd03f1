"""IPMI sessions on pyghmi, as a worker process keeps them: one socket each, one exchange at a time.

pyghmi has two session classes. The usual one shares sockets and an I/O thread among all sessions of a process, sends
power commands again on its own, logs in again behind the caller's back and fails after a log-out. The simple one has
none of that, and no retransmission either. This module adds what is missing: patience in numbers, retransmission of
what may be repeated, and a single transmission of what may not. Nothing keeps idle sessions alive: a BMC drops a
session after 60 s (IPMI 2.0 §6.12.15), and opening a new one is cheaper than a keep-alive every half minute.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from typing import Any, Literal

import pyghmi.exceptions
from pyghmi.ipmi.private import simplesession

from racksalt.model.errors import BmcRefusedError, BmcUnreachableError

REPEAT_WAITS_S = (0.3, 0.4, 0.6, 0.8, 1.1)
"""How long to wait for an answer, then again after each retransmission: 3 s of silence mean unreachable.

Where three packets of ten are lost each way, 97 of 100 exchanges succeed, and eight of ten log-ins.
"""
ONCE_WAITS_S = (4.0,)
"""The same for a command that must not be sent twice."""
TRUST_IDLE_S = 50.0
"""A session that was idle for longer is not used again: the BMC ends it after 60 s."""

OPERATOR = 3
"""The privilege asked for (§6.8): power and boot device need no more, so the account need not have more."""

APPLICATION, CHASSIS = 0x06, 0x00
_GET_DEVICE_ID = 0x01
_CHASSIS_STATUS, _CHASSIS_CONTROL, _SET_BOOT_OPTIONS = 0x01, 0x02, 0x08
_POWER = {"off": 0x00, "on": 0x01}
_DEVICE = {"network": 0x04, "disk": 0x08}
_BUSY = frozenset({0xC0, 0xC3, 0xCE, 0xCF, 0xD2})
"""Completion codes that mean "not now" (table 5-2): busy, time-out, cannot answer, duplicate, initialising."""


class NoAnswerError(pyghmi.exceptions.IpmiException):  # type: ignore[misc] # pyghmi ships no types
    """The BMC was silent for as long as we wait."""


class _Session(simplesession.Session):  # type: ignore[misc] # pyghmi ships no types
    """pyghmi's simple session with time limits. It logs in while it is being constructed."""

    def __init__(self, address: str, port: int, username: str, password: str) -> None:
        self._waits: tuple[float, ...] = REPEAT_WAITS_S
        self._silent = 0
        try:
            super().__init__(
                bmc=address, userid=username, password=password, port=port, privlevel=OPERATOR
            )
        except BaseException:
            self.hang_up()
            raise

    def wait_for_rsp(self, timeout: float | None = None, callout: bool = True) -> None:  # noqa: ARG002
        """During the handshake: take one packet, or send the last one again, or give up."""
        if self._readable(self._waits[self._silent]):
            self._silent = 0
            self.process_pktqueue()
            return
        self._silent += 1
        if self._silent >= len(self._waits):
            raise NoAnswerError("no answer")
        # The same bytes: a BMC that has answered late is then understood, and the copy ignored.
        for target in [self.sockaddr] if self.sockaddr else self.allsockaddrs:
            self.socket.sendto(self.netpacket, target)

    def awaitresponse(self, retry: bool) -> None:
        """In a session: wait for the answer; send the request again under a new number if that is allowed."""
        if not retry:
            return
        for turn, wait_s in enumerate(self._waits):
            if turn:
                self.send_payload()
            end = time.monotonic() + wait_s
            while self.lastresponse is None and (left := end - time.monotonic()) > 0:
                if self._readable(left):
                    self.process_pktqueue()
            if self.lastresponse is not None:
                return
        raise NoAnswerError("no answer")

    def _readable(self, wait_s: float) -> bool:
        # Not select(), as pyghmi does: that fails from the 1024th descriptor on.
        waiting = select.poll()
        waiting.register(self.socket, select.POLLIN)
        return bool(waiting.poll(wait_s * 1000))

    def process_pktqueue(self) -> None:
        """Take what has arrived; junk, on which pyghmi trips, counts as nothing.

        pyghmi's own loop blocks for ever when a step of the handshake, nested in it, has taken the packet that it
        was about to read.
        """
        while True:
            try:
                packet, peer = self.socket.recvfrom(3000, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if packet[:1] == b"\x06" and packet[2:4] == b"\xff\x07":
                with contextlib.suppress(IndexError, KeyError, TypeError, ValueError, struct.error):
                    self._handle_ipmi_packet(bytearray(packet), sockaddr=peer, qent=(packet, peer))

    def ask(self, netfn: int, command: int, data: bytes = b"", *, once: bool = False) -> Any:
        """Send a command and return its response: ``code``, ``data`` and, if refused, ``error``."""
        self._waits = ONCE_WAITS_S if once else REPEAT_WAITS_S
        return self.raw_command(netfn=netfn, command=command, data=data)

    def hang_up(self) -> None:
        """Tell the BMC, without waiting, that its session is free, and close the socket."""
        self.incommand = False
        if getattr(self, "socket", None) is None:
            return
        with contextlib.suppress(Exception):
            self.logout(False)
        simplesession.Session.keepalive_sessions.pop(self, None)
        self.socket.close()


class IpmiClient:
    """A session with one BMC. Any method that raises BmcUnreachableError leaves it unusable.

    Raises:
        BmcUnreachableError: silence, no route, no free session, or the BMC is busy with itself.
        BmcRefusedError: an answer that says no; ``detail['login']`` when it does not let us in at all.
    """

    def __init__(self, address: str, port: int, username: str, password: str) -> None:
        if len(username.encode()) > 16 or len(password.encode()) > 20:
            raise BmcRefusedError(
                "user name or password is longer than IPMI allows",
                "16 bytes for the name, 20 for the password (IPMI 2.0 §22.28, §22.30)",
                login=True,
            )
        self.used_at = time.monotonic()
        try:
            self._session = _Session(address, port, username, password)
        except (NoAnswerError, OSError) as error:
            raise BmcUnreachableError(_reason(error)) from None
        except pyghmi.exceptions.PyghmiException as error:
            raise _login_error(str(error)) from None

    def idle_s(self) -> float:
        """Return the seconds since the BMC answered last."""
        return time.monotonic() - self.used_at

    def is_fresh(self) -> bool:
        """Whether the BMC will still know the session."""
        return self.idle_s() < TRUST_IDLE_S

    def probe(self) -> None:
        """Find out whether the session lives, with a command that is neither action nor observation."""
        self._do("Get Device ID", APPLICATION, _GET_DEVICE_ID)

    def observe(self) -> Literal["on", "off"]:
        """Return the power state (Get Chassis Status, §28.2)."""
        data = self._do("Get Chassis Status", CHASSIS, _CHASSIS_STATUS)
        if not data:
            raise BmcRefusedError("Get Chassis Status came back empty")
        return "on" if data[0] & 1 else "off"

    def power(self, action: Literal["on", "off"]) -> None:
        """Send one Chassis Control (§28.3), once: silence leaves open whether it was carried out."""
        self._do(
            f"Chassis Control {action}",
            CHASSIS,
            _CHASSIS_CONTROL,
            bytes((_POWER[action],)),
            once=True,
        )

    def boot_next(self, device: Literal["network", "disk"], *, uefi: bool) -> None:
        """Choose the device of the next boot (Set System Boot Options, §28.12). Safe to repeat."""
        # Bit 3 of parameter 3: keep the choice even if no power command follows within a minute.
        # Not every BMC has the parameter, and none needs it, so a refusal is no matter.
        with contextlib.suppress(BmcRefusedError):
            self._do("Set Boot Options 3", CHASSIS, _SET_BOOT_OPTIONS, b"\x03\x08")
        flags = 0xA0 if uefi else 0x80
        data = bytes((5, flags, _DEVICE[device], 0, 0, 0))
        self._do("Set Boot Options 5", CHASSIS, _SET_BOOT_OPTIONS, data)

    def close(self, *, polite: bool = True) -> None:  # noqa: ARG002 - costs one packet either way
        """End the session without waiting for the BMC."""
        self._session.hang_up()

    def _do(
        self, what: str, netfn: int, command: int, data: bytes = b"", *, once: bool = False
    ) -> bytes:
        try:
            response = self._session.ask(netfn, command, data, once=once)
        except (pyghmi.exceptions.PyghmiException, OSError) as error:
            raise BmcUnreachableError(f"{what}: {_reason(error)}") from None
        self.used_at = time.monotonic()
        code = response.get("code", 0)
        if code in _BUSY:
            raise BmcUnreachableError(f"{what}: the BMC is busy (completion code {code:02X}h)")
        if code:
            text = response.get("error", "refused")
            raise BmcRefusedError(f"{what}: {text} (completion code {code:02X}h)")
        return bytes(response["data"])


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _login_error(text: str) -> BmcRefusedError | BmcUnreachableError:
    """Tell "no" from "not now" and "nobody there" in what pyghmi says about a login."""
    if "resources" in text:
        return BmcUnreachableError("all sessions of the BMC are taken")
    if "transmit" in text or not text or text == "None":
        return BmcUnreachableError(text or "no answer")
    return BmcRefusedError(f"login: {text}", "check user name, password and privilege", login=True)
