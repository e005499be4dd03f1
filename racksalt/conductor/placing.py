"""Proposes where a node stands by the switch port that it is plugged into.

LLDP is anybody's word: a proposal is shown, and takes effect only for a node that somebody let in and nobody placed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from racksalt.conductor.notes import note
from racksalt.model.event import Entry
from racksalt.model.hardware import PlaceProposal
from racksalt.model.node import Nic, Node
from racksalt.model.place import Rack
from racksalt.model.switch import Switch
from racksalt.site.schema import Declarations
from racksalt.store.transaction import Transaction

EVENT = "place_proposed"


class _Place(NamedTuple):
    """What one interface's neighbour says."""

    rack: str
    position_u: int | None


def propose(
    node: str, nics: Sequence[Nic], switches: Mapping[str, Switch], now: float
) -> PlaceProposal | None:
    """Return where the node seems to stand; None where no interface hears a switch of the site.

    A port that is not declared still tells its switch's rack. Interfaces that disagree make an obstacle.
    """
    found = [(nic, *plugged) for nic in nics if (plugged := _plugged(nic, switches))]
    # The interface that it boots by is the most likely to be where its cable plan says; then the more exact.
    found.sort(key=lambda it: (it[2].position_u is None, not it[0].pxe, it[0].name))
    if not found:
        return None
    nic, switch, place = found[0]
    others = [
        f"{it.name} says {_told(its)}" for it, _, its in found[1:] if _contradicts(place, its)
    ]
    return PlaceProposal(
        node=node,
        at=now,
        switch=switch.name,
        port=nic.lldp_port or "",
        nic=nic.name,
        rack=place.rack,
        position_u=place.position_u,
        obstacle=f"{nic.name} says {_told(place)}, {', '.join(others)}" if others else "",
    )


def _plugged(nic: Nic, switches: Mapping[str, Switch]) -> tuple[Switch, _Place] | None:
    switch = next((one for one in switches.values() if _is(one, nic)), None)
    if switch is None or not nic.lldp_port:
        return None
    port = switch.ports.get(nic.lldp_port)
    rack = (port.rack if port else None) or switch.rack
    return switch, _Place(rack, port.position_u if port else None)


def _is(switch: Switch, nic: Nic) -> bool:
    """Say whether the neighbour is this switch: by its chassis id where that is declared, else by its name."""
    if switch.chassis:
        return (nic.lldp_chassis or "").lower() == switch.chassis.lower()
    said = (nic.lldp_system or "").lower()
    return switch.name.lower() in (said, said.partition(".")[0])


def _contradicts(one: _Place, other: _Place) -> bool:
    positions = {one.position_u, other.position_u} - {None}
    return one.rack != other.rack or len(positions) > 1


def _told(place: _Place) -> str:
    return place.rack if place.position_u is None else f"{place.rack} U{place.position_u}"


def place(
    tx: Transaction, nodes: Mapping[str, Node], site: Declarations, now: float
) -> Iterator[tuple[Node, PlaceProposal, str]]:
    """Record what the nodes' interfaces propose; yield the node (placed or as it was), proposal and message.

    Only proposals that are new or have changed are yielded: an inventory that says the same again is no news.
    """
    if not site.switches:
        return
    racks = {rack.name: rack for rack in tx.all_of(Rack)}
    known, nics = tx.proposals(nodes), tx.nics(nodes)
    for node in nodes.values():
        found = propose(node.id, nics.get(node.id, ()), site.switches, now)
        if found is None:
            continue
        found = (
            found if found.obstacle else replace(found, obstacle=_obstacle(tx, found, site, racks))
        )
        placed = _placed(node, found, racks)
        before = known.get(node.id)
        if placed is node and before is not None and replace(before, at=now) == found:
            continue
        tx.put([found])
        yield placed, found, _message(found, node, placed)


def _obstacle(
    tx: Transaction, found: PlaceProposal, site: Declarations, racks: Mapping[str, Rack]
) -> str:
    if found.rack not in racks:
        return f"rack {found.rack} is not declared"
    if found.position_u is None:
        return ""
    for other, position_u in tx.positions(found.rack):
        declared = site.nodes.get(other)
        height = declared.height_u if declared else 1
        if other != found.node and position_u <= found.position_u < position_u + height:
            return f"U{found.position_u} of {found.rack} is {other}'s"
    return ""


def _placed(node: Node, found: PlaceProposal, racks: Mapping[str, Rack]) -> Node:
    if found.obstacle or not node.approved or node.rack is not None or node.position_u is not None:
        return node
    zone = racks[found.rack].zone
    if node.zone not in (None, zone):
        return node
    return replace(node, zone=zone, rack=found.rack, position_u=found.position_u)


def _message(found: PlaceProposal, node: Node, placed: Node) -> str:
    where = _told(_Place(found.rack, found.position_u))
    seen = f"{found.nic} is plugged into {found.switch} {found.port}"
    if found.obstacle:
        return f"{seen}: {where} proposed, but {found.obstacle}"
    if placed is not node:
        return f"{seen}: placed in {where}"
    if node.rack is not None and (node.rack, node.position_u) != (found.rack, found.position_u):
        return f"{seen}: {where} proposed, while it is said to be in {node.rack} U{node.position_u}"
    return f"{seen}: {where} proposed"


def entry(seq: int, now: float, node: Node, found: PlaceProposal, message: str) -> Entry:
    """Return the journal entry of a proposal."""
    detail = {name: getattr(found, name) for name in ("switch", "port", "rack", "position_u")}
    return note(seq, now, node, EVENT, "switch port", message, detail)
