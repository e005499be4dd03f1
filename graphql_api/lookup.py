"""Finds things in the snapshot and pages through the journal."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Any

from graphql_api.auth import AUDIT_READ
from graphql_api.problems import UserError
from graphql_api.records import Record, RecordPage, page, record, visible
from racksalt.model.node import serial_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql_api.context import Context
    from graphql_api.snapshot.objects import Node
    from graphql_api.snapshot.snapshot import Snapshot
    from graphql_api.types.filters import NodeKey

CHUNK = 1000
CHUNKS = 10
"""A filtered page of the journal looks at no more than CHUNKS times CHUNK entries."""


def by_name(it: Any) -> tuple[str]:
    """Order by name."""
    return (it.name,)


ORDERS: dict[str, Callable[[Node], tuple[Any, ...]]] = {
    "id": lambda it: (it.id,),
    "state": lambda it: (it.state, it.id),
    "state_since": lambda it: (it.since_s, it.id),
    "rack": lambda it: (it.rack.name if it.rack else "", it.id),
    "zone": lambda it: (it.zone.name if it.zone else "", it.id),
    "memory_mib": lambda it: ((it.hardware and it.hardware.memory_mib) or 0, it.id),
}


def node_by(snapshot: Snapshot, by: NodeKey) -> Node | None:
    """Return the node with one natural key; a serial that several nodes have is refused, not guessed."""
    if by.id or by.name:
        return snapshot.nodes.get(str(by.id or by.name))
    if by.mac:
        return snapshot.by_mac.get(by.mac.lower().replace("-", ":"))
    if by.address:
        return snapshot.by_address.get(canonical(by.address))
    found = snapshot.by_serial.get(serial_key(by.serial) or "", [])
    if len(found) > 1:
        names = ", ".join(sorted(one.id for one in found[:5]))
        raise UserError(
            "AMBIGUOUS", f"node: {len(found)} nodes have the serial {by.serial}: {names}; ask by id"
        )
    return found[0] if found else None


def canonical(address: str) -> str:
    """Return an address the way it is kept (RFC 5952 for IPv6); text that is none stays as it is."""
    try:
        return str(ipaddress.ip_address(address.strip()))
    except ValueError:
        return address


def count_states(snapshot: Snapshot, test: Callable[[Node], bool] | None) -> list[tuple[str, int]]:
    """Return (state, count) of the nodes that fit, in order of state."""
    rows = snapshot.ordered
    return sorted(Counter(row.state for row in rows if test is None or test(row)).items())


def journal_page(
    context: Context, test: Callable[[Record], bool] | None, first: int, after: int
) -> RecordPage:
    """Return entries after ``after`` that fit, oldest first; blocks on the database.

    The page may be short of ``first`` and still have a successor: its end cursor is the last entry looked at.
    """
    audit = context.caller.may(AUDIT_READ)
    nodes = context.snapshot.nodes
    source = context.services.source
    chosen: list[Record] = []
    if test is None and audit:
        entries = source.journal(after, first + 1)
        chosen = [record(one, nodes, audit=audit) for one in entries[:first]]
        return page(chosen, RecordPage.ALL, more=len(entries) > first)
    for _ in range(CHUNKS):
        entries = source.journal(after, CHUNK)
        for entry in entries:
            one = record(entry, nodes, audit=audit)
            if visible(entry, audit=audit) and (test is None or test(one)):
                if len(chosen) == first:
                    return page(chosen, RecordPage.ALL, more=True)
                chosen.append(one)
            after = entry.seq
        if len(entries) < CHUNK:
            return page(
                chosen, RecordPage.ALL, more=False, end=after if entries or chosen else None
            )
    return page(chosen, RecordPage.ALL, more=True, end=after)
