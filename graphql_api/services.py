"""What lives as long as the process: the snapshot and its tailer, the journal's live feed, limits and caches."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import TYPE_CHECKING, Any

import anyio

from graphql_api import cost, tasks
from graphql_api.auth import Gate
from graphql_api.documents import Documents
from graphql_api.feed import Feed
from graphql_api.limits import Budget, Limits
from graphql_api.snapshot.snapshot import Snapshot, UnknownPlaceError

if TYPE_CHECKING:
    from graphql_api.snapshot.build import Commands
    from graphql_api.source import TopologySource

log = logging.getLogger(__name__)
POLL_S = 0.075
"""How often the journal's head is looked at."""
RELOAD_S = 60.0
"""How often, at most, the whole topology is read again for what changes without a journal entry (racks, networks)."""
RELOAD_SHARE = 0.01
"""The share of the time that reading again may take."""
FANOUTS_S, FANOUTS_SHARE = 5.0, 0.01
"""How old the fan-outs that costs are reckoned from may get while the topology changes: older where counting them
would take more than this share of the event loop's time."""
RETRY_S = 1.0
CHUNK = 1000


class Services:
    """Loads the snapshot, keeps it current, and holds what requests share.

    ``start`` must have returned before anything is answered. ``behind_since`` is when (Unix time) the journal could be
    followed for the last time; None while it can.
    """

    snapshot: Snapshot
    behind_since: float | None = None

    def __init__(
        self,
        source: TopologySource,
        operations: Any,
        commands: Commands,
        schema: Any,
        limits: Limits | None = None,
    ) -> None:
        self.source = source
        self.operations = operations
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.points_per_minute)
        self.gate = Gate(operations)
        self.schema = schema
        self.documents = Documents(schema._schema, self.limits)  # noqa: SLF001 - strawberry's own name for it
        self.feed = Feed()
        self.fanouts: cost.Fanouts = {}
        self._count_from = 0.0
        self._commands = commands
        self._tasks: set[asyncio.Future[Any]] = set()
        self._moved = asyncio.Event()
        self._tailer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the snapshot and begin to follow the journal."""
        self._take(await asyncio.to_thread(self._load))
        self.feed.seq = self.snapshot.seq
        self._tailer = asyncio.create_task(self._follow(), name="racksalt-tailer")

    async def stop(self) -> None:
        """Stop following, and end every subscription."""
        if self._tailer is not None:
            await tasks.end([self._tailer])
            self._tailer = None
        self.feed.close()

    def hold(self, task: asyncio.Future[Any]) -> None:
        """Keep a task alive until it is done: the event loop itself holds tasks weakly."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reached(self, seq: int, timeout_s: float) -> bool:
        """Wait until the snapshot has caught up with ``seq``; False when it has not within ``timeout_s``."""
        with anyio.move_on_after(timeout_s):
            await self._until(seq)
        return self.snapshot.seq >= seq

    async def _until(self, seq: int) -> None:
        while self.snapshot.seq < seq:
            self._moved.clear()
            await self._moved.wait()

    def _load(self) -> Snapshot:
        return Snapshot(self.source.load(), self._commands)

    def _take(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for kind, name in sorted(snapshot.absent):
            log.warning(
                "%s %r is named and not there: what is on it is shown without it", kind, name
            )
        self._count()
        self._moved.set()
        # What was loaded stays for long: keep the cycle collector from walking through it again and again. What was
        # there before is let go first.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        reload_at = loop.time() + RELOAD_S
        while True:
            pause = POLL_S
            try:
                if loop.time() >= reload_at:
                    began = loop.time()
                    # Before it: a load that fails must not keep the journal waiting.
                    reload_at = began + RELOAD_S
                    await self._reload()
                    took = loop.time() - began
                    reload_at = loop.time() + max(RELOAD_S, took / RELOAD_SHARE)
                head = await asyncio.to_thread(self.source.head)
                while self.feed.seq < head and await self._advance():
                    pass
                self.behind_since = None
            except Exception:
                # The database may be gone for a while: the snapshot goes on answering, and is behind.
                log.exception("the journal could not be followed; trying again")
                self.behind_since = self.behind_since or time.time()
                pause = RETRY_S
            await asyncio.sleep(pause)

    async def _advance(self) -> bool:
        """Take in the next entries; False when there are none."""
        entries = await asyncio.to_thread(self.source.journal, self.feed.seq, CHUNK)
        if not entries:
            return False
        changed = {entry.node for entry in entries if entry.node}
        rows = await asyncio.to_thread(self.source.of, changed, self.snapshot.known(changed))
        try:
            self.snapshot.apply(rows)
        except UnknownPlaceError:
            self._renew(await asyncio.to_thread(self._load))
        else:
            for name in changed - {row.id for row in rows.nodes}:
                self.snapshot.remove(name)
        self.snapshot.seq = max(self.snapshot.seq, entries[-1].seq)
        self._moved.set()
        if asyncio.get_running_loop().time() >= self._count_from:
            self._count()
        self.feed.publish(entries)
        return True

    def _count(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.fanouts = cost.fanouts(self.snapshot)
        took = loop.time() - began
        self._count_from = began + max(FANOUTS_S, took / FANOUTS_SHARE)

    async def _reload(self) -> None:
        """Read everything again, and take it if it says something else: a new generation.

        Where the journal moves all the time, what was read is ahead of the feed. It is taken all the same: the entries
        up to it are still published, and the rows that come with them are newer than it. What is behind the snapshot
        (another server of the database) is left.
        """
        new = await asyncio.to_thread(self._load)
        if new.seq >= self.snapshot.seq and _shape(self.snapshot) != _shape(new):
            self._renew(new)
        else:
            self._count()

    def _renew(self, new: Snapshot) -> None:
        """Take another snapshot in the place of one: no revision comes a second time."""
        new.generation = self.snapshot.generation + 1
        self._take(new)


def _shape(one: Snapshot) -> Any:
    """Return what tells two loads apart: all of what may change without a journal entry.

    The rest of a node moves its version, and its parts move the version of them.
    """
    return (
        list(one.zones),
        [(r.name, r.height_u, r.zone.name) for r in one.racks.values()],
        [
            (
                *(n.name, n.purpose, n.vlan, n.tagged, n.mtu, n.domain, n.conduit, n.bridge),
                *(n.cidr_v4, n.cidr_v6, n.gateway_v4, n.gateway_v6),
                *(n.zone and n.zone.name, n.rack and n.rack.name),
                [(it.name, it.first, it.last, it.use) for it in n.ranges],
            )
            for n in one.networks.values()
        ],
        [
            (n.id, n.version, n.parts_version, n.power.state, n.power.observed_at, n.last_seen_at)
            for n in one.ordered
        ],
    )
