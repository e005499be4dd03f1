"""Zones, racks, nodes, their parts and networks."""

from __future__ import annotations

import strawberry
from strawberry.types import Info

from graphql_api.context import Context
from graphql_api.snapshot import objects
from graphql_api.types.config import ConfigValue, Waiting, config_value, waiting
from graphql_api.types.hardware import (
    HardwareFacts,
    PlaceProposal,
    facts_from,
    proposal_from,
)
from graphql_api.types.journal import TransitionConnection
from graphql_api.types.scalars import (
    AddressKind,
    Agent,
    BigInt,
    BmcProtocol,
    BootEnvironment,
    Cidr,
    Command,
    Cursor,
    DateTime,
    DiskMedia,
    Family,
    Health,
    Mac,
    NodeState,
    PowerState,
    RangeUse,
)

Owner = strawberry.Parent[objects.Node]


async def config_of(parent: Owner, info: Info[Context, None], path: str) -> ConfigValue | None:
    """Ask the site's layers."""
    return await config_value(info.context, parent, path)


async def why_of(parent: Owner, info: Info[Context, None]) -> Waiting:
    """Ask the conductor's operations."""
    return await waiting(info.context, parent.id)


async def facts_of(parent: Owner, info: Info[Context, None]) -> HardwareFacts | None:
    """Read the lists of the inventories of all nodes of the answer at once."""
    return facts_from((await info.context.facts.of_node(parent.id))[0])


async def proposal_of(parent: Owner, info: Info[Context, None]) -> PlaceProposal | None:
    """Read it with the lists."""
    return proposal_from((await info.context.facts.of_node(parent.id))[1])


async def history_of(
    parent: Owner, info: Info[Context, None], first: int = 20, after: Cursor | None = None
) -> TransitionConnection:
    """Read the journal: one statement for all nodes of the answer."""
    return await info.context.histories.of_node(parent.id, first, after)  # type: ignore[return-value]


@strawberry.type(description="A fault zone: things in one zone may fail together.")
class Zone:
    """Mirrors objects.Zone."""

    id: strawberry.ID
    name: str
    racks: list[Rack]
    nodes: list[Node]
    networks: list[Network]
    node_count: int


@strawberry.type(description="A rack of one zone.")
class Rack:
    """Mirrors objects.Rack."""

    id: strawberry.ID
    name: str
    height_u: int = strawberry.field(description="Height in rack units.")
    zone: Zone
    nodes: list[Node]
    node_count: int


@strawberry.type(description="Addresses of a network that have one use, first and last included.")
class NetworkRange:
    """Mirrors objects.NetworkRange."""

    name: str
    first: str
    last: str
    use: RangeUse
    address_count: int = strawberry.field(description="How many of its addresses nodes hold.")


@strawberry.type(description="A layer 2 network with at most one subnet of each family.")
class Network:
    """Mirrors objects.Network."""

    id: strawberry.ID
    name: str
    purpose: str
    zone: Zone | None
    vlan: int | None
    cidr_v4: Cidr | None
    cidr_v6: Cidr | None
    gateway_v4: str | None
    gateway_v6: str | None
    address_count: int = strawberry.field(description="How many of its addresses nodes hold.")
    rack: Rack | None = strawberry.field(description="The one rack that it reaches, if it is one.")
    tagged: bool = strawberry.field(description="Whether nodes see its VLAN's tag.")
    mtu: int = strawberry.field(description="In bytes.")
    domain: str | None = strawberry.field(description="The DNS domain of nodes' names on it.")
    conduit: str | None = strawberry.field(description="Which NICs of a node carry it.")
    bridge: str | None = strawberry.field(description="The bridge on top of it on a node.")
    ranges: list[NetworkRange]


@strawberry.type(description="Power as last observed; nothing is assumed.")
class Power:
    """Mirrors objects.Power."""

    state: PowerState
    observed_at: DateTime | None


@strawberry.type(description="What inventory found out about the machine.")
class Hardware:
    """Mirrors objects.Hardware."""

    serial: str | None
    system_uuid: str | None
    vendor: str | None
    product: str | None
    cpu_model: str | None
    cpu_cores: int | None
    memory_mib: BigInt | None
    bios_version: str | None
    cpu_threads: int | None
    cpu_sockets: int | None
    firmware_mode: str | None = strawberry.field(description="How it booted: bios or uefi.")


@strawberry.type(
    description="A management controller. Its credentials are never part of an answer."
)
class Bmc:
    """Mirrors objects.Bmc."""

    protocol: BmcProtocol
    address: str
    port: int


@strawberry.type(description="What the switch at the other end of a cable says by LLDP.")
class Neighbour:
    """Mirrors objects.Neighbour."""

    chassis: str | None
    port: str | None
    system: str | None
    vlan: int | None


@strawberry.type(description="A network interface.")
class Nic:
    """Mirrors objects.Nic."""

    id: strawberry.ID
    name: str
    mac: Mac
    speed_mbps: int | None
    pxe: bool = strawberry.field(description="Whether the node boots from the network through it.")
    carrier: bool = strawberry.field(description="Whether a link was seen.")
    driver: str | None
    pci: str | None
    neighbour: Neighbour | None = strawberry.field(description="The switch at the other end.")
    node: Node
    addresses: list[Address]


@strawberry.type(description="A disk; sizes in 10^9 bytes, as makers print them.")
class Disk:
    """Mirrors objects.Disk."""

    id: strawberry.ID
    name: str
    serial: str | None
    size_gb: BigInt | None
    media: DiskMedia
    health: Health
    wwn: str | None
    model: str | None
    rotational: bool | None


@strawberry.type(description="An address that a node holds.")
class Address:
    """Mirrors objects.Address."""

    id: strawberry.ID
    address: str
    family: Family
    kind: AddressKind
    node: Node
    nic: Nic | None
    network: Network | None


@strawberry.type(description="One physical server; its id is its Salt minion id and never changes.")
class Node:
    """Mirrors objects.Node; history, config and why are looked up when asked for."""

    id: strawberry.ID
    name: str
    fqdn: str | None
    zone: Zone | None
    rack: Rack | None
    position_u: int | None
    state: NodeState
    state_since: DateTime
    stage: str | None = strawberry.field(description="The stage that a busy node is at.")
    stage_attempt: int
    deadline_at: DateTime | None = strawberry.field(
        description="When a busy node's state runs out of time."
    )
    goal: str = strawberry.field(description="The rest state that the node heads for.")
    origin: NodeState | None = strawberry.field(description="Where the trouble arose, in problem.")
    reason: str | None = strawberry.field(description="Why the node is where it is, in problem.")
    approved: bool
    agent: Agent
    boot: int = strawberry.field(description="How many boots racksalt asked for.")
    boot_environment: BootEnvironment | None
    last_seen_at: DateTime | None
    created_at: DateTime | None
    power: Power
    hardware: Hardware | None
    nics: list[Nic]
    disks: list[Disk]
    bmc: Bmc | None
    addresses: list[Address]
    allowed_commands: list[Command] = strawberry.field(
        description="The commands that the node's state knows; a guard may still refuse one."
    )

    config: ConfigValue | None = strawberry.field(
        resolver=config_of,
        description="The effective value of a configuration key such as ntp:servers, and where it comes from; "
        "null when no layer sets it.",
    )
    facts: HardwareFacts | None = strawberry.field(
        resolver=facts_of, description="Memory, firmware, PCI: the lists of its inventory."
    )
    place_proposal: PlaceProposal | None = strawberry.field(
        resolver=proposal_of, description="Where its switch port says that it stands."
    )
    why: Waiting = strawberry.field(
        resolver=why_of,
        description="What a busy or parked node waits for, and what a person can do.",
    )
    history: TransitionConnection = strawberry.field(
        resolver=history_of, description="The node's journal, newest first; at most 100 at once."
    )
