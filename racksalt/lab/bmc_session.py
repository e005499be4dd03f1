"""RMCP+ sessions of one virtual BMC: handshake, keys, replay window, time-outs (IPMI 2.0 §13.14 to §13.24).

The clock is passed in, and expired sessions are swept when a new one is asked for: hundreds of idle BMCs cost nothing.
"""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import dataclass, field

from racksalt.lab import rmcp

IDLE_S = 60.0
"""A session without a packet for this long is gone (§6.12.15: 60 s ± 3 s)."""
HANDSHAKE_S = 15.0
"""A handshake that is not finished by then is forgotten."""
MAX_SESSIONS = 16
"""Sessions, finished or not, that one BMC keeps; real ones keep 4 to 16."""

NO_RESOURCES, BAD_SESSION, BAD_ROLE = 0x01, 0x02, 0x09
BAD_LENGTH, BAD_NAME, BAD_INTEGRITY, NO_SUITE = 0x0C, 0x0D, 0x0F, 0x11
BAD_PRIVILEGE, BAD_PARAMETER = 0x0A, 0x12
"""RMCP+ status codes (table 13-15)."""

USER, OPERATOR, ADMINISTRATOR = 2, 3, 4
"""Privilege levels (§6.8)."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in. ``password`` of at most 20 bytes (§22.30)."""

    username: str
    password: str = field(repr=False)
    privilege: int = ADMINISTRATOR

    @property
    def key(self) -> bytes:
        """The password as HMAC key; trailing NULs make no difference to HMAC."""
        return self.password.encode()


class ReplayWindow:
    """Accepts every sequence number once, at most 15 ahead of and 16 behind the highest (§6.12.13)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 1

    def accept(self, number: int) -> bool:
        """Return whether ``number`` is new and inside the window, and remember it."""
        ahead = number - self._highest
        if not number or ahead > 15 or ahead < -16:
            return False
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & 0x1FFFF
            self._highest = number
            return True
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True


@dataclass(slots=True, eq=False)
class Session:
    """One session from its open request on. ``keys`` are there once the console has proven the password."""

    id: int
    console: int
    suite: rmcp.Suite
    touched: float
    handle: int
    peer: tuple[str, int]
    name: str = ""
    role: int = 0
    limit: int = 0
    privilege: int = USER
    console_random: bytes = b""
    our_random: bytes = b""
    keys: rmcp.Keys | None = None
    window: ReplayWindow = field(default_factory=ReplayWindow)
    sent: int = 0
    last: tuple[bytes, bytes] = (b"", b"")
    """The last message taken and its answer: a retransmission is answered again, not carried out again."""

    def identity(self) -> bytes:
        """Role, name length and name, as they enter every hash of the handshake."""
        name = self.name.encode()
        return bytes((self.role, len(name))) + name


class Sessions:
    """All sessions of one BMC and the handshake that makes them."""

    def __init__(self, account: Account, guid: bytes) -> None:
        self.account = account
        self.guid = guid
        self.full = False
        """Whether every new session is refused for want of room."""
        self._by_id: dict[int, Session] = {}
        self._handles = 0

    def active(self, now: float) -> list[Session]:
        """Return the sessions that are logged in and not timed out."""
        self._sweep(now)
        return [session for session in self._by_id.values() if session.keys]

    def find(self, session_id: int, now: float) -> Session | None:
        """Return a live session, logged in or not."""
        found = self._by_id.get(session_id)
        if found and now - found.touched > (IDLE_S if found.keys else HANDSHAKE_S):
            self.close(found)
            return None
        return found

    def close(self, session: Session) -> None:
        """Forget a session; no harm when it is gone."""
        self._by_id.pop(session.id, None)

    def clear(self) -> None:
        """Forget all sessions, as a BMC that was reset."""
        self._by_id.clear()

    def _sweep(self, now: float) -> None:
        for session_id in tuple(self._by_id):
            self.find(session_id, now)

    def handshake(self, kind: int, payload: bytes, peer: tuple[str, int], now: float) -> bytes:
        """Answer one handshake message with a whole packet.

        Raises:
            MalformedError: the message is too short or of a type that only a BMC sends.
        """
        if kind == rmcp.OPEN_REQUEST:
            return rmcp.plain_frame(rmcp.OPEN_RESPONSE, self._open(payload, peer, now))
        if kind == rmcp.RAKP1:
            return rmcp.plain_frame(rmcp.RAKP2, self._rakp1(payload, now))
        if kind == rmcp.RAKP3:
            return rmcp.plain_frame(rmcp.RAKP4, self._rakp3(payload, now))
        raise rmcp.MalformedError("payload type")

    def _open(self, payload: bytes, peer: tuple[str, int], now: float) -> bytes:
        """RMCP+ Open Session Request (§13.17, §13.18)."""
        if len(payload) != 32:
            raise rmcp.MalformedError("length of the open request")
        tag, role, console = struct.unpack_from("<BB2xI", payload)
        status, suite = _agree(role, payload[8:])
        if not status and len(self._by_id) >= MAX_SESSIONS:
            self._sweep(now)
            status = NO_RESOURCES if len(self._by_id) >= MAX_SESSIONS else 0
        if self.full:
            status = NO_RESOURCES
        if status:
            return struct.pack("<BB2xI", tag, status, console)
        self._handles = self._handles % 63 + 1
        session = Session(self._fresh_id(), console, suite, now, self._handles, peer)
        self._by_id[session.id] = session
        granted = role & 0x0F or self.account.privilege
        chosen = (suite.authentication, suite.integrity, suite.confidentiality)
        records = (struct.pack("<B2xBB3x", kind, 8, one) for kind, one in enumerate(chosen))
        head = struct.pack("<BBBxII", tag, 0, granted, console, session.id)
        return head + b"".join(records)

    def _fresh_id(self) -> int:
        while True:
            candidate = int.from_bytes(os.urandom(4), "little")
            if candidate and candidate not in self._by_id:
                return candidate

    def _rakp1(self, payload: bytes, now: float) -> bytes:
        """RAKP message 1 → 2 (§13.20, §13.21)."""
        if len(payload) < 28:
            raise rmcp.MalformedError("length of RAKP 1")
        tag, session_id = struct.unpack_from("<B3xI", payload)
        session = self.find(session_id, now)
        if session is None or session.keys:
            return struct.pack("<BB2xI", tag, BAD_SESSION, 0)
        if session.last[0] == payload:
            return session.last[1]
        status = self._claim(session, payload)
        if status:
            self.close(session)
            return struct.pack("<BB2xI", tag, status, session.console)
        session.our_random = os.urandom(16)
        proof = self._mac(
            session,
            struct.pack("<II", session.console, session.id)
            + session.console_random
            + session.our_random
            + self.guid
            + session.identity(),
        )
        head = struct.pack("<BB2xI", tag, 0, session.console)
        session.last = (payload, head + session.our_random + self.guid + proof)
        return session.last[1]

    def _claim(self, session: Session, payload: bytes) -> int:
        """Note who the console claims to be; returns a status."""
        length = payload[27]
        if length > 16 or len(payload) != 28 + length:
            return BAD_LENGTH
        role = payload[24]
        if not 1 <= role & 0x0F <= ADMINISTRATOR:
            return BAD_ROLE
        if payload[28:] != self.account.username.encode():
            return BAD_NAME
        if role & 0x0F > self.account.privilege:
            return BAD_PRIVILEGE
        session.name = self.account.username
        session.role, session.limit = role, role & 0x0F
        session.privilege = min(USER, session.limit)
        session.console_random = payload[8:24]
        return 0

    def _rakp3(self, payload: bytes, now: float) -> bytes:
        """RAKP message 3 → 4 (§13.22, §13.23): the console proves that it knows the password."""
        if len(payload) < 8:
            raise rmcp.MalformedError("length of RAKP 3")
        tag, refusal, session_id = struct.unpack_from("<BB2xI", payload)
        session = self.find(session_id, now)
        if session is None or not session.our_random:
            return struct.pack("<BB2xI", tag, BAD_SESSION, 0)
        if session.keys:
            # The answer was lost: say it again, for the very same message only.
            same = session.last[0] == payload
            return session.last[1] if same else struct.pack("<BB2xI", tag, BAD_SESSION, 0)
        expected = self._mac(
            session,
            session.our_random + struct.pack("<I", session.console) + session.identity(),
        )
        if refusal or not hmac.compare_digest(expected, payload[8:]):
            self.close(session)
            return struct.pack("<BB2xI", tag, BAD_INTEGRITY, session.console)
        session.touched = now
        session.last = (payload, self._welcome(session, tag))
        return session.last[1]

    def _welcome(self, session: Session, tag: int) -> bytes:
        randoms = session.console_random + session.our_random
        integrity_key = self._mac(session, randoms + session.identity())
        session.keys = rmcp.Keys.derive(session.suite, integrity_key)
        check = hmac.digest(
            integrity_key,
            session.console_random + struct.pack("<I", session.id) + self.guid,
            session.suite.digest,
        )
        head = struct.pack("<BB2xI", tag, 0, session.console)
        return head + check[: session.suite.mac_length]

    def _mac(self, session: Session, data: bytes) -> bytes:
        return hmac.digest(self.account.key, data, session.suite.digest)


def _agree(role: int, records: bytes) -> tuple[int, rmcp.Suite]:
    """Return status and suite for the three algorithm records of an open request (table 13-9)."""
    if role & 0x0F > ADMINISTRATOR:
        return BAD_ROLE, rmcp.SUITES[0]
    wanted: list[int | None] = []
    for index in range(3):
        kind, length, algorithm = struct.unpack_from("<B2xBB", records, index * 8)
        if kind != index or length not in (0, 8):
            return BAD_PARAMETER, rmcp.SUITES[0]
        wanted.append(algorithm & 0x3F if length else None)
    # The strongest suite that fits; a record of length zero leaves the choice to the BMC.
    for suite in reversed(rmcp.SUITES):
        offered = (suite.authentication, suite.integrity, suite.confidentiality)
        if all(want in (None, have) for want, have in zip(wanted, offered, strict=True)):
            return 0, suite
    return NO_SUITE, rmcp.SUITES[0]
