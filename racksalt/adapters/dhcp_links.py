"""The interfaces of this machine, and which of them DHCP is to be served on."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence

from racksalt.adapters.dhcp_child import program
from racksalt.model.errors import DhcpError
from racksalt.model.place import Network
from racksalt.network.dnsmasq import Link

TIMEOUT_S = 10
SERVERS = ("ff02::1:2", 547)
"""All DHCP relay agents and servers on a link (RFC 8415 section 7.1)."""


def all_links() -> list[Link]:
    """Return the interfaces that have an address, without link-local ones."""
    shown = subprocess.run(  # noqa: S603  a fixed command
        [program("ip", "iproute2"), "-json", "address", "show"],
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    return [
        Link(
            one["ifname"],
            tuple(
                f"{address['local']}/{address['prefixlen']}"
                for address in one.get("addr_info", ())
                if address.get("scope") == "global"
            ),
        )
        for one in json.loads(shown.stdout or "[]")
        if one.get("ifname")
    ]


def chosen(links: Sequence[Link], networks: Sequence[Network], named: Sequence[str]) -> list[Link]:
    """Return the interfaces to serve on: those that are named, else those with an address in a served network.

    Raises:
        DhcpError: one that is named is not there, or there is none.
    """
    known = {link.name: link for link in links}
    missing = [name for name in named if name not in known]
    if missing:
        raise DhcpError(
            f"this machine has no interface {missing[0]!r}, only {', '.join(sorted(known))}",
            "mend dhcp.interfaces in the settings",
        )
    if named:
        return [known[name] for name in named]
    found = [link for link in links if any(link.is_on(network) for network in networks)]
    if not found:
        wanted = ", ".join(
            f"{network.name} ({network.cidr_v4 or network.cidr_v6})" for network in networks
        )
        raise DhcpError(
            f"no interface of this machine has an address in a network to be served: {wanted}",
            "give one an address, or name the interfaces that relays reach in dhcp.interfaces",
        )
    return found


def send_to_servers(link: str, message: bytes) -> None:
    """Send a DHCPv6 message to the servers on a link, this machine's own among them."""
    index = socket.if_nametoindex(link)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sending:
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)
        sending.sendto(message, (*SERVERS, 0, index))
