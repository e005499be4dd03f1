"""The addresses that nodes keep, within a write transaction: its lock is what keeps two conductors apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, bindparam, delete, func, select

from racksalt.model.node import Address
from racksalt.store import tables as t
from racksalt.store.rows import query, reader, values

if TYPE_CHECKING:
    from racksalt.store.transaction import Transaction

RESERVATION = "reservation"
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_KEPT = t.addresses.c.kind == RESERVATION
_HELD = query(Address).where(_KEPT, t.addresses.c.node.in_(_IDS)).order_by(t.addresses.c.id)
_TAKEN = select(t.addresses.c.address).where(t.addresses.c.address.in_(_IDS))
_HOLDERS = select(t.addresses.c.address, t.addresses.c.node).where(
    _KEPT, t.addresses.c.address.in_(_IDS)
)
_COUNTS = (
    select(t.addresses.c.network, t.addresses.c.family, func.count())
    .where(_KEPT)
    .group_by(t.addresses.c.network, t.addresses.c.family)
)


def held(tx: Transaction, nodes: Iterable[str]) -> dict[str, list[Address]]:
    """Return the addresses that the nodes keep, by node."""
    found: dict[str, list[Address]] = {}
    for row in reader(Address)(tx.connection.execute(_HELD, {"ids": list(nodes)})):
        found.setdefault(row.node, []).append(row)
    return found


def taken(tx: Transaction, addresses: Sequence[str]) -> set[str]:
    """Return those of the addresses that somebody has, be it as a lease."""
    return set(tx.connection.execute(_TAKEN, {"ids": list(addresses)}).scalars())


def holders(tx: Transaction, addresses: Collection[str]) -> dict[str, str]:
    """Return which node keeps each of the addresses that one keeps."""
    rows = tx.connection.execute(_HOLDERS, {"ids": list(addresses)}) if addresses else ()
    return {row.address: row.node for row in rows}


def counts(tx: Transaction) -> dict[tuple[str, int], int]:
    """Return how many addresses nodes keep, by network and family."""
    return {(name, family): number for name, family, number in tx.connection.execute(_COUNTS)}


def write(tx: Transaction, gone: Sequence[Address], put: Sequence[Address]) -> None:
    """Give back addresses and hand out others.

    Raises:
        ConflictError: somebody else has one of them (told by ``Store.write``); nothing was written.
    """
    ids = [row.id for row in gone]
    if ids:
        tx.connection.execute(delete(t.addresses).where(t.addresses.c.id.in_(_IDS)), {"ids": ids})
    if put:
        # The same node may change the NIC of an address; another node's row is in the way, and that is meant.
        own = delete(t.addresses).where(
            t.addresses.c.id == bindparam("_id"), t.addresses.c.node == bindparam("_node")
        )
        tx.connection.execute(own, [{"_id": row.id, "_node": row.node} for row in put])
    tx.insert(t.addresses, [values(row) for row in put])
    tx.touch({row.node for row in (*gone, *put)})


def forget_network(tx: Transaction, name: str) -> None:
    """Delete a network in which no node has an address, or that another one has taken the place of."""
    tx.remove(t.networks, name=name)
