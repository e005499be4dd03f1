"""Is this machine who its node says? Its inventory is held against what is known of the node, and of all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from racksalt.boot.identity import (
    Known,
    normalise_serial,
    normalise_uuid,
    same_serial,
    same_uuid,
    swapped,
)
from racksalt.store.boot_reads import marks_in

if TYPE_CHECKING:
    from racksalt.conductor.view import View
    from racksalt.model.event import Event
    from racksalt.model.node import Node
    from racksalt.store.transaction import Transaction

IMPOSTER = (
    "its serial number or system UUID is not that of this node: an imposter or a replaced board"
)
GONE = "retired"


def doubt(view: View, event: Event) -> str:
    """Return why the machine that sent this inventory may not be the node, or nothing."""
    told = _told(event)
    if told is None:
        return ""
    uuid, serial = told
    known = view.hardware
    if known is not None:
        own = normalise_uuid(known.system_uuid), normalise_serial(known.serial)
        if (own[0] and uuid and not same_uuid(own[0], uuid)) or (
            own[1] and serial and not same_serial(own[1], serial)
        ):
            return IMPOSTER
        if view.node.approved and any(own):
            return ""  # who it is was settled before
    return next((why for rival in view.rivals if (why := _same(view, rival, uuid, serial))), "")


def _same(view: View, rival: Known, uuid: str | None, serial: str | None) -> str:
    """Return why the machine may be the rival's; UUIDs alone repeat where a maker printed one on a whole batch."""
    if not (uuid and rival.uuid and same_uuid(uuid, rival.uuid)):
        return ""
    if serial and rival.serial:
        if not same_serial(serial, rival.serial):
            return ""
        return (
            f"{rival.node} has the same system UUID and serial number: one machine under two names, or a copy; "
            f"retire one of the two, or declare this MAC with {rival.node}"
        )
    if view.node.approved:
        return ""
    return f"{rival.node} has the same system UUID and nothing tells the two apart; approve it if they are two machines"


def rivals(tx: Transaction, events: Iterable[Event]) -> dict[str, list[Known]]:
    """Return, for each node that reports an inventory, the nodes with its system UUID that count against it.

    A stranger's word counts only against strangers, else anybody could keep a declared machine out; and a retired node
    is no more.
    """
    told = {e.node: marks for e in events if (marks := _told(e)) is not None and marks[0]}
    if not told:
        return {}
    uuids = {form for uuid, _ in told.values() if uuid for form in _spellings(uuid)}
    found = [
        Known(
            node=row.node,
            macs=row.macs,
            uuid=normalise_uuid(row.system_uuid),
            serial=normalise_serial(row.serial),
        )
        for row in marks_in(tx.connection, [], sorted(uuids), [])
    ]
    nodes = tx.nodes({*told, *(known.node for known in found)})
    return {name: _counting(name, nodes, found) for name in told}


def met(
    node: Node, event: Event, inventories: Mapping[str, Any], nodes: Mapping[str, Node]
) -> list[Known]:
    """Return the nodes whose inventories were taken in before this event in the same batch, and count against it.

    ``inventories`` has what was taken in, and is not written yet: `rivals` cannot find it.
    """
    told = _told(event)
    if told is None or not told[0]:
        return []
    found = []
    for name, inventory in inventories.items():
        uuid, serial = _marks(inventory)
        if name != node.id and uuid and same_uuid(uuid, told[0]):
            found.append(Known(node=name, uuid=uuid, serial=serial))
    return _counting(node.id, nodes, found) if found else []


def _counting(name: str, nodes: Mapping[str, Any], found: Sequence[Known]) -> list[Known]:
    stranger = name not in nodes or not nodes[name].approved
    return [
        known
        for known in found
        if known.node != name
        and nodes[known.node].state != GONE
        and (stranger or nodes[known.node].approved)
    ]


def _spellings(uuid: str) -> list[str]:
    return [form for one in (uuid, swapped(uuid)) for form in (one, one.upper())]


def _told(event: Event) -> tuple[str | None, str | None] | None:
    inventory = event.data.get("inventory")
    return _marks(inventory) if isinstance(inventory, Mapping) else None


def _marks(inventory: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the system UUID and the serial number of an inventory."""
    uuid, serial = (inventory.get(name) for name in ("system_uuid", "serial"))
    return (
        normalise_uuid(uuid if isinstance(uuid, str) else None),
        normalise_serial(serial if isinstance(serial, str) else None),
    )
