"""Reads of the boot API: few statements for any number of machines at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import bindparam, select

from racksalt.model.node import Boot, Node, serial_key
from racksalt.store import tables as t
from racksalt.store.rows import NOUNS, query, reader

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import BindParameter, Connection

    from racksalt.store.store import Store

Noun = TypeVar("Noun")
_IDS: BindParameter[str] = bindparam("ids", expanding=True)
_HITS = (
    select(t.nics.c.node)
    .where(t.nics.c.mac.in_(bindparam("macs", expanding=True)))
    .union(
        select(t.hardware.c.node).where(
            t.hardware.c.system_uuid.in_(bindparam("uuids", expanding=True))
        ),
        select(t.hardware.c.node).where(
            t.hardware.c.serial_key.in_(bindparam("serials", expanding=True))
        ),
    )
)
_MARKS = (
    select(t.nodes.c.id, t.nics.c.mac, t.hardware.c.system_uuid, t.hardware.c.serial)
    .outerjoin(t.nics, t.nics.c.node == t.nodes.c.id)
    .outerjoin(t.hardware, t.hardware.c.node == t.nodes.c.id)
    .where(t.nodes.c.id.in_(_HITS))
    .order_by(t.nodes.c.id)
)
_NODES = query(Node).where(t.nodes.c.id.in_(_IDS))
_BOOTS = query(Boot).where(t.boots.c.node.in_(_IDS))


class Marks(NamedTuple):
    """What tells one node from another, as recorded (not brought to one form)."""

    node: str
    macs: frozenset[str]
    system_uuid: str | None
    serial: str | None


def marks(
    store: Store, macs: Collection[str], uuids: Collection[str], serials: Collection[str]
) -> list[Marks]:
    """Return the marks of every node that has one of these MACs, UUIDs or serials; one statement.

    A serial number is found in any spelling, MACs and UUIDs as they are given.
    """
    with store.read() as connection:
        return marks_in(connection, macs, uuids, serials)


def marks_in(
    connection: Connection,
    macs: Collection[str],
    uuids: Collection[str],
    serials: Collection[str],
) -> list[Marks]:
    """Return the same within a transaction that is open."""
    keys = {key for serial in serials if (key := serial_key(serial))}
    wanted = {"macs": list(macs), "uuids": list(uuids), "serials": list(keys)}
    rows = connection.execute(_MARKS, wanted).all()
    found: dict[str, tuple[set[str], str | None, str | None]] = {}
    for node, mac, system_uuid, serial in rows:
        kept = found.setdefault(node, (set(), system_uuid, serial))
        if mac is not None:
            kept[0].add(mac)
    return [Marks(node, frozenset(kept[0]), *kept[1:]) for node, kept in found.items()]


def parts_of(store: Store, noun: type[Noun], nodes: Sequence[str]) -> list[Noun]:
    """Return the rows of one kind that belong to these nodes; one statement."""
    wanted = query(noun).where(NOUNS[noun].c.node.in_(_IDS))
    with store.read() as connection:
        return reader(noun)(connection.execute(wanted, {"ids": list(nodes)}))


def nodes_with_boots(store: Store, ids: Sequence[str]) -> dict[str, tuple[Node, tuple[Boot, ...]]]:
    """Return those of the nodes that exist with all their boots, by id; two statements."""
    wanted = {"ids": list(ids)}
    with store.read() as connection:
        nodes = reader(Node)(connection.execute(_NODES, wanted))
        boots = reader(Boot)(connection.execute(_BOOTS, wanted))
    of_node: dict[str, list[Boot]] = {node.id: [] for node in nodes}
    for boot in boots:
        of_node.setdefault(boot.node, []).append(boot)
    return {node.id: (node, tuple(of_node[node.id])) for node in nodes}
