"""Drives Kea: two servers for DHCP, its host database, and dnsmasq for TFTP and DNS, which Kea has not."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from racksalt.adapters.dhcp_child import Child, program
from racksalt.adapters.dhcp_files import Folder
from racksalt.adapters.dhcp_links import all_links, chosen
from racksalt.adapters.dnsmasq import Dnsmasq
from racksalt.adapters.kea_control import ask, kea_leases
from racksalt.adapters.kea_hosts import KeaHosts
from racksalt.model.errors import DhcpError
from racksalt.model.place import Network
from racksalt.network.dhcp import Lease, Note, Wanted, discovery, exhausted, leases_in, network_at
from racksalt.network.dnsmasq import Link
from racksalt.network.kea import HOOKS, HostRow, config, host_rows
from racksalt.network.kea_log import mac_of, refused_in
from racksalt.settings import Settings

log = logging.getLogger(__name__)
FAMILIES = (4, 6)
START_S = 30.0
TEST_S = 60
SUB = "kea"
PRIVATE_MODE = 0o600


class Kea:
    """One Kea for each family. Not safe to use from several threads."""

    def __init__(self, settings: Settings, links: Callable[[], Sequence[Link]] = all_links) -> None:
        if not settings.dhcp.kea_database:
            raise DhcpError("dhcp.kea_database is empty", "name Kea's PostgreSQL database there")
        self._settings, self._all_links = settings, links
        self._folder = Folder(Path(settings.dhcp.folder, SUB))
        self._programs = {
            family: program(f"kea-dhcp{family}", f"kea-dhcp{family}-server") for family in FAMILIES
        }
        self._names = Dnsmasq(settings, links)
        self._folder.open()
        self._hosts = KeaHosts(settings.dhcp.kea_database)
        self._texts: dict[int, str] = {}
        self._wanted = Wanted(hosts={})
        self._left_out: list[Note] = []
        self.children = {family: self._child(family) for family in FAMILIES}

    def apply(self, wanted: Wanted) -> None:
        """Write reservations into the database; a changed configuration, once tested, restarts its server.

        Where the database does not take them, a server that is not there is started all the same, for it may still
        read. One that runs is let alone: it could not be started again while its database is away.

        Raises:
            DhcpError: no interface, a refused configuration or database (``detail`` has ``serving`` if the servers
                serve nevertheless), or a server does not start.
        """
        links = chosen(self._all_links(), wanted.networks, self._settings.dhcp.interfaces)
        refused = self._written(wanted)
        self._wanted = wanted
        try:
            self._serve(wanted, links, restart=refused is None)
        except DhcpError as error:
            raise refused or error from error
        if refused is not None:
            raise DhcpError(refused.message, refused.hint, serving=True)

    def _written(self, wanted: Wanted) -> DhcpError | None:
        """Write the reservations; return why the database did not take them."""
        try:
            self._hosts.apply(host_rows(wanted))
        except DhcpError as error:
            return error
        self._left_out = [_left_out(row) for row in self._hosts.left_out]
        return None

    def _serve(self, wanted: Wanted, links: Sequence[Link], *, restart: bool) -> None:
        self._names.apply(replace(wanted, networks=()), links)
        database = self._hosts.database()
        for family, child in self.children.items():
            if not any(_cidr(network, family) for network in wanted.networks):
                child.stop()
                continue
            text = _text(family, wanted, self._settings, links, database)
            if not child.started or (restart and text != self._texts.get(family)):
                self._restart(family, text)

    def tend(self) -> list[Note]:
        """Keep the servers alive and read their logs."""
        notes, self._left_out = [*self._left_out, *self._names.tend()], []
        leases = lru_cache(self.leases)
        for family, child in self.children.items():
            ended = child.tend()
            if ended:
                name = f"kea-dhcp{family}"
                notes.append(Note(name, "dhcp_server_ended", f"{name} {ended}", {}))
            for line in child.lines():
                log.debug("%s", line)
                refused = refused_in(line)
                if refused is not None:
                    notes += self._refused(family, *refused, leases())
        return list({note.key: note for note in notes}.values())

    def leases(self) -> list[Lease]:
        """Return the leases that both servers have handed out."""
        return kea_leases(self._settings)

    def close(self) -> None:
        """End the servers; database and leases stay."""
        for child in self.children.values():
            child.stop()
        self._names.close()
        self._folder.close()

    def _refused(
        self, family: int, client: str, subnet: str, leases: Sequence[Lease]
    ) -> list[Note]:
        network = network_at(self._wanted.networks, subnet.partition("/")[0])
        if network is None:
            return []
        if self._freed(family, client, leases):
            return []
        ranges = discovery(network, family)
        held = sum(leases_in(one, leases) for one in ranges)
        return [exhausted(network, family, ranges, held, client)]

    def _freed(self, family: int, client: str, leases: Sequence[Lease]) -> bool:
        """End the lease that keeps a node, known by its MAC, from its own address; say whether there was one.

        The reservation is the MAC's, the lease the identity's under which the machine came first.
        """
        mac = mac_of(client)
        own = {
            held.address
            for host in self._wanted.hosts.values()
            for held in host.held
            if mac is not None and held.mac == mac and held.family == family
        }
        stale = [lease for lease in leases if lease.address in own]
        for lease in stale:
            log.info("%s comes under another identity: its older lease is ended", lease.address)
            arguments = {"ip-address": lease.address}
            ask(self._settings.dhcp.folder, family, f"lease{family}-del", arguments)
        return bool(stale)

    def _child(self, family: int) -> Child:
        path = str(self._folder.root / f"kea-dhcp{family}.conf")
        places = {name: str(self._folder.root) for name in ("KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR")}
        return Child(
            [self._programs[family], "-c", path],
            mark=path,
            ready=f"DHCP{family}_STARTED",
            environment=places,
        )

    def _restart(self, family: int, text: str) -> None:
        name = f"kea-dhcp{family}.conf"
        _tested(self._programs[family], self._folder, name, text)
        self._folder.write(name, text, PRIVATE_MODE)
        child = self.children[family]
        child.stop()
        # The folder is ours alone: a process id that a killed Kea left in it stands for nobody.
        for left in self._folder.root.glob(f"*{family}.pid"):
            left.unlink()
        child.start()
        if not child.is_up(START_S):
            tail = child.tail()
            child.stop()
            raise DhcpError(
                f"kea-dhcp{family} does not start: {tail}",
                "`ss -lunp` shows other DHCP servers; dhcp.kea_database must have Kea's tables",
            )
        self._texts[family] = text


def _left_out(row: HostRow) -> Note:
    """Return the note that the site itself has a reservation for a NIC of a node."""
    message = (
        f"{row.mac} of node {row.node!r} is left out: Kea's database has a reservation of the site's own for it; "
        "delete that one, or let it be and give the node its address there"
    )
    return Note(message, "dhcp_left_out", message, {"mac": row.mac, "left_out": row.node})


def rendered(settings: Settings, wanted: Wanted, *, check: bool) -> str:
    """Return the configurations and reservations that would be written, without the database's password.

    Raises:
        DhcpError: Kea refuses a configuration, if it is to check them.
    """
    links = chosen(all_links(), wanted.networks, settings.dhcp.interfaces)
    database = KeaHosts(settings.dhcp.kea_database).database()
    parts = []
    for family in FAMILIES:
        if check:
            with tempfile.TemporaryDirectory() as name:
                path = program(f"kea-dhcp{family}", f"kea-dhcp{family}-server")
                text = _text(family, wanted, settings, links, database)
                folder = Folder(name)
                folder.open()
                _tested(path, folder, "check.conf", text)
                folder.close()
        shown = {**database, **({"password": "***"} if "password" in database else {})}
        parts.append(_text(family, wanted, settings, links, shown))
    return "\n".join([*parts, *(str(row) for row in host_rows(wanted).values())])


def _text(
    family: int,
    wanted: Wanted,
    settings: Settings,
    links: Sequence[Link],
    database: dict[str, str],
) -> str:
    hook = HOOKS.format(machine=platform.machine())
    found: Any = config(family, wanted, settings, links, database=database, hook=hook)
    return json.dumps(found, indent=1) + "\n"


def _tested(path: str, folder: Folder, name: str, text: str) -> None:
    """Let Kea itself read a configuration before it is used."""
    test = f"new/test-{name}"
    folder.write(test, text, PRIVATE_MODE)
    try:
        done = subprocess.run(  # noqa: S603  the command line is made by us
            [path, "-t", str(folder.root / test)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TEST_S,
            env={**os.environ, "KEA_LOCKFILE_DIR": str(folder.root)},
        )
    finally:
        folder.remove(test)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().split("\n")[-1]
        raise DhcpError(
            f"{Path(path).name} refuses the generated configuration: {said}",
            "the one in use is unchanged; `racksalt dhcp render` shows the new one",
        )


def _cidr(network: Network, family: int) -> str | None:
    return network.cidr_v4 if family == 4 else network.cidr_v6
