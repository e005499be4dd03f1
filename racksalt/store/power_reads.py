"""The power of nodes, as recorded: no more of a node than those need who compare it with what all BMCs say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from racksalt.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection

    from racksalt.store.store import Store


class Powered(NamedTuple):
    """A node's power (on, off, unknown), and what says whether a reading of it is about the same moment."""

    id: str
    agent: str
    state: str
    boot: int
    power: str
    version: int


_POWERED = select(*(t.nodes.c[name] for name in Powered._fields)).order_by(t.nodes.c.id)


def powered(store: Store, nodes: Collection[str] | None = None) -> list[Powered]:
    """Return all nodes, or those of ``nodes`` that exist, in the order of their ids."""
    wanted = _POWERED if nodes is None else _POWERED.where(t.nodes.c.id.in_(list(nodes)))
    with store.read() as connection:
        return [Powered(*row) for row in connection.execute(wanted)]
