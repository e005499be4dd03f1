"""Looks at the DHCP service from outside: what it would write, what it has leased, whether all is well."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from racksalt.adapters.dhcp_child import program
from racksalt.adapters.dhcp_files import Folder
from racksalt.adapters.dhcp_links import all_links, chosen
from racksalt.adapters.dnsmasq import LEASES, texts
from racksalt.adapters.dnsmasq_check import Checker
from racksalt.adapters.kea import rendered
from racksalt.adapters.kea_control import kea_leases
from racksalt.dhcp_service import STATUS, STATUS_S
from racksalt.model.errors import NotFoundError
from racksalt.model.place import Network
from racksalt.network.dhcp import Lease, Wanted, network_at, wanted
from racksalt.network.dnsmasq import main_file
from racksalt.network.leases import read_leases
from racksalt.settings import Settings
from racksalt.store import Store
from racksalt.store.reservations import boot_services

MANY = 1000
"""From so many nodes on, dnsmasq is slow: it writes its whole lease file anew at each lease."""
RECENT_S = 3600.0
LOOK = "look who asks: `racksalt dhcp leases`"
Seen = tuple[str, bool, str, str]
"""What was looked at, whether it is well, what was seen, and what to do."""


def leases(settings: Settings, now: float) -> list[dict[str, Any]]:
    """Return the leases that are not over, with the network and the node that they belong to."""
    networks, by_address = _of_store(settings)
    found = kea_leases(settings) if settings.dhcp.server == "kea" else _of_file(settings)
    return [
        {
            "address": one.address,
            "client": one.client,
            "network": network.name if (network := network_at(networks, one.address)) else None,
            "node": by_address.get(one.address),
            "ends_in_s": None if one.ends_at is None else round(one.ends_at - now),
        }
        for one in found
        if one.ends_at is None or one.ends_at > now
    ]


def render(settings: Settings, node: str, *, check: bool) -> tuple[str, list[str]]:
    """Return the text for the server, and what was left out of it or is refused by the server.

    Raises:
        NotFoundError: the node has no reservation.
        DhcpError: no interface to serve on, or the server refuses the main file.
    """
    store = Store(settings.database)
    try:
        found = wanted(*boot_services(store), settings.dhcp.networks)
    finally:
        store.close()
    if node and node not in found.hosts:
        raise NotFoundError(
            f"node {node!r} has no reservation", "look at its NICs: `racksalt node show`"
        )
    if settings.dhcp.server == "kea":
        return rendered(settings, found, check=check), list(found.problems)
    return _dnsmasq(settings, found, node, check)


def _dnsmasq(settings: Settings, found: Wanted, node: str, check: bool) -> tuple[str, list[str]]:
    links = chosen(all_links(), found.networks, settings.dhcp.interfaces)
    main = main_file(found, settings, links)
    hosts = [host for name, host in found.hosts.items() if node in ("", name)]
    files = {k: v for host in hosts for k, v in texts(host, found.served()).items()}
    problems = list(found.problems)
    if check:
        with tempfile.TemporaryDirectory() as name:
            folder = Folder(name)
            folder.open()
            checker = Checker(program("dnsmasq", "dnsmasq-base"), folder)
            problems += [f"{k}: {v}" for k, v in checker.refused(main, files).items()]
            folder.close()
    parts = [] if node else [f"# {settings.dhcp.folder}/dnsmasq.conf\n{main}"]
    parts += [f"# {settings.dhcp.folder}/{name}\n{text}" for name, text in sorted(files.items())]
    return "\n".join(parts), problems


def findings(settings: Settings, store: Store) -> Iterator[Seen]:
    """Yield what `racksalt doctor` says of the service; nothing where there is no network to serve."""
    if settings.dhcp.server == "none":
        return
    found = wanted(*boot_services(store), settings.dhcp.networks)
    for problem in found.problems:
        yield "DHCP", False, problem, "mend the declaration in the site's files"
    if not any(network.ranges for network in found.networks):
        return
    if settings.dhcp.server == "dnsmasq" and len(found.hosts) >= MANY:
        yield (
            "DHCP",
            False,
            f"{len(found.hosts)} nodes with reservations are many for dnsmasq",
            "set dhcp.server to kea; see docs/how-to/dhcp-and-dns",
        )
    yield from _service(settings, time.time())


def _service(settings: Settings, now: float) -> Iterator[Seen]:
    path = Path(settings.dhcp.folder, STATUS)
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        status = {"at": 0.0}
    if now - status["at"] > 4 * STATUS_S:
        yield (
            "DHCP",
            False,
            f"the DHCP service does not run (nothing new in {path})",
            "start it with `racksalt serve-dhcp`, or set dhcp.server to none",
        )
        return
    if status["problem"]:
        yield "DHCP", False, status["problem"], "it is tried again; see docs/how-to/dhcp-and-dns"
    for told in status["exhausted"].values():
        if now - told["at"] < RECENT_S:
            yield (
                "DHCP",
                False,
                told["message"],
                LOOK
                if told.get("event") == "dhcp_full"
                else f"widen the network's discovery range, or {LOOK}",
            )
    yield "DHCP", True, f"{status['server']} serves {status['hosts']} nodes", ""


def _of_store(settings: Settings) -> tuple[list[Network], dict[str, str]]:
    store = Store(settings.database)
    try:
        networks, reservations = boot_services(store)
    finally:
        store.close()
    return networks, {one.address: one.node for one in reservations}


def _of_file(settings: Settings) -> list[Lease]:
    path = Path(settings.dhcp.folder, LEASES)
    return read_leases(path.read_text(encoding="utf-8").splitlines()) if path.exists() else []
