"""The IPMI commands that a virtual BMC carries out: one table, one small function each.

``COMMANDS`` maps (network function, command) to its name in the log, the privilege that it needs (IPMI 2.0 appendix G)
and its function. A function takes the desk (BMC and session) and the request's data, and returns the data of the
answer, or raises `Refusal` with a completion code (§5.2).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from racksalt.lab import rmcp
from racksalt.lab.bmc_session import OPERATOR, USER, Session, Sessions

BootDevice = Literal["none", "network", "disk", "safe", "diagnostic", "cdrom", "setup", "floppy"]
BOOT_DEVICES: dict[int, BootDevice] = {
    0x0: "none",
    0x1: "network",
    0x2: "disk",
    0x3: "safe",
    0x4: "diagnostic",
    0x5: "cdrom",
    0x6: "setup",
    0xF: "floppy",
}
"""Boot device selectors (table 28-14, parameter 5, data 2, bits 5:2)."""

UNKNOWN_COMMAND, BAD_LENGTH, BAD_FIELD, NO_PRIVILEGE = 0xC1, 0xC7, 0xCC, 0xD4
NOT_PRESENT, WRONG_STATE, UNSPECIFIED = 0xCB, 0xD5, 0xFF
"""Completion codes (table 5-2)."""


class Machine(Protocol):
    """What a BMC needs of the machine that it manages. Called on the event loop: must not block."""

    def power_state(self) -> Literal["on", "off"]:
        """Return the state of the power rail now."""
        ...

    def power_on(self) -> None:
        """Switch on; nothing happens when it is on."""
        ...

    def power_off(self) -> None:
        """Cut the power; nothing happens when it is off."""
        ...

    def power_cycle(self) -> None:
        """Cut the power and switch on again; also used for a hard reset."""
        ...

    def set_boot_device(self, device: BootDevice, persistent: bool) -> None:
        """Choose what boots next, once or from now on; ``none`` takes the choice back."""
        ...

    def get_boot_device(self) -> tuple[BootDevice, bool]:
        """Return the choice that still stands and whether it persists; ``none`` once firmware has used it."""
        ...


class Refusal(Exception):  # noqa: N818 - a completion code, not a fault of ours
    """The command is answered with a completion code other than zero."""

    def __init__(self, code: int) -> None:
        super().__init__(f"completion code {code:02x}h")
        self.code = code


@dataclass(slots=True)
class BootOptions:
    """The boot option parameters that a BMC keeps besides the choice itself (table 28-14)."""

    in_progress: int = 0
    clearing: int = 0
    acknowledge: bytes = b"\x00\x00"
    flags: bytes = bytes(5)


@dataclass(slots=True)
class Desk:
    """What a command may touch: the machine, the BMC's sessions, and the session that asks."""

    machine: Machine
    sessions: Sessions
    guid: bytes
    options: BootOptions = field(default_factory=BootOptions)
    session: Session | None = None
    now: float = 0.0

    def asking(self) -> Session:
        """Return the session of the command in hand."""
        if self.session is None:
            raise Refusal(NO_PRIVILEGE)
        return self.session


class Command(NamedTuple):
    """A row of the table. ``privilege`` 0 is for commands that need no session."""

    name: str
    privilege: int
    run: Callable[[Desk, bytes], bytes]


def _sized(data: bytes, *lengths: int) -> bytes:
    if len(data) not in lengths:
        raise Refusal(BAD_LENGTH)
    return data


# ---------------------------------------------------------------- before a session


def _channel_authentication(_desk: Desk, data: bytes) -> bytes:
    """Get Channel Authentication Capabilities (§22.13): RMCP+ only, named users, per-message authentication."""
    channel, _ = _sized(data, 2)
    extended = 0x80 if channel & 0x80 else 0
    return bytes((1, extended, 0x04, 0x02 if extended else 0, 0, 0, 0, 0))


def _cipher_suites(_desk: Desk, data: bytes) -> bytes:
    """Get Channel Cipher Suites (§22.15): 16 bytes of the list at a time."""
    _sized(data, 3)
    if data[2] & 0x80:
        listing = b"".join(
            bytes((0xC0, one.id, one.authentication, 0x40 | one.integrity, 0x80 | 1))
            for one in rmcp.SUITES
        )
    else:
        listing = b"\x01\x03\x41\x44\x81"
    start = (data[2] & 0x3F) * 16
    return b"\x01" + listing[start : start + 16]


def _system_guid(desk: Desk, data: bytes) -> bytes:
    """Get System GUID (§22.14)."""
    _sized(data, 0)
    return desk.guid


# ---------------------------------------------------------------- the session itself


def _set_privilege(desk: Desk, data: bytes) -> bytes:
    """Set Session Privilege Level (§22.18)."""
    wanted = _sized(data, 1)[0] & 0x0F
    session = desk.asking()
    if wanted in (1, 5) or wanted > 5:
        raise Refusal(0x80)
    if wanted > session.limit:
        raise Refusal(0x81)
    session.privilege = wanted or session.privilege
    return bytes((session.privilege,))


def _close_session(desk: Desk, data: bytes) -> bytes:
    """Close Session (§22.19): one's own, or another's as administrator."""
    wanted = int.from_bytes(_sized(data, 4, 5)[:4], "little")
    found = desk.sessions.find(wanted, desk.now)
    if found is None:
        raise Refusal(0x87)
    if found is not desk.session and desk.asking().privilege < 4:
        raise Refusal(NO_PRIVILEGE)
    desk.sessions.close(found)
    return b""


def _session_info(desk: Desk, data: bytes) -> bytes:
    """Get Session Info (§22.20): of this session, of the n-th, by handle or by id."""
    active = desk.sessions.active(desk.now)
    index = data[0] if data else 0
    found: Session | None
    if index == 0:
        found = desk.asking()
    elif index == 0xFE:
        found = next((s for s in active if s.handle == _sized(data, 2)[1]), None)
    elif index == 0xFF:
        found = desk.sessions.find(int.from_bytes(_sized(data, 5)[1:], "little"), desk.now)
    else:
        found = active[index - 1] if index <= len(active) else None
    counts = bytes((63, len(active)))
    if found is None or not found.keys:
        return b"\x00" + counts
    host, port = found.peer
    octets = bytes(int(part) for part in host.split(".")) if host.count(".") == 3 else bytes(4)
    lan = octets + bytes(6) + struct.pack("<H", port)
    return bytes((found.handle,)) + counts + bytes((2, found.privilege, 0x11)) + lan


# ---------------------------------------------------------------- identity and empty repositories


def _device_id(_desk: Desk, data: bytes) -> bytes:
    """Get Device ID (§20.1): IPMI 2.0; chassis, SEL and SDR devices; no maker."""
    _sized(data, 0)
    return bytes((0x20, 0x01, 0x01, 0x00, 0x02, 0x86, 0, 0, 0, 0, 0, 0, 0, 0, 0))


def _self_test(_desk: Desk, _data: bytes) -> bytes:
    """Get Self Test Results (§20.4): no error."""
    return b"\x55\x00"


def _sdr_info(_desk: Desk, _data: bytes) -> bytes:
    """Get SDR Repository Info (§33.9): none stored."""
    return struct.pack("<BHHIIB", 0x51, 0, 0, 0, 0, 0x02)


def _sel_info(_desk: Desk, _data: bytes) -> bytes:
    """Get SEL Info (§31.2): none stored."""
    return struct.pack("<BHHIIB", 0x51, 0, 0, 0, 0, 0x02)


def _reserve(_desk: Desk, _data: bytes) -> bytes:
    """Reserve SDR Repository (§33.11), Reserve SEL (§31.4)."""
    return b"\x01\x00"


def _nothing_there(_desk: Desk, _data: bytes) -> bytes:
    """Get SDR (§33.12), Get SEL Entry (§31.5): no such record."""
    raise Refusal(NOT_PRESENT)


# ---------------------------------------------------------------- the chassis


def _chassis_capabilities(_desk: Desk, _data: bytes) -> bytes:
    """Get Chassis Capabilities (§28.1)."""
    return bytes((0, 0x20, 0x20, 0x20, 0x20))


def _chassis_status(desk: Desk, data: bytes) -> bytes:
    """Get Chassis Status (§28.2): the power rail; stays off after a loss of mains."""
    _sized(data, 0)
    return bytes((0x01 if desk.machine.power_state() == "on" else 0, 0, 0))


def _chassis_control(desk: Desk, data: bytes) -> bytes:
    """Chassis Control (§28.3): power down, up, cycle, hard reset, soft shutdown."""
    action = _sized(data, 1)[0] & 0x0F
    if action in (2, 3):
        if desk.machine.power_state() == "off":
            raise Refusal(WRONG_STATE)
        desk.machine.power_cycle()
    elif action == 1:
        desk.machine.power_on()
    elif action in (0, 5):
        desk.machine.power_off()
    else:
        raise Refusal(BAD_FIELD)
    return b""


def _set_boot_option(desk: Desk, data: bytes) -> bytes:
    """Set System Boot Options (§28.12): parameters 0, 3, 4 and 5."""
    if not data:
        raise Refusal(BAD_LENGTH)
    parameter, value, options = data[0] & 0x7F, data[1:], desk.options
    if parameter == 0:
        wanted = _sized(value, 1)[0] & 3
        if wanted == 1 and options.in_progress == 1:
            raise Refusal(0x81)
        options.in_progress = wanted
    elif parameter == 3:
        options.clearing = _sized(value, 1)[0]
    elif parameter == 4:
        options.acknowledge = _sized(value, 2)
    elif parameter == 5:
        _set_boot_flags(desk, _sized(value, 5))
    else:
        raise Refusal(0x80)
    return b""


def _set_boot_flags(desk: Desk, value: bytes) -> None:
    device = BOOT_DEVICES.get(value[1] >> 2 & 0x0F)
    if device is None:
        raise Refusal(BAD_FIELD)
    valid = bool(value[0] & 0x80)
    desk.options.flags = value if valid else bytes(5)
    desk.machine.set_boot_device(device if valid else "none", bool(valid and value[0] & 0x40))


def _get_boot_option(desk: Desk, data: bytes) -> bytes:
    """Get System Boot Options (§28.13): parameters 0, 3, 4 and 5; the flags of a used choice are invalid."""
    parameter, options = _sized(data, 3)[0] & 0x7F, desk.options
    if parameter == 5 and desk.machine.get_boot_device()[0] == "none":
        options.flags = bytes(5)
    stored = {
        0: bytes((options.in_progress,)),
        3: bytes((options.clearing,)),
        4: options.acknowledge,
        5: options.flags,
    }.get(parameter)
    if stored is None:
        raise Refusal(0x80)
    return bytes((1, parameter)) + stored


# fmt: off
COMMANDS: dict[tuple[int, int], Command] = {
    (0x00, 0x00): Command("get_chassis_capabilities", USER, _chassis_capabilities),
    (0x00, 0x01): Command("get_chassis_status", USER, _chassis_status),
    (0x00, 0x02): Command("chassis_control", OPERATOR, _chassis_control),
    (0x00, 0x08): Command("set_boot_option", OPERATOR, _set_boot_option),
    (0x00, 0x09): Command("get_boot_option", OPERATOR, _get_boot_option),
    (0x06, 0x01): Command("get_device_id", USER, _device_id),
    (0x06, 0x04): Command("get_self_test_results", USER, _self_test),
    (0x06, 0x37): Command("get_system_guid", 0, _system_guid),
    (0x06, 0x38): Command("get_channel_authentication_capabilities", 0, _channel_authentication),
    (0x06, 0x3B): Command("set_session_privilege", 1, _set_privilege),
    (0x06, 0x3C): Command("close_session", 1, _close_session),
    (0x06, 0x3D): Command("get_session_info", USER, _session_info),
    (0x06, 0x54): Command("get_channel_cipher_suites", 0, _cipher_suites),
    (0x0A, 0x20): Command("get_sdr_repository_info", USER, _sdr_info),
    (0x0A, 0x22): Command("reserve_sdr_repository", USER, _reserve),
    (0x0A, 0x23): Command("get_sdr", USER, _nothing_there),
    (0x0A, 0x40): Command("get_sel_info", USER, _sel_info),
    (0x0A, 0x42): Command("reserve_sel", USER, _reserve),
    (0x0A, 0x43): Command("get_sel_entry", USER, _nothing_there),
}
# fmt: on

_CONTROL = {0: "power_off", 1: "power_on", 2: "power_cycle", 3: "hard_reset", 5: "soft_off"}
POWER_ACTIONS = frozenset(_CONTROL.values())
"""Log names that change the power; `get_chassis_status` is the one that observes it."""


def log_name(command: Command, data: bytes) -> str:
    """Return the name under which a command is logged: a power action by what it does."""
    if command.name == "chassis_control" and data:
        return _CONTROL.get(data[0] & 0x0F, command.name)
    if command.name == "set_boot_option" and len(data) > 2 and data[0] & 0x7F == 5:
        return f"boot_{BOOT_DEVICES.get(data[2] >> 2 & 0x0F, 'unknown')}"
    return command.name


def run(command: Command, desk: Desk, data: bytes) -> tuple[int, bytes]:
    """Carry out a command in the desk's session and return completion code and data."""
    if desk.session and desk.session.privilege < command.privilege:
        return NO_PRIVILEGE, b""
    try:
        return 0, command.run(desk, data)
    except Refusal as refusal:
        return refusal.code, b""
