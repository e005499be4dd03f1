"""A node and its parts, as the conductor and the API see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

PowerState = Literal["on", "off", "unknown"]
BootEnvironment = Literal["live", "installer", "local", "hold"]
"""What PXE gives.

``live`` (a Salt minion in memory), ``installer``, ``local`` (own disk), ``hold`` (wait and ask again).
"""
Agent = Literal["salt", "light"]
"""How stages reach the node: a Salt minion, or the light agent of a simulated fleet."""
BmcProtocol = Literal["ipmi", "redfish", "simulated"]
Family = Literal[4, 6]
STRANGER = "node-"
"""How the id of a machine begins that booted and that nobody declared; its MAC follows."""
_NO_WORD = re.compile(r"[^A-Za-z0-9]")


def serial_key(serial: str | None) -> str | None:
    """Return what counts of a serial number, its letters and digits in lower case; None if it has neither.

    Firmware pads it, and a ``+`` that iPXE leaves as it is comes out of a query as a space.
    """
    return _NO_WORD.sub("", serial or "").lower() or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The machine's view of one physical server (a row of ``nodes``). ``id`` is the Salt minion id and never changes.

    ``boot`` counts the boots that racksalt asked for; ``stage_attempt`` counts tries of the current stage or boot.
    ``origin`` is the state in which the trouble arose, while in ``problem``. ``goal`` is the rest state it heads for.
    ``job`` is the Salt job id of the running stage, ``job_since`` when it was submitted.
    ``parts_version`` counts the changes of its hardware, NICs, disks, BMC and addresses; the store alone does.
    Times are seconds since the epoch (UTC).
    """

    id: str
    state: str
    version: int
    state_since: float
    zone: str | None = None
    rack: str | None = None
    position_u: int | None = None
    fqdn: str | None = None
    agent: Agent = "salt"
    approved: bool = False
    goal: str = "ready"
    stage: str | None = None
    stage_attempt: int = 0
    deadline_at: float | None = None
    origin: str | None = None
    reason: str | None = None
    boot: int = 0
    boot_environment: BootEnvironment | None = None
    job: str | None = None
    job_since: float | None = None
    power: PowerState = "unknown"
    power_observed_at: float | None = None
    last_seen_at: float | None = None
    created_at: float = 0.0
    parts_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmc:
    """A node's management controller. ``secret`` names where the password is kept; it is never the password."""

    node: str
    protocol: BmcProtocol
    address: str
    port: int
    username: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What inventory found out. Identity is a score over uuid, serial and MACs, never one of them alone."""

    node: str
    serial: str | None = None
    system_uuid: str | None = None
    vendor: str | None = None
    product: str | None = None
    cpu_model: str | None = None
    cpu_cores: int | None = None
    memory_mib: int | None = None
    bios_version: str | None = None
    cpu_threads: int | None = None
    cpu_sockets: int | None = None
    firmware_mode: Literal["bios", "uefi"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A network interface. ``mac`` is in lower-case colon form and unique in the site.

    ``carrier`` says whether a link was seen; ``lldp_…`` is what the switch there said.
    """

    id: str
    node: str
    name: str
    mac: str
    speed_mbps: int | None = None
    pxe: bool = False
    carrier: bool = False
    driver: str | None = None
    pci: str | None = None
    lldp_chassis: str | None = None
    lldp_port: str | None = None
    lldp_system: str | None = None
    lldp_vlan: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk. ``size_gb`` is in 10^9 bytes, as makers print it."""

    id: str
    node: str
    name: str
    serial: str | None = None
    size_gb: int | None = None
    media: Literal["ssd", "hdd", "nvme", "unknown"] = "unknown"
    health: Literal["ok", "failing", "unknown"] = "unknown"
    wwn: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address that a node holds. ``network`` is the network's name."""

    id: str
    node: str
    nic: str | None
    network: str | None
    address: str
    family: Family
    kind: Literal["reservation", "lease", "bmc"] = "reservation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One boot that racksalt asked for and the life of its token. The token itself is derived, never stored.

    ``taken_at``/``taken_by`` say when and from which address the boot script was fetched; ``redeemed_at`` and
    ``key_sha256`` when and for which public key the token's proof was accepted.
    """

    node: str
    generation: int
    environment: BootEnvironment
    issued_at: float
    expires_at: float
    taken_at: float | None = None
    taken_by: str | None = None
    redeemed_at: float | None = None
    key_sha256: str | None = None
