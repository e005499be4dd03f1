"""Sense checks: declarations that parse, and still cannot be true of a data centre."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Final

from racksalt.model.place import Network
from racksalt.site.problems import SiteProblem, one_of
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.site.switches import check_switches
from racksalt.wire import NODE_ID

_MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
_NAME: Final = re.compile(r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")
_SECRET_NAME: Final = re.compile(r"^file:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_NAME_HINT: Final = "use lower-case letters, digits, dots and hyphens"
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


def normal_mac(text: str) -> str:
    """Return a MAC in lower-case colon form if it is one in any usual spelling, else the text as it is."""
    digits = re.sub(r"[:.-]", "", text).lower()
    if re.fullmatch(r"[0-9a-f]{12}", digits):
        return ":".join(digits[n : n + 2] for n in range(0, 12, 2))
    return text


def normal(node: NodeDeclaration) -> NodeDeclaration:
    """Return the node with its MACs in lower-case colon form."""
    return replace(node, macs=tuple(map(normal_mac, node.macs)))


def check(site: Declarations) -> Iterator[SiteProblem]:
    """Yield everything that makes no sense. A declared name counts as known, even where it does not parse."""
    for rule in (
        _names,
        _homes,
        _positions,
        _identities,
        _bmcs,
        _policy,
        _networks,
        _stages,
        check_switches,
    ):
        yield from rule(site)


def _known(site: Declarations, section: str) -> set[str]:
    return {name for where, name in site.files if where == section}


def _at(site: Declarations, section: str, name: str, key: str = "") -> Callable[..., SiteProblem]:
    """Return a maker of problems at one declared thing."""
    file = site.files.get((section, name), "")
    path = ":".join(filter(None, (section, name if name != section else "", key)))
    return lambda message, hint="": SiteProblem(file, path, message, hint)


def _names(site: Declarations) -> Iterator[SiteProblem]:
    for section, name in site.files:
        if section == "nodes" and not NODE_ID.match(name):
            yield _at(site, section, name)("is no legal minion id", _NAME_HINT)
        if section in ("zones", "racks", "networks") and not _NAME.match(name):
            yield _at(site, section, name)("is no legal name", _NAME_HINT)


def _homes(site: Declarations) -> Iterator[SiteProblem]:
    zones, racks = _known(site, "zones"), _known(site, "racks")
    for rack in site.racks.values():
        if rack.zone not in zones:
            yield _at(site, "racks", rack.name, "zone")(
                f"no zone {rack.zone!r}", one_of(rack.zone, sorted(zones))
            )
        if not 1 <= rack.height_u <= 100:
            yield _at(site, "racks", rack.name, "height_u")("is not between 1 and 100")
    for node in site.nodes.values():
        if node.rack not in racks:
            yield _at(site, "nodes", node.id, "rack")(
                f"no rack {node.rack!r}", one_of(node.rack, sorted(racks))
            )
    for network in site.networks.values():
        if network.zone is not None and network.zone not in zones:
            yield _at(site, "networks", network.name, "zone")(
                f"no zone {network.zone!r}", one_of(network.zone, sorted(zones))
            )


def _positions(site: Declarations) -> Iterator[SiteProblem]:
    taken: dict[tuple[str, int], str] = {}
    for node in site.nodes.values():
        rack = site.racks.get(node.rack)
        if node.position_u is None:
            continue
        top = node.position_u + node.height_u - 1
        if node.height_u < 1:
            yield _at(site, "nodes", node.id, "height_u")("is below 1")
        elif node.position_u < 1 or (rack and top > rack.height_u):
            limit = f"1 to {rack.height_u}" if rack else "1 and up"
            yield _at(site, "nodes", node.id, "position_u")(
                f"U{node.position_u} to U{top} is not in the rack", f"the rack has U{limit}"
            )
        else:
            units = range(node.position_u, top + 1)
            others = {taken.get((node.rack, unit)) for unit in units} - {None}
            for other in sorted(filter(None, others)):
                yield _at(site, "nodes", node.id, "position_u")(
                    f"overlaps {other} in rack {node.rack!r}", "move one of the two"
                )
            taken.update({(node.rack, unit): node.id for unit in units})


def _identities(site: Declarations) -> Iterator[SiteProblem]:
    macs: dict[str, str] = {}
    serials: dict[str, str] = {}
    for node in site.nodes.values():
        for number, mac in enumerate(node.macs):
            at = _at(site, "nodes", node.id, f"macs:{number}")
            if not _MAC.match(mac):
                yield at(f"{mac!r} is no MAC", "write six pairs such as 52:54:00:12:34:56")
            elif int(mac[:2], 16) & 1:
                yield at(f"{mac} is a group address", "a NIC's first pair is even")
            elif mac in macs:
                yield at(f"{mac} is {macs[mac]}'s", "a NIC is in one node")
            macs.setdefault(mac, node.id)
        if node.serial and node.serial in serials:
            yield _at(site, "nodes", node.id, "serial")(
                f"{node.serial!r} is {serials[node.serial]}'s", "leave out what is not unique"
            )
        if node.serial:
            serials.setdefault(node.serial, node.id)


def _bmcs(site: Declarations) -> Iterator[SiteProblem]:
    taken: dict[tuple[str, int], str] = {}
    for node in site.nodes.values():
        if node.bmc is None:
            continue
        at = _at(site, "nodes", node.id, "bmc")
        where = (node.bmc.address, node.bmc.port)
        if where in taken and node.bmc.protocol != "simulated":  # one lab answers for many
            yield at(f"{where[0]} port {where[1]} is {taken[where]}'s BMC", "a BMC is in one node")
        taken.setdefault(where, node.id)
        if not 1 <= node.bmc.port <= 65535:
            yield _at(site, "nodes", node.id, "bmc:port")("is not between 1 and 65535")
        if not node.bmc.address or re.search(r"[\s/@]", node.bmc.address):
            yield _at(site, "nodes", node.id, "bmc:address")("is no IP address or host name")
        if not _SECRET_NAME.match(node.bmc.secret):
            yield _at(site, "nodes", node.id, "bmc:secret")(
                "does not name a secret",
                "write file:NAME for the entry NAME of the BMC secrets file, never the password",
            )


def _policy(site: Declarations) -> Iterator[SiteProblem]:
    at = _at(site, "policy", "policy", "approve_limit")
    limit = site.policy.approve_limit
    if site.policy.approve == "auto" and (limit is None or limit < 1):
        yield at("`approve: auto` needs a limit", "say how many unknown nodes may come in")
    if site.policy.approve != "auto" and limit is not None:
        yield at("goes with `approve: auto` only", "leave it out")


def _networks(site: Declarations) -> Iterator[SiteProblem]:
    subnets: list[tuple[Subnet, Network, str]] = []
    for network in site.networks.values():
        if network.vlan is not None and not 1 <= network.vlan <= 4094:
            yield _at(site, "networks", network.name, "vlan")("is not between 1 and 4094")
        for version in (4, 6):
            cidr, gateway = (getattr(network, f"{it}_v{version}") for it in ("cidr", "gateway"))
            if cidr is None and gateway is not None:
                yield _at(site, "networks", network.name, f"gateway_v{version}")(
                    "has no subnet to be in", f"add `cidr_v{version}:`"
                )
            if cidr is not None:
                subnet, problems = _subnet(site, network.name, cidr, gateway, version)
                yield from problems
                if subnet is not None:
                    subnets.append((subnet, network, f"cidr_v{version}"))
    yield from _overlaps(site, subnets)
    for one, other in combinations(site.networks.values(), 2):
        meet = one.zone == other.zone or None in (one.zone, other.zone)
        if one.vlan is not None and one.vlan == other.vlan and meet:
            yield _at(site, "networks", other.name, "vlan")(
                f"{other.vlan} is {one.name}'s, and both reach the same zone", "choose another"
            )


def _stages(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the conditions that no node can meet, for they name a place that there is not."""
    for name, stage in site.additions.get("stages", {}).items():
        for key in ("zone", "rack", "node"):
            wanted = stage.get("when", {}).get(key, [])
            known = _known(site, f"{key}s")
            for place in [wanted] if isinstance(wanted, str) else wanted:
                if known and place not in known:
                    yield _at(site, "stages", name, f"when:{key}")(
                        f"no {key} {place!r}", one_of(place, sorted(known))
                    )


def _subnet(
    site: Declarations, name: str, cidr: str, gateway: str | None, version: int
) -> tuple[Subnet | None, list[SiteProblem]]:
    """Return the subnet, and what is wrong with it and its gateway."""
    at = _at(site, "networks", name, f"cidr_v{version}")
    try:
        interface = ipaddress.ip_interface(cidr)
    except ValueError:
        return None, [at(f"{cidr!r} is no subnet", "write address/length such as 10.0.0.0/24")]
    subnet: Subnet = interface.network
    if "/" not in cidr or subnet.version != version:
        return None, [at(f"{cidr!r} is no IPv{version} subnet", "write address/length")]
    if interface.ip != subnet.network_address:
        return subnet, [at(f"{cidr} has host bits set", f"the subnet is {subnet}")]
    if gateway is None:
        return subnet, []
    door = _at(site, "networks", name, f"gateway_v{version}")
    try:
        address = ipaddress.ip_address(gateway)
    except ValueError:
        return subnet, [door(f"{gateway!r} is no address")]
    edges = {subnet.network_address, subnet.broadcast_address} if version == 4 else set()
    link_local = version == 6 and address.is_link_local
    if not link_local and (
        address not in subnet or (address in edges and subnet.num_addresses > 2)
    ):
        return subnet, [door(f"{gateway} is no host of {subnet}", "a gateway is in its subnet")]
    return subnet, []


def _overlaps(
    site: Declarations, subnets: Iterable[tuple[Subnet, Network, str]]
) -> Iterator[SiteProblem]:
    """Yield each subnet that lies in another: two subnets either nest or have nothing in common (RFC 4632 §3.1)."""
    wide: tuple[Subnet, Network, str] | None = None
    for it in sorted(
        subnets, key=lambda it: (it[0].version, int(it[0].network_address), it[0].prefixlen)
    ):
        subnet, network, key = it
        if wide and wide[0].version == subnet.version and subnet.network_address in wide[0]:
            yield _at(site, "networks", network.name, key)(
                f"{subnet} overlaps {wide[0]} of {wide[1].name}",
                "give each network addresses of its own",
            )
        else:
            wide = it
