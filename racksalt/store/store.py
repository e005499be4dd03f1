"""The store: opens the database, reads it, and hands out write transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)

from racksalt.model.errors import NotFoundError
from racksalt.model.event import Entry
from racksalt.model.node import STRANGER, Boot, Node, serial_key
from racksalt.model.place import Network, Rack, Zone
from racksalt.store import tables as t
from racksalt.store.engine import WRITE, open_engine
from racksalt.store.failures import told
from racksalt.store.migrate import migrate
from racksalt.store.rows import NOUNS, PARTS, query, reader, values
from racksalt.store.transaction import AHEAD_S, CONDUCTOR, Transaction

Noun = TypeVar("Noun")
PLACES = (Zone, Rack, Network)
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
IDS: BindParameter[Any] = bindparam("ids", expanding=True)
OF_NODES: dict[type[Any], Select[Any]] = {
    Node: query(Node).where(t.nodes.c.id.in_(IDS)),
    **{noun: query(noun).where(NOUNS[noun].c.node.in_(IDS)) for noun in PARTS},
}
PULSES = {
    "sqlite": "PRAGMA data_version",
    "postgresql": "SELECT coalesce((SELECT max(seq) FROM journal), 0) + coalesce((SELECT max(id) FROM inbox), 0)",
}
DUE = (
    "SELECT EXISTS (SELECT 1 FROM inbox)"
    " OR EXISTS (SELECT 1 FROM outbox WHERE not_before <= {0} AND lease_owner IS NULL)"
    " OR EXISTS (SELECT 1 FROM outbox WHERE not_before > {0} AND lease_owner IS NULL)"
)
DUES = {"sqlite": DUE.format("?"), "postgresql": DUE.format("%s")}


class Store:
    """One database. Safe to use from many threads; several processes may have one each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        self._writing = threading.Lock()
        self._pulse: Connection | None = None
        self._pulse_lock = threading.Lock()
        try:
            with told("cannot open the database", "check its path, rights and space"):
                migrate(self.engine)
        except Exception:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """Close every connection."""
        if self._pulse is not None:
            self._pulse.close()
        self.engine.dispose()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Give a write transaction: committed durably at the end, rolled back by any exception.

        Raises:
            StoreError: the database refused (full disk, lost connection); nothing was written.
            ConflictError: a row contradicts another one; nothing was written.
            InvalidInputError: a value does not fit its column; nothing was written.
        """
        # The lock keeps this process's threads from polling SQLite's own write lock.
        with (
            told("the database refused to write", "nothing was written; retry"),
            self._writing,
            self.engine.connect() as plain,
        ):
            connection = plain.execution_options(**{WRITE: True})
            with connection.begin():
                yield Transaction(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one consistent state."""
        with (
            told("the database cannot be read", "look at its log; retry"),
            self.engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    def pulse(self) -> int:
        """Return a number that changes when another process has committed; costs microseconds."""
        return self._quick(PULSES)

    def _quick(self, statements: dict[str, str], values: tuple[Any, ...] = ()) -> int:
        """Return the one number that a statement of the database's own dialect asks for: many times a second."""
        with self._pulse_lock, told("the database cannot be read", "look at its log; retry"):
            if self._pulse is None:
                self._pulse = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                statement = statements[self.engine.dialect.name]
                return int(self._pulse.exec_driver_sql(statement, values).scalar_one())
            except Exception:
                # A connection that broke stays broken: the next pulse takes another.
                self._pulse.invalidate()
                self._pulse.close()
                self._pulse = None
                raise

    def node(self, node: str) -> Node:
        """Return one node.

        Raises:
            NotFoundError: no such node.
        """
        found = self._select(Node, t.nodes.c.id == node)
        if not found:
            raise NotFoundError(
                f"node {node!r} is unknown", "`racksalt node list` shows those that are known"
            )
        return found[0]

    def nodes(
        self, *, state: str | None = None, rack: str | None = None, zone: str | None = None
    ) -> list[Node]:
        """Return nodes in the order of their ids, narrowed by state, rack and zone."""
        wanted = {"state": state, "rack": rack, "zone": zone}
        return self._select(
            Node,
            *(t.nodes.c[k] == v for k, v in wanted.items() if v is not None),
            order=t.nodes.c.id,
        )

    def nodes_by_id(self, ids: Sequence[str]) -> list[Node]:
        """Return those of the nodes that exist."""
        return self._select(Node, t.nodes.c.id.in_(list(ids)))

    def strangers_before(self, node: Node, declared: Iterable[str], most: int) -> int:
        """Count, up to ``most``, the machines that booted undeclared and have a place before this one.

        They were let in, or are there for longer; retired ones have none, nor have those that are declared by now.
        """
        known = [name for name in declared if name.startswith(STRANGER)]
        of = t.nodes.c
        earlier = tuple_(of.created_at, of.id) < tuple_(node.created_at, node.id)
        places = select(of.id).where(
            of.id.startswith(STRANGER, autoescape=True),
            of.id.not_in([node.id, *known]),
            of.state != "retired",
            or_(of.approved, earlier),
        )
        counted = select(func.count()).select_from(places.limit(most).subquery())
        with self.read() as connection:
            return int(connection.execute(counted).scalar_one())

    def overdue(self, now: float, longest_s: float = inf) -> list[Node]:
        """Return the nodes whose deadline has passed, or is further off than ``longest_s``, the longest that there is.

        Such a one was written by a clock that ran ahead, unless its job began in the past: then the rules were others.
        """
        at, since = t.nodes.c.deadline_at, t.nodes.c.job_since
        if longest_s == inf:
            return self._select(Node, at < now)
        ahead = and_(at > now + longest_s + AHEAD_S, or_(since.is_(None), since > now + AHEAD_S))
        return self._select(Node, or_(at < now, ahead))

    def awaiting(self, name: str, nodes: Sequence[str]) -> set[str]:
        """Return those of the nodes for which this effect is still to be done."""
        return self._waiting(nodes, t.outbox.c.name == name)

    def held(self, ids: Sequence[int], owner: str) -> set[int]:
        """Return those of the effects that are still to be done, and by this conductor."""
        wanted = select(t.outbox.c.id).where(
            t.outbox.c.id.in_(list(ids)), t.outbox.c.lease_owner == owner
        )
        with self.read() as connection:
            return set(connection.execute(wanted).scalars())

    def in_lane(self, lane: str, nodes: Sequence[str]) -> set[str]:
        """Return those of the nodes for which anything is still to be done in this lane."""
        return self._waiting(nodes, t.outbox.c.lane == lane)

    def is_due(self, now: float) -> bool:
        """Return whether there is anything to take from the inbox or to do now."""
        return bool(self._quick(DUES, (now, now + AHEAD_S)))

    def proofs(self, nodes: Sequence[str]) -> dict[tuple[str, str], str]:
        """Return the enrolment proofs seen for these nodes, by (node, key hash)."""
        with self.read() as connection:
            rows = connection.execute(select(t.proofs).where(t.proofs.c.node.in_(list(nodes))))
            return {(row.node, row.key_sha256): row.proof for row in rows}

    def mark(self, name: str) -> int:
        """Return a named number, 0 when it was never set."""
        with self.read() as connection:
            return int(
                connection.execute(select(t.marks.c.value).where(t.marks.c.name == name)).scalar()
                or 0
            )

    def set_mark(self, name: str, value: int) -> None:
        """Keep a named number."""
        with self.write() as tx:
            if not tx.change(t.marks, {"name": name}, value=value):
                tx.insert(t.marks, [{"name": name, "value": value}])

    def conductors(self, since: float) -> list[str]:
        """Return the names of the conductors that have said since then that they live."""
        name = t.marks.c.name
        said = t.marks.c.value.between(int(since), int(since + AHEAD_S))
        living = (name.startswith(CONDUCTOR), said)
        with self.read() as connection:
            found = connection.execute(select(name).where(*living).order_by(name)).scalars()
            return [str(one)[len(CONDUCTOR) :] for one in found]

    def parts(self, noun: type[Noun], node: str) -> list[Noun]:
        """Return the node's rows of Hardware, Nic, Disk, Bmc, Address or Boot."""
        return self._select(noun, NOUNS[noun].c.node == node)

    def all_of(self, noun: type[Noun]) -> list[Noun]:
        """Return all rows of one noun."""
        return self._select(noun)

    def topology(self) -> dict[str, Any]:
        """Return zones, racks, networks, nodes and their parts, and the journal's head, all of one instant."""
        with self.read() as connection:
            found: dict[str, Any] = {"head": _head(connection)}
            for noun in (*PLACES, Node, *PARTS):
                found[NOUNS[noun].name] = reader(noun)(connection.execute(query(noun)))
            return found

    def topology_of(
        self, nodes: Sequence[str], known: Mapping[str, int] = NOTHING
    ) -> dict[str, Any]:
        """Return these nodes and their parts, and the journal's head, all of one instant.

        ``known`` says of which ``parts_version`` the parts are that the caller has of a node: those of the same one are
        left out. The nodes are read first: what is committed in between makes their parts newer than said, and is
        read again.
        """
        with self.read() as connection:
            found: dict[str, Any] = {"head": _head(connection)}
            found["nodes"] = _of(connection, Node, nodes)
            changed = [
                node.id for node in found["nodes"] if known.get(node.id) != node.parts_version
            ]
            for noun in PARTS:
                found[NOUNS[noun].name] = _of(connection, noun, changed) if changed else []
            return found

    def head(self) -> int:
        """Return the newest sequence number of the journal, 0 when it is empty."""
        with self.read() as connection:
            return _head(connection)

    def journal(self, after_seq: int = 0, limit: int = 1000) -> list[Entry]:
        """Return entries after ``after_seq``, oldest first."""
        with self.read() as connection:
            wanted = (
                query(Entry)
                .where(t.journal.c.seq > after_seq)
                .order_by(t.journal.c.seq)
                .limit(limit)
            )
            return reader(Entry)(connection.execute(wanted))

    def history(
        self, node: str | None, before_seq: int | None = None, limit: int = 50
    ) -> list[Entry]:
        """Return entries of one node (None: of all), newest first, older than ``before_seq``."""
        wanted = query(Entry).order_by(t.journal.c.seq.desc()).limit(limit)
        if node is not None:
            wanted = wanted.where(t.journal.c.node == node)
        if before_seq is not None:
            wanted = wanted.where(t.journal.c.seq < before_seq)
        with self.read() as connection:
            return reader(Entry)(connection.execute(wanted))

    def entries(self, event_ids: Sequence[str]) -> list[Entry]:
        """Return the entries of those of the events that were handled."""
        return self._select(Entry, t.journal.c.event_id.in_(list(event_ids)))

    def pending_effects(self, node: str) -> list[dict[str, Any]]:
        """Return what is still to be done for a node, in order."""
        with self.read() as connection:
            rows = connection.execute(
                select(t.outbox).where(t.outbox.c.node == node).order_by(t.outbox.c.id)
            )
            return [
                {
                    k: row._mapping[k]
                    for k in ("name", "attempts", "created_at", "not_before", "error")
                }
                for row in rows
            ]

    def identify(
        self, macs: Iterable[str], serial: str | None, system_uuid: str | None
    ) -> list[Node]:
        """Return nodes that have one of the MACs, the serial (in any spelling) or the system UUID."""
        by_mac = select(t.nics.c.node).where(t.nics.c.mac.in_(list(macs)))
        claims = []
        if key := serial_key(serial):
            claims.append(t.hardware.c.serial_key == key)
        if system_uuid:
            claims.append(t.hardware.c.system_uuid == system_uuid)
        found: ColumnElement[bool] = t.nodes.c.id.in_(by_mac)
        if claims:
            found = or_(found, t.nodes.c.id.in_(select(t.hardware.c.node).where(or_(*claims))))
        return self._select(Node, found)

    def count(self, table: str, **where: str) -> int:
        """Return the number of rows of one of the tables, or of those with these values."""
        of = t.metadata.tables[table]
        wanted = select(func.count()).select_from(of).filter_by(**where)
        with self.read() as connection:
            return int(connection.execute(wanted).scalar_one())

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a small table (tokens, proofs, marks) by column name."""
        with self.read() as connection:
            return [
                dict(row._mapping) for row in connection.execute(select(t.metadata.tables[table]))
            ]

    def token(self, token: str) -> dict[str, Any] | None:
        """Return one token's row."""
        with self.read() as connection:
            row = connection.execute(select(t.tokens).where(t.tokens.c.id == token)).first()
            return dict(row._mapping) if row else None

    def boots_of(self, nodes: Sequence[str]) -> dict[str, list[Boot]]:
        """Return the boots of many nodes, by node; one statement."""
        found: dict[str, list[Boot]] = {}
        for boot in self._select(Boot, t.boots.c.node.in_(list(nodes))):
            found.setdefault(boot.node, []).append(boot)
        return found

    def boots(self, node: str) -> list[Boot]:
        """Return the node's boots, newest first."""
        return sorted(self.parts(Boot, node), key=lambda boot: boot.generation, reverse=True)

    def _waiting(self, nodes: Sequence[str], where: ColumnElement[bool]) -> set[str]:
        wanted = select(t.outbox.c.node).where(t.outbox.c.node.in_(list(nodes)), where)
        with self.read() as connection:
            return set(connection.execute(wanted).scalars())

    def _select(self, noun: type[Noun], *where: Any, order: Any = None) -> list[Noun]:
        wanted = query(noun).where(*where)
        if order is not None:
            wanted = wanted.order_by(order)
        with self.read() as connection:
            return reader(noun)(connection.execute(wanted))


def _of(connection: Connection, noun: type[Noun], nodes: Sequence[str]) -> list[Noun]:
    return reader(noun)(connection.execute(OF_NODES[noun], {"ids": nodes}))


def _head(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(t.journal.c.seq), 0))).scalar_one())


__all__ = ["Store", "values"]
