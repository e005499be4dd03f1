"""The snapshot's objects.

Attribute names are the GraphQL fields in snake case: a field without a resolver is exactly one attribute read.
Enumerations are held as the plain words of the model (``"ready"``), times as RFC 3339 text in UTC, ready to be
written out; what is sorted or filtered by keeps its number beside it. None of these objects is ever hashed or
compared by value: each stands for one thing of the world and is changed in place by the tailer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import ip_address


def timestamp(at: float | None) -> str | None:
    """Return seconds since the epoch as RFC 3339 text in UTC with milliseconds; None stays None."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(at, tz=timezone.utc)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@dataclass(slots=True, eq=False, repr=False)
class Zone:
    """A fault zone with its racks and the nodes in it (racked or not), each list in order of name."""

    id: str
    name: str
    racks: list[Rack] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)

    @property
    def node_count(self) -> int:
        """The number of nodes in the zone."""
        return len(self.nodes)


@dataclass(slots=True, eq=False, repr=False)
class Rack:
    """A rack of one zone with its nodes in order of name."""

    id: str
    name: str
    height_u: int
    zone: Zone
    nodes: list[Node] = field(default_factory=list)

    @property
    def node_count(self) -> int:
        """The number of nodes in the rack."""
        return len(self.nodes)


@dataclass(slots=True, eq=False, repr=False)
class NetworkRange:
    """Addresses of a network with one use; ``address_count`` is how many of them nodes hold."""

    name: str
    first: str
    last: str
    use: str
    address_count: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Network:
    """A layer 2 network; ``address_count`` is how many addresses of it nodes hold."""

    id: str
    name: str
    purpose: str
    zone: Zone | None
    rack: Rack | None
    vlan: int | None
    tagged: bool
    mtu: int
    domain: str | None
    cidr_v4: str | None
    cidr_v6: str | None
    gateway_v4: str | None
    gateway_v6: str | None
    conduit: str | None
    bridge: str | None
    ranges: list[NetworkRange] = field(default_factory=list)
    address_count: int = 0

    def count(self, address: str, step: int) -> None:
        """Take note that a node holds an address (``step`` 1) or no longer does (-1)."""
        one = ip_address(address)
        self.address_count += step
        for each in self.ranges:
            first, last = ip_address(each.first), ip_address(each.last)
            if first.version == one.version and int(first) <= int(one) <= int(last):
                each.address_count += step


@dataclass(slots=True, eq=False, repr=False)
class Power:
    """Power as last observed; ``observed_at`` is None when the BMC never answered."""

    state: str
    observed_at: str | None


@dataclass(slots=True, eq=False, repr=False)
class Hardware:
    """What inventory found out."""

    serial: str | None
    system_uuid: str | None
    vendor: str | None
    product: str | None
    cpu_model: str | None
    cpu_cores: int | None
    memory_mib: int | None
    bios_version: str | None
    cpu_threads: int | None = None
    cpu_sockets: int | None = None
    firmware_mode: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Bmc:
    """A management controller without its credentials: neither user name nor secret is ever loaded."""

    protocol: str
    address: str
    port: int


@dataclass(slots=True, eq=False, repr=False)
class Neighbour:
    """What the switch at the other end of a cable says by LLDP."""

    chassis: str | None
    port: str | None
    system: str | None
    vlan: int | None


@dataclass(slots=True, eq=False, repr=False)
class Nic:
    """A network interface with the addresses that it holds."""

    id: str
    name: str
    mac: str
    speed_mbps: int | None
    pxe: bool
    node: Node
    addresses: list[Address] = field(default_factory=list)
    carrier: bool = False
    driver: str | None = None
    pci: str | None = None
    neighbour: Neighbour | None = None


@dataclass(slots=True, eq=False, repr=False)
class Disk:
    """A disk of a node; ``size_gb`` in 10^9 bytes."""

    id: str
    name: str
    serial: str | None
    size_gb: int | None
    media: str
    health: str
    wwn: str | None = None
    model: str | None = None
    rotational: bool | None = None


@dataclass(slots=True, eq=False, repr=False)
class Address:
    """An address that a node holds, on one of its NICs or (a BMC's, say) on none."""

    id: str
    address: str
    family: str
    kind: str
    node: Node
    nic: Nic | None
    network: Network | None


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """One physical server. ``since_s`` is ``state_since`` in seconds since the epoch, for filters and ordering.

    ``parts_version`` is the version of the parts that are here, -1 while there are none; it is not shown.
    """

    id: str
    name: str = ""
    version: int = 0
    fqdn: str | None = None
    position_u: int | None = None
    state: str = ""
    state_since: str = ""
    since_s: float = 0.0
    parts_version: int = 0
    stage: str | None = None
    stage_attempt: int = 0
    deadline_at: str | None = None
    goal: str = ""
    origin: str | None = None
    reason: str | None = None
    approved: bool = False
    agent: str = "salt"
    boot: int = 0
    boot_environment: str | None = None
    last_seen_at: str | None = None
    created_at: str | None = None
    rack: Rack | None = None
    zone: Zone | None = None
    power: Power = field(default_factory=lambda: Power("unknown", None))
    hardware: Hardware | None = None
    bmc: Bmc | None = None
    nics: list[Nic] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    allowed_commands: list[str] = field(default_factory=list)
