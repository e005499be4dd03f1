"""One virtual BMC that speaks Redfish: its sessions, settings, firmware and tasks; no HTTP in here.

BIOS attributes that were asked for wait until the machine starts again; so does new BIOS firmware. The firmware of a
lab is a small JSON file, ``{"target": "bios", "version": "2.1"}``: anything else is refused by the task.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from racksalt.lab.bmc import CommandLog, Fate, LogEntry, Readings
from racksalt.lab.bmc_commands import Machine as Powered

MAX_SESSIONS = 8
SESSION_S = 1800.0
"""Redfish sessions end after so long without a request (SessionService.SessionTimeout)."""
IMAGE_BYTES = 4 << 20
BIOS: dict[str, Any] = {
    "BootMode": "Uefi",
    "SecureBoot": "Disabled",
    "ProcHyperthreading": "Enabled",
    "SriovGlobalEnable": "Disabled",
    "NumaNodesPerSocket": 1,
    "PowerOnDelayS": 0,
}
"""The attributes of every machine of a lab; a value must keep its type."""


class Machine(Powered, Protocol):
    """What this BMC needs of the machine: power, boot choice, and how often it was started."""

    starts: int


class RefusedError(Exception):
    """What the caller asked for is not possible. ``status`` is HTTP's, ``kind`` of the Base message registry."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


@dataclass(slots=True)
class Task:
    """An update that is under way or done."""

    id: str
    state: str = "Running"
    percent: int = 0
    message: str = ""


@dataclass(slots=True)
class RedfishBmc:
    """The state of one BMC. ``hardware`` is the machine's inventory; ``fate`` may be changed at any time."""

    name: str
    machine: Machine
    username: str
    password: str = field(repr=False)
    hardware: dict[str, Any] = field(default_factory=dict)
    fate: Fate = field(default_factory=Fate)
    log: CommandLog = field(default_factory=CommandLog)
    clock: Callable[[], float] = time.monotonic
    bios: dict[str, Any] = field(default_factory=lambda: dict(BIOS))
    wanted: dict[str, Any] = field(default_factory=dict)
    firmware: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    sessions: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict)
    _next: dict[str, str] = field(default_factory=dict)
    _starts: int = 0
    _number: int = 0
    _readings: Readings = field(init=False)

    def __post_init__(self) -> None:
        """Take the firmware versions from the machine's inventory."""
        bios = str(self.hardware.get("bios_version") or "1.0.0")
        self.firmware = {"bios": bios, "bmc": "1.0.0", **self.firmware}
        self._starts = self.machine.starts
        self._readings = Readings(self.name)

    # ------------------------------------------------------------ who asks

    def log_in(self, username: object, password: object) -> tuple[str, str]:
        """Make a session; return its number and token. Raises RefusedError."""
        if not self._is_owner(username, password):
            raise RefusedError(401, "NoValidSession", "There is no valid session established.")
        if self.fate.refuse_sessions or len(self._living()) >= MAX_SESSIONS:
            raise RefusedError(503, "SessionLimitExceeded", "The session limit was exceeded.")
        self._number += 1
        token, number = secrets.token_urlsafe(16), str(self._number)
        self.sessions[token] = (number, self.clock())
        return number, token

    def log_out(self, number: str) -> bool:
        """End a session; say whether there was one."""
        for token, (one, _) in list(self.sessions.items()):
            if one == number:
                del self.sessions[token]
                return True
        return False

    def knows(self, token: str | None, basic: tuple[str, str] | None) -> bool:
        """Say whether a request comes from its owner, by session or by password."""
        if token is not None:
            if token not in self._living():
                return False
            self.sessions[token] = (self.sessions[token][0], self.clock())
            return True
        return basic is not None and self._is_owner(*basic)

    def _living(self) -> OrderedDict[str, tuple[str, float]]:
        now = self.clock()
        for token, (_, touched) in list(self.sessions.items()):
            if now - touched > SESSION_S:
                del self.sessions[token]
        return self.sessions

    def _is_owner(self, username: object, password: object) -> bool:
        same = hmac.compare_digest(_digest(password), _digest(self.password))
        return username == self.username and same

    # ------------------------------------------------------------ power and boot

    def power_state(self) -> str:
        """Return On or Off, as its fate lets it say."""
        self.settle()
        self._note("get_power_state")
        return self._readings.say(self.fate, self.machine.power_state()).capitalize()

    def reset(self, kind: object) -> None:
        """Carry out ComputerSystem.Reset. Raises RefusedError for a kind that is not offered."""
        actions = {
            "On": ("power_on", self.machine.power_on),
            "ForceOff": ("power_off", self.machine.power_off),
            "ForceRestart": ("hard_reset", self._restart),
            "PowerCycle": ("power_cycle", self._restart),
        }
        if kind not in actions:
            message = f"The value {str(kind)[:40]!r} for ResetType is not in the list of acceptable values."
            raise RefusedError(400, "ActionParameterValueNotInList", message)
        name, act = actions[str(kind)]
        self._note(name)
        act()
        self.settle()

    def _restart(self) -> None:
        if self.machine.power_state() == "off":
            raise RefusedError(409, "ResourceInUse", "The machine is off.")
        self.machine.power_cycle()

    def settle(self) -> None:
        """Let take force what waited for a start of the machine, if it has started since."""
        if self.machine.starts == self._starts:
            return
        self._starts = self.machine.starts
        self.bios |= self.wanted
        self.wanted = {}
        self.firmware |= self._next
        self._next = {}

    # ------------------------------------------------------------ settings and firmware

    def set_bios(self, attributes: object) -> None:
        """Keep attributes for the next start. Raises RefusedError: an unknown name, a value of another type."""
        self.settle()
        if not isinstance(attributes, dict) or not attributes:
            raise RefusedError(400, "PropertyMissing", "Attributes is missing or empty.")
        for name, value in attributes.items():
            if name not in self.bios:
                raise RefusedError(400, "PropertyUnknown", f"The property {name!r} is unknown.")
            if type(value) is not type(self.bios[name]):
                raise RefusedError(
                    400, "PropertyValueTypeError", f"The value of {name!r} has a wrong type."
                )
        self._note("set_bios")
        self.wanted |= attributes

    def begin_update(self) -> Task:
        """Begin a task."""
        self._note("simple_update")
        task = Task(id=str(len(self.tasks) + 1), percent=10, message="Fetching the image.")
        self.tasks[task.id] = task
        return task

    def finish_update(self, task: Task, image: bytes, targets: list[str]) -> None:
        """Judge what was fetched: new firmware of the BMC runs at once, of the BIOS from the next start on."""
        self.settle()
        try:
            found = json.loads(image)
            target, version = str(found["target"]), str(found["version"])
        except (ValueError, KeyError, TypeError):
            return self.fail_update(task, "The image is not firmware of this machine.")
        if target not in self.firmware or (targets and target not in targets):
            return self.fail_update(task, f"The image is for {target[:40]!r}.")
        if target == "bios":
            self._next[target] = version
        else:
            self.firmware[target] = version
        task.state, task.percent, task.message = "Completed", 100, f"{target} {version[:40]}"
        return None

    def fail_update(self, task: Task, why: str) -> None:
        """End a task as failed."""
        task.state, task.message = "Exception", why

    def sensors(self) -> tuple[float, float, float]:
        """Return inlet temperature (celsius), fan speed (rpm) and power (watts), made up but plausible."""
        on = self.machine.power_state() == "on"
        seed = hashlib.sha256(self.name.encode()).digest()[0]
        return 19.0 + seed % 5 + 4 * on, 4200.0 * on, 12.0 + on * (180.0 + seed % 60)

    def _note(self, command: str) -> None:
        self.log.add(LogEntry(at=time.time(), bmc=self.name, command=command, session=0, code=0))


def _digest(text: object) -> bytes:
    return hashlib.sha256(str(text).encode()).digest()
