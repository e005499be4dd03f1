"""Scalars and enumerations.

Every scalar writes its value as it is: the snapshot holds what is to be written. A test holds the enumerations to
the machine's table and the model's words.
"""

from __future__ import annotations

from datetime import datetime, timezone
from enum import Enum
from typing import Any, NewType

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

DateTime = NewType("DateTime", str)
BigInt = NewType("BigInt", int)
JSON = NewType("JSON", object)
Mac = NewType("Mac", str)
Cidr = NewType("Cidr", str)
Cursor = NewType("Cursor", str)


MOST = 2**53 - 1
"""The greatest BigInt: what every JSON reader takes as it is."""


def _moment(value: Any) -> str:
    """Return the RFC 3339 text if it is one; ValueError otherwise."""
    try:
        seconds(str(value))
    except (ValueError, OverflowError):
        raise ValueError("no moment; write RFC 3339 text, as 2026-01-31T12:00:00Z") from None
    return str(value)


def _whole(value: Any) -> int:
    """Return a whole number of up to 53 bits; ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MOST:
        raise ValueError("no whole number of up to 53 bits")
    return value


def _same(value: Any) -> Any:
    return value


def seconds(text: str) -> float:
    """Return RFC 3339 text as seconds since the epoch; text without an offset is UTC. ValueError if it is no time."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _scalar(name: str, description: str, parse: Any) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, serialize=_same, parse_value=parse)


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: _scalar("DateTime", "A moment as RFC 3339 text in UTC.", _moment),
    BigInt: _scalar("BigInt", "A whole number of up to 53 bits.", _whole),
    JSON: _scalar("JSON", "Any JSON value.", _same),
    Mac: _scalar("Mac", "A hardware address in lower-case colon form.", str),
    Cidr: _scalar("Cidr", "A subnet in CIDR notation, of either family.", str),
    Cursor: _scalar("Cursor", "A place in a list: opaque, to be handed back as it came.", str),
}
CONFIG = StrawberryConfig(scalar_map=SCALARS)


@strawberry.enum(
    description="Where a node is in its life: the states of the provisioning state machine."
)
class NodeState(Enum):
    """The states of the machine's table, in its order."""

    DECLARED = "declared"
    DISCOVERING = "discovering"
    DISCOVERED = "discovered"
    COMMISSIONING = "commissioning"
    COMMISSIONED = "commissioned"
    INSTALLING = "installing"
    ENROLLING = "enrolling"
    READY = "ready"
    BOOTING = "booting"
    RELEASING = "releasing"
    RETIRING = "retiring"
    RETIRED = "retired"
    PROBLEM = "problem"


@strawberry.enum(description="What a person may ask of a node.")
class Command(Enum):
    """The commands of the machine's table."""

    APPROVE = "approve"
    COMMISSION = "commission"
    INSTALL = "install"
    REINSTALL = "reinstall"
    RELEASE = "release"
    RETIRE = "retire"
    FORGET = "forget"
    RECOVER = "recover"
    POWER_ON = "power_on"
    POWER_OFF = "power_off"
    POWER_CYCLE = "power_cycle"


@strawberry.enum(description="The commands of nodeCommand; power has its own mutation.")
class NodeCommand(Enum):
    """Commands that move a node through its life."""

    APPROVE = "approve"
    COMMISSION = "commission"
    INSTALL = "install"
    REINSTALL = "reinstall"
    RELEASE = "release"
    RETIRE = "retire"
    FORGET = "forget"
    RECOVER = "recover"


@strawberry.enum(description="Where a commissioning shall lead.")
class Goal(Enum):
    """Goals."""

    READY = "ready"
    COMMISSIONED = "commissioned"


@strawberry.enum(description="What setPower does.")
class PowerAction(Enum):
    """Power commands; the values are the machine's commands."""

    ON = "power_on"
    OFF = "power_off"
    CYCLE = "power_cycle"


@strawberry.enum(description="Power as the BMC reported it last.")
class PowerState(Enum):
    """Observed power."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@strawberry.enum(description="What the network gives a node that boots.")
class BootEnvironment(Enum):
    """Boot environments."""

    LIVE = "live"
    INSTALLER = "installer"
    LOCAL = "local"
    HOLD = "hold"


@strawberry.enum(description="How stages reach the node.")
class Agent(Enum):
    """Agents."""

    SALT = "salt"
    LIGHT = "light"


@strawberry.enum(description="The protocol of a management controller.")
class BmcProtocol(Enum):
    """BMC protocols."""

    IPMI = "ipmi"
    REDFISH = "redfish"
    SIMULATED = "simulated"


@strawberry.enum
class DiskMedia(Enum):
    """Kinds of disk."""

    SSD = "ssd"
    HDD = "hdd"
    NVME = "nvme"
    UNKNOWN = "unknown"


@strawberry.enum
class Health(Enum):
    """Health as the disk reports it."""

    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"


@strawberry.enum(description="IPv4 or IPv6.")
class Family(Enum):
    """Address families."""

    V4 = "V4"
    V6 = "V6"


@strawberry.enum(description="A fixed address, one on loan, or that of a management controller.")
class AddressKind(Enum):
    """Kinds of address."""

    RESERVATION = "reservation"
    LEASE = "lease"
    BMC = "bmc"


@strawberry.enum(description="What the addresses of a range are for.")
class RangeUse(Enum):
    """Uses of a range."""

    DISCOVERY = "discovery"
    RESERVATIONS = "reservations"
    EXCLUDED = "excluded"


@strawberry.enum(description="A committed move, something refused and why, or an observation.")
class EntryKind(Enum):
    """Kinds of journal entry."""

    TRANSITION = "transition"
    REFUSED = "refused"
    NOTED = "noted"


@strawberry.enum
class Direction(Enum):
    """Ascending or descending."""

    ASC = "asc"
    DESC = "desc"
