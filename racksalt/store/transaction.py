"""One write transaction: everything that changes the database goes through here, in bulk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BindParameter,
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from racksalt.model.errors import ConflictError
from racksalt.model.event import Effect, Entry, Event
from racksalt.model.hardware import BurnResult, PlaceProposal
from racksalt.model.node import Bmc, Boot, Disk, Hardware, Nic, Node
from racksalt.store import tables as t
from racksalt.store.bulk import execute_many
from racksalt.store.rows import NOUNS, PARTS, effect_of, event_of, query, reader, values

Noun = TypeVar("Noun")
IDS: BindParameter[Any] = bindparam("ids", expanding=True)
OUT, OF = t.outbox.c, t.nodes.c

MOST_IDS = 10_000
"""How many values one statement may name: PostgreSQL takes 65,535, SQLite 32,766."""

CONDUCTOR = "conductor/"
"""How the marks begin that say when a conductor was last alive."""

AHEAD_S = 3600.0
"""What is said to be further in the future than this was written by a clock that ran ahead: it counts as past."""

PROOFS, PROOFS_S = 8, 3600.0
"""How many enrolment proofs of one node are kept, and for how long."""

_PROOFS = (
    select(t.proofs.c.node, t.proofs.c.key_sha256, t.proofs.c.seen_at)
    .where(t.proofs.c.node.in_(IDS))
    .order_by(t.proofs.c.node, t.proofs.c.seen_at.desc(), t.proofs.c.key_sha256)
)
_NODES = query(Node).where(t.nodes.c.id.in_(IDS))
_BOOTS = query(Boot).where(t.boots.c.node.in_(IDS))
_HARDWARE = query(Hardware).where(t.hardware.c.node.in_(IDS))
_BMCS = query(Bmc).where(t.bmcs.c.node.in_(IDS))
_BURNS = query(BurnResult).where(t.burn_results.c.node.in_(IDS))
_PROPOSALS = query(PlaceProposal).where(t.place_proposals.c.node.in_(IDS))
_NICS = query(Nic).where(t.nics.c.node.in_(IDS)).order_by(t.nics.c.id)
_SEEN = select(*(t.journal.c[name] for name in ("event_id", "seq", "kind", "message"))).where(
    t.journal.c.event_id.in_(IDS)
)
_HEAD = select(func.coalesce(func.max(t.journal.c.seq), 0))
_KEPT = ("id", "parts_version")
_NODE_UPDATE = (
    update(t.nodes)
    .where(t.nodes.c.id == bindparam("_id"), t.nodes.c.version == bindparam("_version"))
    .values({c.name: bindparam(c.name) for c in t.nodes.c if c.name not in _KEPT})
)
_TOUCH = update(t.nodes).where(OF.id.in_(IDS)).values(parts_version=OF.parts_version + 1)


class Seen(NamedTuple):
    """What the journal has of an event that was handled before."""

    seq: int
    kind: str
    message: str


class Transaction:
    """Reads and writes of one transaction; nothing is seen by others before it is committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    # Reading, by many ids at once.

    def nodes(self, ids: Iterable[str]) -> dict[str, Node]:
        """Return the nodes that exist, by id."""
        return {node.id: node for node in self._many(Node, _NODES, ids)}

    def boots(self, ids: Iterable[str]) -> dict[str, list[Boot]]:
        """Return each node's boots."""
        found: dict[str, list[Boot]] = {}
        for boot in self._many(Boot, _BOOTS, ids):
            found.setdefault(boot.node, []).append(boot)
        return found

    def hardware(self, ids: Iterable[str]) -> dict[str, Hardware]:
        """Return what is known of the nodes' hardware, by node."""
        return {row.node: row for row in self._many(Hardware, _HARDWARE, ids)}

    def bmcs(self, ids: Iterable[str]) -> dict[str, Bmc]:
        """Return the nodes' BMCs, by node."""
        return {row.node: row for row in self._many(Bmc, _BMCS, ids)}

    def nics(self, nodes: Iterable[str]) -> dict[str, list[Nic]]:
        """Return the NICs that each node owns, in the order of their ids."""
        found: dict[str, list[Nic]] = {}
        for nic in self._many(Nic, _NICS, nodes):
            found.setdefault(nic.node, []).append(nic)
        return found

    def all_of(self, noun: type[Noun]) -> list[Noun]:
        """Return all rows of one noun."""
        return reader(noun)(self.connection.execute(query(noun)))

    def seen(self, event_ids: Iterable[str]) -> dict[str, Seen]:
        """Return those events that the journal has already, by id, with what became of them."""
        rows = self.connection.execute(_SEEN, {"ids": list(event_ids)})
        return {row.event_id: Seen(*row[1:]) for row in rows}

    def head(self) -> int:
        """Return the journal's newest sequence number."""
        return int(self.connection.execute(_HEAD).scalar_one())

    def mac_owners(self, macs: Iterable[str]) -> dict[str, str]:
        """Return which node owns each MAC that is known."""
        wanted, names = select(t.nics.c.mac, t.nics.c.node).where(t.nics.c.mac.in_(IDS)), list(macs)
        return {
            row.mac: row.node
            for at in range(0, len(names), MOST_IDS)
            for row in self.connection.execute(wanted, {"ids": names[at : at + MOST_IDS]})
        }

    def proposals(self, ids: Iterable[str]) -> dict[str, PlaceProposal]:
        """Return where nodes were proposed to stand, by node."""
        return {row.node: row for row in self._many(PlaceProposal, _PROPOSALS, ids)}

    def burns(self, node: str) -> list[BurnResult]:
        """Return what is kept of a node's burn-in runs."""
        return self._many(BurnResult, _BURNS, [node])

    def positions(self, rack: str) -> list[tuple[str, int]]:
        """Return (node, lowest rack unit) of the nodes in a rack whose position is known."""
        wanted = select(t.nodes.c.id, t.nodes.c.position_u).where(
            t.nodes.c.rack == rack, t.nodes.c.position_u.is_not(None)
        )
        return [(row.id, row.position_u) for row in self.connection.execute(wanted)]

    def count_unapproved(self) -> int:
        """Return how many nodes nobody approved, waiting or parked."""
        wanted = (
            select(func.count())
            .select_from(t.nodes)
            .where(
                t.nodes.c.approved.is_(False),
                t.nodes.c.state.in_(("discovering", "discovered", "problem")),
            )
        )
        return int(self.connection.execute(wanted).scalar_one())

    # Writing.

    def append(self, entries: Sequence[Entry]) -> None:
        """Append journal entries."""
        self.insert(t.journal, [values(entry) for entry in entries])

    def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Insert new nodes."""
        self.insert(t.nodes, [values(node) for node in nodes])

    def update_nodes(self, changes: Sequence[tuple[Node, int]]) -> None:
        """Write changed nodes, each with the version that was read (compare and set).

        Raises:
            ConflictError: another writer was faster; the transaction must be rolled back.
        """
        if not changes:
            return
        rows = [{**values(node), "_id": node.id, "_version": version} for node, version in changes]
        for row in rows:
            del row["id"], row["parts_version"]
        done = execute_many(self.connection, _NODE_UPDATE, rows)
        if done != len(rows):
            raise ConflictError(
                f"{len(rows) - done} of {len(rows)} nodes were changed by somebody else"
            )

    def put(self, nouns: Sequence[Any]) -> None:
        """Insert or replace rows by primary key (all of one noun)."""
        if not nouns:
            return
        table = NOUNS[type(nouns[0])]
        keys = list(table.primary_key.columns)
        gone = [{f"_{c.name}": getattr(noun, c.name) for c in keys} for noun in nouns]
        self.connection.execute(
            delete(table).where(*(c == bindparam(f"_{c.name}") for c in keys)), gone
        )
        self.insert(table, [values(noun) for noun in nouns])
        if type(nouns[0]) in PARTS:
            self.touch({noun.node for noun in nouns})

    def touch(self, nodes: Collection[str]) -> None:
        """Count a change of these nodes' parts, which whoever writes a table of PARTS says here."""
        if nodes:
            self.connection.execute(_TOUCH, {"ids": list(nodes)})

    def forget_boots(self, boots: Sequence[Boot]) -> None:
        """Delete boots."""
        for boot in boots:
            key = {"generation": boot.generation, "environment": boot.environment}
            self.remove(t.boots, node=boot.node, **key)

    def put_places(self, nouns: Sequence[Any]) -> None:
        """Insert or change zones, racks or networks; those that others refer to stay in place."""
        table = NOUNS[type(nouns[0])]
        for noun in nouns:
            row = values(noun)
            if not self.change(table, {"name": row.pop("name")}, **(row or {"name": noun.name})):
                self.insert(table, [values(noun)])

    def change(self, table: Table, key: dict[str, Any], **new: Any) -> int:
        """Update rows where all of ``key`` holds; return how many there were."""
        where = [table.c[name] == value for name, value in key.items()]
        return self.connection.execute(update(table).where(*where).values(**new)).rowcount

    def remove(self, table: Table, **key: Any) -> int:
        """Delete rows where all of ``key`` holds; return how many there were."""
        return self.connection.execute(
            delete(table).where(*(table.c[k] == v for k, v in key.items()))
        ).rowcount

    def replace_parts(
        self,
        nodes: Sequence[str],
        hardware: Sequence[Hardware],
        nics: Sequence[Nic],
    ) -> None:
        """Write what inventory found of these nodes, but for their disks."""
        for table, parts in ((t.hardware, hardware), (t.nics, nics)):
            self.connection.execute(delete(table).where(table.c.node.in_(IDS)), {"ids": nodes})
            self.insert(table, [values(part) for part in parts])
        self.touch(nodes)

    def replace_disks(self, nodes: Sequence[str], disks: Sequence[Disk]) -> None:
        """Write all disks that inventory found of these nodes, whose parts are written in the same transaction."""
        self.connection.execute(delete(t.disks).where(t.disks.c.node.in_(IDS)), {"ids": nodes})
        self.insert(t.disks, [values(disk) for disk in disks])

    def insert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows; none is fine."""
        if rows:
            execute_many(self.connection, insert(table), rows)

    # Inbox: what came over the bus and is still to be handled.

    def inbox_put(self, events: Sequence[Event]) -> int:
        """Add events that are not there yet; return how many were new."""
        known = {
            row.event_id
            for row in self.connection.execute(
                select(t.inbox.c.event_id).where(t.inbox.c.event_id.in_(IDS)),
                {"ids": [event.id for event in events]},
            )
        }
        fresh = {event.id: event for event in events if event.id not in known}
        rows = [{**values(event), "event_id": event.id} for event in fresh.values()]
        for row in rows:
            del row["id"]
        self.insert(t.inbox, rows)
        return len(rows)

    def inbox_take(self, limit: int) -> list[Event]:
        """Remove and return the oldest events."""
        rows = self.connection.execute(select(t.inbox).order_by(t.inbox.c.id).limit(limit)).all()
        if rows:
            self.connection.execute(delete(t.inbox).where(t.inbox.c.id <= rows[-1].id))
        return [event_of(row) for row in rows]

    def proofs_put(self, proofs: Sequence[dict[str, Any]]) -> None:
        """Keep enrolment proofs {node, key_sha256, proof, seen_at}; the newest of a key wins.

        Anybody can send any number: of a node, the PROOFS newest of its last PROOFS_S seconds are kept.
        """
        for proof in proofs:
            self.remove(t.proofs, node=proof["node"], key_sha256=proof["key_sha256"])
            self.insert(t.proofs, [proof])
        kept: dict[str, list[float]] = {}
        for row in self.connection.execute(
            _PROOFS, {"ids": list({proof["node"] for proof in proofs})}
        ).all():
            seen = kept.setdefault(row.node, [])
            if len(seen) >= PROOFS or (seen and row.seen_at < seen[0] - PROOFS_S):
                self.remove(t.proofs, node=row.node, key_sha256=row.key_sha256)
            else:
                seen.append(row.seen_at)

    # Outbox: what is still to be done.

    def lease(self, owner: str, now: float, lease_s: float, limit: int) -> list[Effect]:
        """Lease due effects: per node and lane the oldest one only, and none that another owner holds."""
        older = t.outbox.alias()
        first = ~exists().where(
            older.c.node == OUT.node, older.c.lane == OUT.lane, older.c.id < OUT.id
        )
        free = OUT.lease_owner.is_(None)
        if not any(
            self.connection.execute(select(OUT.id).where(when, free).limit(1)).first()
            for when in (OUT.not_before <= now, OUT.not_before > now + AHEAD_S)
        ):
            return []
        # The sum keeps databases from the index of what is due, by which they would sort all of a long backlog.
        at = OUT.not_before + 0.0
        due = (
            select(t.outbox)
            .where(and_(or_(at <= now, at > now + AHEAD_S), free, first))
            .order_by(OUT.id)
            .limit(limit)
        )
        rows = self.connection.execute(due.with_for_update(skip_locked=True)).all()
        if rows:
            self.connection.execute(
                update(t.outbox)
                .where(OUT.id.in_(IDS))
                .values(lease_owner=owner, lease_until=now + lease_s),
                {"ids": [row.id for row in rows]},
            )
        return [effect_of(row) for row in rows]

    def beat(
        self, owner: str, now: float, *, lease_s: float, silent_s: float, held: Sequence[int] = ()
    ) -> int:
        """Say that this conductor lives; free what silent conductors held, and leases that ended: return how many.

        ``held`` are the effects that it really works on: their leases go on, any other of its leases ends in time.
        """
        name = f"{CONDUCTOR}{owner}"
        if not self.change(t.marks, {"name": name}, value=int(now)):
            self.insert(t.marks, [{"name": name, "value": int(now)}])
        if held:
            mine = update(t.outbox).where(OUT.lease_owner == owner, OUT.id.in_(IDS))
            self.connection.execute(mine.values(lease_until=now + lease_s), {"ids": list(held)})
        said = t.marks.c.value.between(int(now - silent_s), int(now + AHEAD_S))
        self.connection.execute(delete(t.marks).where(t.marks.c.name.startswith(CONDUCTOR), ~said))
        living = select(func.substr(t.marks.c.name, len(CONDUCTOR) + 1)).where(
            t.marks.c.name.startswith(CONDUCTOR)
        )
        lasts = OUT.lease_until.between(now, now + lease_s + AHEAD_S)
        orphaned = and_(OUT.lease_owner.is_not(None), or_(~lasts, OUT.lease_owner.not_in(living)))
        freed = update(t.outbox).where(orphaned).values(lease_owner=None, lease_until=None)
        return self.connection.execute(freed).rowcount

    def leave(self, owner: str) -> None:
        """Say that this conductor ended; what it holds is free at once."""
        self.remove(t.marks, name=f"{CONDUCTOR}{owner}")
        held = update(t.outbox).where(OUT.lease_owner == owner)
        self.connection.execute(held.values(lease_owner=None, lease_until=None))

    def add_effects(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add outbox rows."""
        self.insert(t.outbox, rows)

    def void_effects(self, nodes: Sequence[str], names: Collection[str]) -> None:
        """Delete the effects of these names that are pending for these nodes."""
        gone = delete(t.outbox).where(OUT.node.in_(IDS), OUT.name.in_(sorted(names)))
        self.connection.execute(gone, {"ids": list(nodes)})

    def effects_done(self, ids: Sequence[int]) -> None:
        """Delete effects that are done."""
        if ids:
            self.connection.execute(delete(t.outbox).where(OUT.id.in_(IDS)), {"ids": list(ids)})

    def effects_again(self, rows: Sequence[dict[str, Any]], owner: str) -> None:
        """Put effects back: each row {id, attempts, not_before, progress, error}; ``attempts`` as it was leased.

        What another conductor has leased since is its own, and one that was tried since has news of its own, which
        are newer: both stay as they are.
        """
        if rows:
            keys, news = ("id", "attempts"), ("not_before", "progress", "error")
            mine = or_(OUT.lease_owner.is_(None), OUT.lease_owner == owner)
            again = update(t.outbox).where(mine, *(OUT[k] == bindparam(f"_{k}") for k in keys))
            free = {"attempts": OUT.attempts + 1, "lease_owner": None, "lease_until": None}
            self.connection.execute(
                again.values({**free, **{c: bindparam(c) for c in news}}),
                [{f"_{k}": r[k] for k in keys} | {c: r[c] for c in news} for r in rows],
            )

    def _many(self, noun: type[Noun], wanted: Any, ids: Iterable[str]) -> list[Noun]:
        return reader(noun)(self.connection.execute(wanted, {"ids": list(ids)}))
