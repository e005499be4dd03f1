"""DNS names of nodes and the zones that the admin node answers for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from racksalt.model.place import Network

MOST_ZONES = 256


def name_on(node: str, fqdn: str | None, network: Network) -> str | None:
    """Return the name that a node's address on a network has, None where it has none.

    Its own name belongs to its provisioning address. On any other network it is the node's id in that network's
    domain, so that one name never leads to two networks.
    """
    if network.purpose == "provisioning":
        return fqdn or (f"{node}.{network.domain}" if network.domain else node)
    if not network.domain:
        return None
    name = f"{node}.{network.domain}"
    return f"{node}.{network.name}.{network.domain}" if name == fqdn else name


def label_of(node: str, fqdn: str | None) -> str:
    """Return the host name proper, which DHCP hands out."""
    return (fqdn or node).split(".", 1)[0]


def zones_of(networks: Iterable[Network]) -> list[str]:
    """Return the forward and reverse zones whose names nobody else knows, each once."""
    found: dict[str, None] = {}
    for network in networks:
        if network.domain:
            found[network.domain] = None
        for cidr in (network.cidr_v4, network.cidr_v6):
            if cidr:
                found.update(dict.fromkeys(reverse_zones(cidr)))
    return list(found)


def reverse_zones(cidr: str) -> Iterator[str]:
    """Yield the reverse zones that cover a subnet exactly; of a part of one, none.

    RFC 1035 section 3.5, RFC 3596 section 2.5.
    """
    subnet = ip_network(cidr, strict=False)
    step = 8 if isinstance(subnet, IPv4Network) else 4
    end = min(-(-subnet.prefixlen // step) * step, subnet.max_prefixlen - step)
    if end >= subnet.prefixlen and 2 ** (end - subnet.prefixlen) <= MOST_ZONES:
        for part in subnet.subnets(new_prefix=end):
            yield _zone(part, end // step)


def _zone(subnet: IPv4Network | IPv6Network, labels: int) -> str:
    if isinstance(subnet, IPv4Network):
        parts, suffix = str(subnet.network_address).split("."), "in-addr.arpa"
    else:
        parts, suffix = list(subnet.network_address.exploded.replace(":", "")), "ip6.arpa"
    return ".".join([*reversed(parts[:labels]), suffix])
