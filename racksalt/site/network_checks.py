"""Sense checks of networks: where they reach, their VLANs, their subnets and who is in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from itertools import combinations
from typing import Final

from racksalt.model.place import LEAST_LENGTH_V6, Network
from racksalt.site.problems import SiteProblem, at, one_of
from racksalt.site.schema import Declarations

Subnet = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
FAMILIES: Final = (4, 6)
_DOMAIN: Final = re.compile(
    r"^(?=.{1,200}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z"
)
_INTERFACE: Final = re.compile(r"^[a-zA-Z][a-zA-Z0-9_-]{0,14}\Z")
_LEAST_MTU, _LEAST_MTU_V6, _MOST_MTU = 576, 1280, 9216


def check_networks(site: Declarations) -> Iterator[SiteProblem]:
    """Yield what makes no sense in the networks themselves."""
    for network in site.networks.values():
        yield from _reach(site, network)
        yield from _link(site, network)
    yield from _subnets(site)
    yield from _vlans(site)
    yield from _bridges(site)
    yield from _provisioning(site)


def subnet_of(network: Network, version: int) -> Subnet | None:
    """Return a network's subnet of a family; None if there is none, or it is written wrongly."""
    cidr = getattr(network, f"cidr_v{version}")
    if cidr is None or "/" not in cidr or "%" in cidr:
        return None
    try:
        found = ip_interface(cidr).network
    except ValueError:
        return None
    return found if found.version == version else None


def edges(subnet: Subnet) -> set[Address]:
    """Return the addresses of a subnet that no host has: the network's and, of IPv4, the broadcast address.

    IPv4 subnets of two addresses have none (RFC 3021); the first of IPv6 is for all routers (RFC 4291 §2.6.1).
    """
    if subnet.num_addresses <= 2:
        return set()
    first: set[Address] = {subnet.network_address}
    return first | {subnet.broadcast_address} if subnet.version == 4 else first


def address(text: str) -> Address | None:
    """Return the address that a text is, None if it is none. A zone (``%eth0``) is the reader's own, not a site's."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def meet(site: Declarations, one: Network, other: Network) -> bool:
    """Return whether a node can be on both networks."""
    for key in ("rack", "zone"):
        mine, its = (_home(site, it, key) for it in (one, other))
        if mine is not None and its is not None and mine != its:
            return False
    return True


def reaches(site: Declarations, network: Network, rack: str) -> bool:
    """Return whether a rack is on the network, as far as the files say: an unknown place is told once, not again."""
    if network.rack is not None:
        return network.rack == rack or network.rack not in site.racks
    home = site.racks.get(rack)
    unknown = network.zone not in site.zones or home is None
    return network.zone is None or unknown or (home is not None and home.zone == network.zone)


def _home(site: Declarations, network: Network, key: str) -> str | None:
    rack = site.racks.get(network.rack) if network.rack else None
    if key == "zone" and network.zone is None and rack is not None:
        return rack.zone
    found: str | None = getattr(network, key)
    return found


def _reach(site: Declarations, network: Network) -> Iterator[SiteProblem]:
    for key in ("zone", "rack"):
        place, known = getattr(network, key), site.known(f"{key}s")
        if place is not None and place not in known:
            yield at(site.files, "networks", network.name, key)(
                f"no {key} {place!r}", one_of(place, sorted(known))
            )
    rack = site.racks.get(network.rack) if network.rack else None
    if rack and network.zone in site.zones and network.zone != rack.zone:
        yield at(site.files, "networks", network.name, "zone")(
            f"rack {rack.name!r} is in zone {rack.zone!r}", "leave the zone out"
        )


def _link(site: Declarations, network: Network) -> Iterator[SiteProblem]:
    def say(key: str, message: str, hint: str = "") -> SiteProblem:
        return at(site.files, "networks", network.name, key)(message, hint)

    least = _LEAST_MTU_V6 if network.cidr_v6 else _LEAST_MTU
    if network.vlan is not None and not 1 <= network.vlan <= 4094:
        yield say("vlan", "is not between 1 and 4094")
    if network.vlan is None and network.tagging == "tagged":
        yield say("tagging", "there is no VLAN to tag with", "add `vlan:`")
    if not least <= network.mtu <= _MOST_MTU:
        yield say("mtu", f"is not between {least} and {_MOST_MTU}")
    if network.domain is not None and not _DOMAIN.match(network.domain):
        yield say("domain", f"{network.domain!r} is no DNS domain", "write z1.dc.example.net")
    if network.bridge is not None and not _INTERFACE.match(network.bridge):
        yield say("bridge", f"{network.bridge!r} is no interface name", "at most 15 letters")
    if network.bridge is not None and network.conduit is None:
        yield say("bridge", "has no conduit to be on", "add `conduit:`")


def _subnets(site: Declarations) -> Iterator[SiteProblem]:
    found: list[tuple[Subnet, Network, str]] = []
    for network in site.networks.values():
        for version in FAMILIES:
            cidr, gateway = (getattr(network, f"{it}_v{version}") for it in ("cidr", "gateway"))
            if cidr is None and gateway is not None:
                yield at(site.files, "networks", network.name, f"gateway_v{version}")(
                    "has no subnet to be in", f"add `cidr_v{version}:`"
                )
            if cidr is not None:
                yield from _subnet(site, network.name, cidr, gateway, version)
                subnet = subnet_of(network, version)
                if subnet is not None:
                    found.append((subnet, network, f"cidr_v{version}"))
                    yield from _too_wide(site, network, subnet)
    yield from _overlaps(site, found)


def _subnet(
    site: Declarations, name: str, cidr: str, gateway: str | None, version: int
) -> Iterator[SiteProblem]:
    """Yield what is wrong with one subnet and its router."""
    say = at(site.files, "networks", name, f"cidr_v{version}")
    try:
        interface = ip_interface(cidr)
    except ValueError:
        yield say(f"{cidr!r} is no subnet", "write address/length such as 10.0.0.0/24")
        return
    subnet: Subnet = interface.network
    if "/" not in cidr or "%" in cidr or subnet.version != version:
        yield say(f"{cidr!r} is no IPv{version} subnet", "write address/length")
    elif cidr.partition("/")[2] != str(subnet.prefixlen):
        yield say(f"{cidr!r} has no plain length after the slash", f"write {subnet}")
    elif interface.ip != subnet.network_address:
        yield say(f"{cidr} has host bits set", f"the subnet is {subnet}")
    elif gateway is not None:
        router = address(gateway)
        door = at(site.files, "networks", name, f"gateway_v{version}")
        if router is None:
            yield door(f"{gateway!r} is no address")
        elif not (version == 6 and router.is_link_local) and (
            router not in subnet or router in edges(subnet)
        ):
            yield door(f"{gateway} is no host of {subnet}", "a gateway is in its subnet")


def _too_wide(site: Declarations, network: Network, subnet: Subnet) -> Iterator[SiteProblem]:
    """Yield a subnet that no DHCP server could serve: it would keep all others from being served anew."""
    wide = subnet.version == 6 and subnet.prefixlen < LEAST_LENGTH_V6
    if wide and network.purpose == "provisioning":
        yield at(site.files, "networks", network.name, "cidr_v6")(
            f"{subnet} is wider than /{LEAST_LENGTH_V6}, which DHCP cannot serve",
            f"write the /{LEAST_LENGTH_V6} that machines boot on",
        )


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
            yield at(site.files, "networks", network.name, key)(
                f"{subnet} overlaps {wide[0]} of {wide[1].name}",
                "give each network addresses of its own",
            )
        else:
            wide = it


def _vlans(site: Declarations) -> Iterator[SiteProblem]:
    for one, other in combinations(site.networks.values(), 2):
        if one.vlan is not None and one.vlan == other.vlan and meet(site, one, other):
            yield at(site.files, "networks", other.name, "vlan")(
                f"{other.vlan} is {one.name}'s, and both reach the same zone", "choose another"
            )


def _bridges(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the bridges that would put two networks, or a network and a conduit's bond, on one interface."""
    bonds = {it.name for it in site.conduits.values() if any(one.bond for one in it.alternatives)}
    bridged = [it for it in site.networks.values() if it.bridge is not None]
    for network in bridged:
        if network.bridge in bonds:
            yield at(site.files, "networks", network.name, "bridge")(
                f"{network.bridge!r} is the name of a conduit's bond", "choose another"
            )
    for one, other in combinations(bridged, 2):
        if one.bridge == other.bridge and meet(site, one, other):
            yield at(site.files, "networks", other.name, "bridge")(
                f"{other.bridge!r} is {one.name}'s, and a node can be on both", "choose another"
            )


def _provisioning(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the racks whose machines no provisioning network reaches, once there is any such network."""
    boots = [it for it in site.networks.values() if it.purpose == "provisioning"]
    used = Counter(node.rack for node in site.nodes.values())
    for rack in site.racks.values() if boots else ():
        if used[rack.name] and not any(reaches(site, it, rack.name) for it in boots):
            yield at(site.files, "racks", rack.name)(
                "no provisioning network reaches it",
                f"declare one with `zone: {rack.zone}` or `rack: {rack.name}`",
            )
