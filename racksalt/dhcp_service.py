"""The DHCP and DNS service: follows the store and drives a server. A process of its own, which needs root.

It needs neither the conductor nor the Salt master: while those are down, machines go on getting their addresses.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racksalt.adapters.dnsmasq import Dnsmasq
from racksalt.adapters.kea import Kea
from racksalt.model.errors import ConflictError, DhcpError, RacksaltError, StoreError
from racksalt.model.event import Entry
from racksalt.model.place import Network
from racksalt.model.reservation import Reservation
from racksalt.network.dhcp import Note, Planner, Server, Wanted
from racksalt.network.dhcp_notes import Told
from racksalt.settings import Settings
from racksalt.store import Store
from racksalt.store.reservations import boot_services

log = logging.getLogger(__name__)
STATUS = "status.json"
STATUS_S = 5.0
NO_ADDRESS = ("dhcp_exhausted", "dhcp_full")
"""Notes that a client got no address: `racksalt doctor` shows them for an hour."""
SHARE = 4
"""After reading the store, the pause is so many times as long as that kept the processor busy."""
MOST_GAP_S = 2.0
"""But never longer: a new reservation must be served soon, even where reading takes a larger share of a processor."""
TRIES = 5
WAIT_S = 1.0


class Service:
    """Brings a server to what the store says, again and again."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        server: Server,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._store, self._server, self._clock = settings, store, server, clock
        self._pulse: int | None = None
        self._read: tuple[list[Network], list[Reservation]] | None = None
        self._wanted = Wanted(hosts={})
        self._plan = Planner(settings.dhcp.networks)
        self._not_before = self._read_at = self._status_at = float("-inf")
        self._told = Told()
        self._problem = ""
        self._exhausted: dict[str, Any] = {}

    def start(self) -> None:
        """Serve what the store says now.

        What a server serves in spite of an error is no reason to end it: that is told and tried again.

        Raises:
            DhcpError: the server cannot be started; the message says why.
        """
        try:
            self._refresh()
        except DhcpError as error:
            if not error.detail.get("serving"):
                raise
            self._failed(error)
        log.info("serving %d nodes by %s", len(self._wanted.hosts), self._settings.dhcp.server)

    def run(self, stop: threading.Event) -> None:
        """Serve until told to stop."""
        while not stop.wait(self._settings.dhcp.poll_s):
            self.step()

    def step(self) -> None:
        """Look once: has the store changed, does the server live, what did it say?"""
        try:
            if self._is_due():
                self._refresh()
                self._problem = ""
            for note in self._server.tend():
                self._tell(note)
            rest = self._told.rest(self._clock())
            if rest is not None:
                self._journal(rest, self._clock())
        except (RacksaltError, OSError, subprocess.SubprocessError) as error:
            self._failed(error)
        self._write_status()

    def _failed(self, error: Exception) -> None:
        """The server goes on with what it has; said once, tried again and again."""
        if str(error) != self._problem:
            log.error("%s", error)
        self._problem = str(error)
        self._not_before = time.monotonic() + WAIT_S

    def _is_due(self) -> bool:
        now = time.monotonic()
        if now < self._not_before:
            return False
        return (
            self._problem != ""
            or self._store.pulse() != self._pulse
            or now - self._read_at > self._settings.dhcp.resync_s
        )

    def _refresh(self) -> None:
        begun, cpu, pulse = time.monotonic(), time.process_time(), self._store.pulse()
        read = boot_services(self._store)
        resync = begun - self._read_at > self._settings.dhcp.resync_s
        if read != self._read:
            self._wanted = self._plan(*read)
        if read != self._read or resync or self._problem:
            self._read = None
            self._server.apply(self._wanted)
            self._tell_problems(self._wanted)
        # Only what was applied counts as read: else an error in between would be the last word.
        self._read, self._pulse = read, pulse
        if resync:
            self._read_at = begun
        spent = time.process_time() - cpu
        self._not_before = time.monotonic() + min(spent * SHARE, MOST_GAP_S)

    def _tell_problems(self, now_wanted: Wanted) -> None:
        for problem in now_wanted.problems:
            self._tell(Note(problem, "dhcp_left_out", problem, {}))

    def _tell(self, note: Note) -> None:
        """Log a note and journal it, of one key once in a while."""
        now = self._clock()
        if note.event in NO_ADDRESS:
            known = {"event": note.event, "at": now, "message": note.message}
            self._exhausted[note.key] = {**note.detail, **known}
        if self._told.is_due(note, now):
            self._journal(note, now)

    def _journal(self, note: Note, now: float) -> None:
        log.warning("%s", note.message)
        try:
            _append(self._store, note, now)
        except RacksaltError as error:
            log.error("not journalled: %s", error)

    def _write_status(self) -> None:
        """Say in a file what `racksalt doctor` asks for."""
        now = time.monotonic()
        if now - self._status_at < STATUS_S:
            return
        self._status_at = now
        status = {
            "at": self._clock(),
            "server": self._settings.dhcp.server,
            "networks": [network.name for network in self._wanted.networks],
            "hosts": len(self._wanted.hosts),
            "problem": self._problem,
            "left_out": list(self._wanted.problems)[:20],
            "exhausted": self._exhausted,
        }
        path = Path(self._settings.dhcp.folder, STATUS)
        try:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(status), encoding="utf-8")
            fresh.rename(path)
        except OSError as error:
            log.error("%s cannot be written: %s", path, error.strerror)


def open_server(settings: Settings) -> Server:
    """Return the server that the settings choose.

    Raises:
        DhcpError: none is chosen, its program is missing, or its folder is taken.
    """
    if settings.dhcp.server == "dnsmasq":
        return Dnsmasq(settings)
    if settings.dhcp.server == "kea":
        return Kea(settings)
    raise DhcpError(
        "the settings choose no DHCP server", "set dhcp.server to dnsmasq or kea, or start none"
    )


def open_store(settings: Settings, stop: threading.Event) -> Store | None:
    """Return the store once it is there; None when told to stop before. It never makes one: it runs as root."""
    told = False
    while not stop.is_set():
        path = settings.database.removeprefix("sqlite:///")
        try:
            if path == settings.database or Path(path).exists():
                return Store(settings.database)
            problem = f"{path} is not there yet"
        except StoreError as error:
            problem = str(error)
        if not told:
            log.warning("waiting for the database: %s", problem)
        told = True
        stop.wait(WAIT_S)
    return None


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        DhcpError: the server cannot be started.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = open_server(settings)
    store = None
    try:
        store = open_store(settings, stop)
        if store is not None:
            service = Service(settings, store, server)
            service.start()
            service.run(stop)
    finally:
        server.close()
        if store is not None:
            store.close()


def _append(store: Store, note: Note, now: float) -> None:
    """Journal a note; it belongs to the site, not to a node."""
    for attempt in range(TRIES):
        try:
            with store.write() as tx:
                seq = tx.head() + 1
                tx.append([_entry(seq, note, now)])
        except ConflictError:
            # On PostgreSQL another process may take the same number at the same time.
            if attempt == TRIES - 1:
                raise
        else:
            return


def _entry(seq: int, note: Note, now: float) -> Entry:
    return Entry(
        seq=seq,
        at=now,
        node="",
        kind="noted",
        event=note.event,
        event_id=f"{note.event}:{seq}:{now:.3f}",
        from_state="",
        to_state="",
        stage=None,
        source="dhcp",
        actor="dhcp service",
        message=note.message[:2000],
        detail=dict(note.detail),
    )
