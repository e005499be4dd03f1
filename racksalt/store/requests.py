"""Reads and keeps requests, each under its id: what the first of several processes wrote holds for all."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sqlalchemy import select

from racksalt.model.request import Request
from racksalt.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from racksalt.store.store import Store


def known_request(store: Store, request: str) -> Request | None:
    """Return the request of this id, if it was taken in."""
    with store.read() as connection:
        return _known(connection, request)


def take_request(store: Store, request: Request) -> Request | None:
    """Keep a request, unless there is one of its id: then return that one, and keep nothing."""
    with store.write() as tx:
        # Whoever writes waits for all other writers first: nobody takes it in between.
        found = _known(tx.connection, request.id)
        if found is None:
            tx.insert(t.requests, [asdict(request)])
        return found


def _known(connection: Connection, request: str) -> Request | None:
    row = connection.execute(select(t.requests).where(t.requests.c.id == request)).first()
    return Request(**row._mapping) if row else None
