"""Listens to dnsmasq: tells what it could not serve, and frees addresses that a node holds under an older identity."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from racksalt.adapters.dhcp_links import send_to_servers
from racksalt.network.dhcp import (
    Lease,
    Note,
    Wanted,
    discovery,
    exhausted,
    full,
    leases_in,
    network_at,
    unserved,
)
from racksalt.network.dhcpv6 import release
from racksalt.network.dnsmasq import Link
from racksalt.network.leases import LogReader, Refused

log = logging.getLogger(__name__)
RELEASE_GAP_S = 1.0
"""How long a lease that was given back has to end before it is given back again."""


class Listener:
    """Reads the log of one dnsmasq. ``server_duid`` is looked up in its lease file."""

    def __init__(self, server_duid: Callable[[], str | None]) -> None:
        self._server_duid = server_duid
        self._reader = LogReader()
        self._wanted = Wanted(hosts={})
        self._links: Sequence[Link] = ()
        self._refused: dict[str, str] = {}
        self._released: dict[str, float] = {}

    def know(self, wanted: Wanted, links: Sequence[Link], refused: Mapping[str, str]) -> None:
        """Take in what is served now, where, and which nodes dnsmasq refused."""
        self._wanted, self._links = wanted, links
        self._refused.update(refused)

    def notes(self, lines: Iterable[str], leases: Callable[[], list[Lease]]) -> list[Note]:
        """Return what a person should know of these lines."""
        found = [
            Note(f"refused {node}", "dhcp_refused", f"dnsmasq refuses {node}: {why}", {})
            for node, why in self._refused.items()
        ]
        self._refused.clear()
        # Many may ask at once: the lease file is read once for all of them.
        leases = lru_cache(leases)
        for line in lines:
            _show(line)
            refused = self._reader.read(line)
            if refused is None:
                continue
            if refused.kind == "unserved":
                found.append(unserved(refused.via))
            elif refused.kind == "full":
                found.append(full(len(leases()), refused.client))
            elif not self._freed(refused, leases):
                found += self._exhausted(refused, leases())
        return list({note.key: note for note in found}.values())

    def _exhausted(self, refused: Refused, leases: list[Lease]) -> list[Note]:
        notes = []
        for subnet in dict.fromkeys(refused.subnets):
            network = network_at(self._wanted.networks, subnet)
            if network is None:
                continue
            family = 6 if ":" in subnet else 4
            ranges = discovery(network, family)
            held = sum(leases_in(one, leases) for one in ranges)
            notes.append(exhausted(network, family, ranges, held, refused.client))
        return notes or [unserved(refused.via)]

    def _freed(self, refused: Refused, leases: Callable[[], list[Lease]]) -> bool:
        """End the lease that keeps a node, known by its MAC, from its own IPv6 address; say whether there was one."""
        if refused.mac is None or refused.client == refused.mac:
            return False
        own = {
            held.address: held.network
            for host in self._wanted.hosts.values()
            for held in host.held
            if held.mac == refused.mac and held.family == 6
        }
        stale = [one for one in leases() if one.address in own and one.client != refused.client]
        duid, now = self._server_duid(), time.monotonic()
        for lease in stale if duid else ():
            if now - self._released.get(lease.address, -RELEASE_GAP_S) >= RELEASE_GAP_S:
                self._released[lease.address] = now
                log.info("%s comes under another DUID: its older lease is ended", lease.address)
                send_to_servers(self._link_of(own[lease.address]), release(lease, duid or ""))
        return bool(stale)

    def _link_of(self, name: str) -> str:
        for link in self._links:
            if any(one.name == name and link.is_on(one) for one in self._wanted.networks):
                return link.name
        return self._links[0].name


def _show(line: str) -> None:
    """Hand on to our own log what a person wants to see of it: leases and errors, not every option."""
    text = line.partition("]: ")[2] or line
    words = text.split(" ", 2)
    if words[0].isdigit() and len(words) > 1 and not words[1].startswith("DHCP"):
        return
    log.debug("%s", text) if text.startswith(("RTR-", "read ")) else log.info("%s", text)
