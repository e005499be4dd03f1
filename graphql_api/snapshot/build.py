"""Rows to objects. One object per row; nothing is kept that the schema does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql_api.snapshot import objects as o
from graphql_api.snapshot.objects import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from racksalt.model import node as rows
    from racksalt.model import place as places

Commands = dict[str, list[str]]
"""State → the commands that it accepts, lower case."""


def fill(node: o.Node, row: rows.Node, commands: Commands) -> None:
    """Set every own attribute of ``node`` from its row; links to other things are left alone."""
    node.name = row.id
    node.version = row.version
    node.fqdn = row.fqdn
    node.position_u = row.position_u
    node.state = row.state
    if node.since_s != row.state_since or not node.state_since:
        node.state_since = timestamp(row.state_since) or ""
        node.since_s = row.state_since
    node.stage = row.stage
    node.stage_attempt = row.stage_attempt
    node.deadline_at = timestamp(row.deadline_at)
    node.goal = row.goal
    node.origin = row.origin
    node.reason = row.reason
    node.approved = row.approved
    node.agent = row.agent
    node.boot = row.boot
    node.boot_environment = row.boot_environment
    node.last_seen_at = timestamp(row.last_seen_at)
    node.created_at = node.created_at or timestamp(row.created_at or None)
    node.power = o.Power(row.power, timestamp(row.power_observed_at))
    node.allowed_commands = commands.get(row.state, [])


def hardware(row: rows.Hardware) -> o.Hardware:
    """Return the object of one hardware row."""
    return o.Hardware(
        row.serial,
        row.system_uuid,
        row.vendor,
        row.product,
        row.cpu_model,
        row.cpu_cores,
        row.memory_mib,
        row.bios_version,
        row.cpu_threads,
        row.cpu_sockets,
        row.firmware_mode,
    )


def network(row: places.Network, zone: o.Zone | None, rack: o.Rack | None) -> o.Network:
    """Return the object of one network, of which nobody holds an address yet."""
    return o.Network(
        id=row.name,
        name=row.name,
        purpose=row.purpose,
        zone=zone,
        rack=rack,
        vlan=row.vlan,
        tagged=row.is_tagged(),
        mtu=row.mtu,
        domain=row.domain,
        cidr_v4=row.cidr_v4,
        cidr_v6=row.cidr_v6,
        gateway_v4=row.gateway_v4,
        gateway_v6=row.gateway_v6,
        conduit=row.conduit,
        bridge=row.bridge,
        ranges=[o.NetworkRange(it.name, it.first, it.last, it.use) for it in row.ranges],
    )


def _nic(row: rows.Nic, node: o.Node) -> o.Nic:
    return o.Nic(
        row.id,
        row.name,
        row.mac,
        row.speed_mbps,
        row.pxe,
        node,
        carrier=row.carrier,
        driver=row.driver,
        pci=row.pci,
        neighbour=_neighbour(row),
    )


def _disk(row: rows.Disk) -> o.Disk:
    turns = {"hdd": True, "ssd": False, "nvme": False}.get(row.media)
    seen = (row.serial, row.size_gb, row.media, row.health, row.wwn, row.model)
    return o.Disk(row.id, row.name, *seen, rotational=turns)


def _neighbour(row: rows.Nic) -> o.Neighbour | None:
    if row.lldp_chassis is None and row.lldp_system is None:
        return None
    return o.Neighbour(row.lldp_chassis, row.lldp_port, row.lldp_system, row.lldp_vlan)


def parts(
    node: o.Node,
    nics: Sequence[rows.Nic],
    disks: Sequence[rows.Disk],
    addresses: Sequence[rows.Address],
    network: Callable[[str | None], o.Network | None],
) -> None:
    """Give ``node`` its NICs, disks and addresses, in order of name; an address finds its NIC and network."""
    node.nics = [_nic(row, node) for row in sorted(nics, key=lambda row: row.name)]
    node.disks = [_disk(row) for row in sorted(disks, key=lambda row: row.name)]
    by_id = {nic.id: nic for nic in node.nics}
    node.addresses = []
    for row in sorted(addresses, key=lambda row: (row.family, row.address)):
        nic = by_id.get(row.nic) if row.nic else None
        net = network(row.network)
        held = o.Address(
            row.id, row.address, "V4" if row.family == 4 else "V6", row.kind, node, nic, net
        )
        if net is not None:
            net.count(row.address, 1)
        node.addresses.append(held)
        if nic is not None:
            nic.addresses.append(held)
