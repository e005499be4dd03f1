"""What the DHCP and DNS service reads: reservations with their NICs and nodes, and the networks; two statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, select

from racksalt.model.place import Network
from racksalt.model.reservation import Reservation
from racksalt.store import tables as t
from racksalt.store.rows import query, reader

if TYPE_CHECKING:
    from racksalt.store.store import Store

_RESERVATIONS = (
    select(
        t.addresses.c.node,
        t.nodes.c.fqdn,
        t.nodes.c.boot_environment,
        t.nics.c.mac,
        t.addresses.c.network,
        t.addresses.c.address,
        t.addresses.c.family,
    )
    .join(t.nodes, t.nodes.c.id == t.addresses.c.node)
    .outerjoin(t.nics, and_(t.nics.c.id == t.addresses.c.nic, t.nics.c.node == t.addresses.c.node))
    .where(t.addresses.c.kind == "reservation", t.addresses.c.network.is_not(None))
    .order_by(t.addresses.c.node, t.addresses.c.id)
)


def boot_services(store: Store) -> tuple[list[Network], list[Reservation]]:
    """Return all networks in the order of their names and all reservations in that of their nodes, of one instant."""
    with store.read() as connection:
        networks = reader(Network)(connection.execute(query(Network).order_by(t.networks.c.name)))
        rows = connection.execute(_RESERVATIONS).all()
    return networks, [Reservation(*row) for row in rows]
