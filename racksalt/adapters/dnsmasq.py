"""Drives dnsmasq: its files, its process, its log.

dnsmasq looks at its folders by itself (inotify) and takes in what is new there. What is gone there it keeps until it is
started again; a signal to read all anew (SIGHUP) makes version 2.90 crash once a node with options of its own has had a
lease. So additions are written and nothing else is done; after removals it is restarted, which its leases survive.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from racksalt.adapters.dhcp_child import Child, program
from racksalt.adapters.dhcp_files import Folder
from racksalt.adapters.dhcp_links import all_links, chosen
from racksalt.adapters.dnsmasq_check import Checker
from racksalt.adapters.dnsmasq_log import Listener
from racksalt.model.errors import DhcpError
from racksalt.model.place import Range
from racksalt.network.dhcp import Host, Lease, Note, Wanted, discovery
from racksalt.network.dnsmasq import Link, host_lines, main_file, name_lines, option_lines
from racksalt.network.leases import read_leases, server_duid, stale
from racksalt.settings import Settings

log = logging.getLogger(__name__)
MAIN, LEASES = "dnsmasq.conf", "leases"
HOSTS, OPTIONS, NAMES = "hosts.d", "options.d", "names.d"
START_S = 30.0
RESTART_GAP_S = 1.0
"""Removals within this time share one restart."""
MOST_LIVE_CHANGES = 2000
"""dnsmasq keeps every line that it has ever read live: after so many it is restarted to forget the old ones."""
MOST_AT_ONCE = 300
"""More changed files than this are taken in quicker by a restart: each costs a look through all nodes."""


@dataclass(slots=True)
class Changes:
    """Files to write and to remove; ``restart`` where dnsmasq cannot take it in live."""

    write: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    restart: bool = False


class Dnsmasq:
    """One dnsmasq. Not safe to use from several threads."""

    def __init__(self, settings: Settings, links: Callable[[], Sequence[Link]] = all_links) -> None:
        self._settings, self._dhcp, self._all_links = settings, settings.dhcp, links
        path = program("dnsmasq", "dnsmasq-base")
        self._folder = Folder(self._dhcp.folder, (HOSTS, OPTIONS, NAMES))
        self._folder.open()
        conf = f"--conf-file={self._folder.root / MAIN}"
        argv = [path, "--keep-in-foreground", "--log-facility=-", conf]
        self.child = Child(argv, mark=conf, ready="started, version")
        self._checker = Checker(path, self._folder)
        self._listener = Listener(self._server_duid)
        self._hosts: dict[str, Host] | None = None
        self._served: frozenset[str] = frozenset()
        self._main = self._folder.read(MAIN)
        self._owners: dict[str, str] = {}
        self._ranges: list[Range] = []
        self._restart_due = False
        self._started_at = 0.0
        self._live = 0

    def apply(self, wanted: Wanted, links: Sequence[Link] | None = None) -> None:
        """Write what differs, after dnsmasq has said that it can read it.

        Args:
            wanted: what it is to say.
            links: the interfaces to serve on; None: those that the settings choose.

        Raises:
            DhcpError: no interface, a refused main file, or dnsmasq does not start. Files in use are as before.
        """
        if links is None:
            links = chosen(self._all_links(), wanted.networks, self._dhcp.interfaces)
        main = main_file(wanted, self._settings, links)
        changes = self._changes(wanted)
        refused = self._checker.refused(main, changes.write)
        hosts = {node: host for node, host in wanted.hosts.items() if node not in refused}
        for name, text in changes.write.items():
            if name.partition("/")[2] not in refused:
                self._folder.write(name, text)
        for name in changes.remove:
            self._folder.remove(name)
        if main != self._main:
            self._folder.write(MAIN, main)
            changes.restart = self.child.started
            self._main = main
        self._hosts, self._served = hosts, wanted.served()
        self._owners = {h.address: h.mac for host in hosts.values() for h in host.held if h.mac}
        self._ranges = [
            one
            for network in wanted.networks
            for family in (4, 6)
            for one in discovery(network, family)
        ]
        self._listener.know(wanted, links, refused)
        self._live += len(changes.write)
        self._restart_due |= changes.restart
        if not self.child.started:
            self._start()

    def tend(self) -> list[Note]:
        """Restart where it is due, keep dnsmasq alive, and read its log."""
        notes = []
        ended = self.child.tend()
        if ended:
            notes.append(Note("server", "dhcp_server_ended", f"dnsmasq {ended}", {}))
        due = self._restart_due or self._live > MOST_LIVE_CHANGES
        if due and time.monotonic() - self._started_at >= RESTART_GAP_S:
            self._start()
        return notes + self._listener.notes(self.child.lines(), self.leases)

    def leases(self) -> list[Lease]:
        """Return the leases in dnsmasq's file."""
        return read_leases((self._folder.read(LEASES) or "").splitlines())

    def _server_duid(self) -> str | None:
        return server_duid((self._folder.read(LEASES) or "").splitlines())

    def close(self) -> None:
        """End dnsmasq; its files and leases stay."""
        self.child.stop()
        self._folder.close()

    def _changes(self, wanted: Wanted) -> Changes:
        """Return what differs from what is there; the first time that is what an earlier service left."""
        if self._hosts is None or self._served != wanted.served():
            return _against(self._folder.present(), wanted)
        changes = Changes()
        for node, host in wanted.hosts.items():
            if self._hosts.get(node) != host:
                old = self._hosts.get(node)
                before = texts(old, self._served) if old else {}
                _compare(before, texts(host, self._served), changes)
        for node in self._hosts.keys() - wanted.hosts.keys():
            _compare(texts(self._hosts[node], self._served), {}, changes)
        changes.restart |= len(changes.write) > MOST_AT_ONCE
        return changes

    def _start(self) -> None:
        self.child.stop()
        # It writes into the lease file as long as it lives: what it wrote while we replace that would be lost.
        self.child.end_orphans()
        self._drop_stale_leases()
        self._restart_due, self._live = False, 0
        self._started_at = time.monotonic()
        self.child.start()
        if not self.child.is_up(START_S):
            tail = self.child.tail()
            self.child.stop()
            raise DhcpError(f"dnsmasq does not start: {tail}", _remedy(tail))

    def _drop_stale_leases(self) -> None:
        """Take out leases on addresses that are no more their holders': dnsmasq would honour them to their end."""
        lines = (self._folder.read(LEASES) or "").splitlines(keepends=True)
        gone = stale(lines, self._owners, self._ranges)
        if gone:
            log.warning("dropping %d leases whose reservations are gone", len(gone))
            self._folder.write(LEASES, "".join(line for line in lines if line not in gone))


def texts(host: Host, served: frozenset[str]) -> dict[str, str]:
    """Return the files of one node, by their path below the folder."""
    of_host = host_lines(host, served)
    parts = (
        (HOSTS, of_host),
        (OPTIONS, option_lines(host) if of_host else []),
        (NAMES, name_lines(host)),
    )
    return {f"{folder}/{host.node}": "\n".join([*lines, ""]) for folder, lines in parts if lines}


def _against(present: Mapping[str, str], wanted: Wanted) -> Changes:
    changes = Changes()
    served = wanted.served()
    all_wanted = {k: v for host in wanted.hosts.values() for k, v in texts(host, served).items()}
    _compare(dict(present), all_wanted, changes)
    return changes


def _compare(before: Mapping[str, str], after: Mapping[str, str], changes: Changes) -> None:
    for name, text in after.items():
        if before.get(name) != text:
            changes.write[name] = text
            changes.restart |= _is_lost(name, before.get(name, ""), text)
    for name in before.keys() - after.keys():
        changes.remove.append(name)
        changes.restart |= not name.startswith(NAMES)


def _is_lost(name: str, before: str, after: str) -> bool:
    """Say whether a MAC or an address is in the node's old lines and not in the new ones."""
    if not name.startswith(HOSTS):
        return False
    keys = [
        {word for word in text.replace("\n", ",").split(",") if ":" in word or "." in word}
        for text in (before, after)
    ]
    return not keys[0] <= keys[1]


def _remedy(tail: str) -> str:
    if "Address already in use" in tail:
        return "another DHCP or DNS server runs here: `ss -lunp` shows it; stop it, or set dhcp.dns_port"
    if "Permission denied" in tail or "not permitted" in tail:
        return "run `racksalt serve-dhcp` as root"
    return "see the errors page"


def version(path: str) -> str:
    """Return what dnsmasq says of its version."""
    shown = subprocess.run(  # noqa: S603  a fixed command
        [path, "--version"], capture_output=True, text=True, check=True, timeout=START_S
    )
    return shown.stdout.split("\n", 1)[0]
