"""Takes the site's declarations into the store: zones, racks, networks, nodes and their BMCs. Idempotent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from racksalt.boot.identity import normalise_serial
from racksalt.model.event import Entry
from racksalt.model.node import Bmc, Hardware, Nic, Node
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.store import Store, Transaction
from racksalt.store.tables import bmcs, nics

DECLARED = "declared"
PARTS = ("bmc", "macs", "serial")
"""Changes that concern no column of the node's own row."""


class _Known(NamedTuple):
    """What the store has of the declared nodes, by node; and who owns each declared MAC."""

    bmcs: dict[str, Bmc]
    hardware: dict[str, Hardware]
    owners: dict[str, str]


def declare(store: Store, site: Declarations, now: float, *, test: bool = False) -> dict[str, Any]:
    """Bring the store to what is declared; return what changed (or would, with ``test``), by kind and name.

    Nodes that are no longer declared are left alone: a file's mistake must not lose a machine.
    """
    changes: dict[str, Any] = {}
    with store.write() as tx:
        for kind, wanted in (
            ("zones", site.zones),
            ("racks", site.racks),
            ("networks", site.networks),
        ):
            _places(tx, kind, wanted, changes, test)
        present = tx.nodes(site.nodes)
        known = _Known(tx.bmcs(site.nodes), tx.hardware(site.nodes), _owners(tx, site, test))
        seq = tx.head()
        for name, declared in site.nodes.items():
            change = _node(tx, site, declared, present.get(name), known, now, test)
            if change:
                changes.setdefault("nodes", {})[name] = change
                if not test:
                    seq += 1
                    tx.append([_entry(seq, now, name, present.get(name), change)])
    return changes


def _owners(tx: Transaction, site: Declarations, test: bool) -> dict[str, str]:
    """Return who owns the declared MACs; a machine that nobody approved must give up what is another's."""
    owners = tx.mac_owners([mac for node in site.nodes.values() for mac in node.macs])
    strangers = {n.id for n in tx.nodes(set(owners.values())).values() if not n.approved}
    taken = [m for m, owner in owners.items() if owner in strangers - set(site.nodes)]
    for mac in taken:
        del owners[mac]
        if not test:
            tx.remove(nics, mac=mac)
    return owners


def _places(
    tx: Transaction,
    kind: str,
    wanted: dict[str, Any],
    changes: dict[str, Any],
    test: bool,
) -> None:
    if not wanted:
        return
    noun = type(next(iter(wanted.values())))
    present = {place.name: place for place in tx.all_of(noun)}
    fresh = {name: place for name, place in wanted.items() if present.get(name) != place}
    if fresh:
        changes[kind] = sorted(fresh)
        if not test:
            tx.put_places(list(fresh.values()))


def _node(
    tx: Transaction,
    site: Declarations,
    declared: NodeDeclaration,
    node: Node | None,
    known: _Known,
    now: float,
    test: bool,
) -> dict[str, Any]:
    """Return what is new of one node: {"field": new value}; write it unless ``test``."""
    place = site.place(declared.id)
    wanted: dict[str, Any] = {
        "zone": place.zone,
        "rack": declared.rack,
        "position_u": declared.position_u,
        "fqdn": declared.fqdn,
        "agent": declared.agent,
    }
    if node is None:
        fresh = Node(
            id=declared.id,
            state=DECLARED,
            version=1,
            state_since=now,
            created_at=now,
            approved=site.policy.approve != "hand",
            goal=site.policy.goal,
            **wanted,
        )
        if not test:
            tx.add_nodes([fresh])
            _parts(tx, declared, known.owners)
        return {"state": DECLARED, **wanted}
    change = {name: value for name, value in wanted.items() if getattr(node, name) != value}
    return _followed(tx, declared, node, known, change, test)


def _followed(
    tx: Transaction,
    declared: NodeDeclaration,
    node: Node,
    known: _Known,
    change: dict[str, Any],
    test: bool,
) -> dict[str, Any]:
    """Add what changed of a known node's parts to ``change``; write all of it unless ``test``."""
    if declared.bmc is not None and known.bmcs.get(node.id) != declared.bmc:
        change["bmc"] = f"{declared.bmc.protocol} {declared.bmc.address}:{declared.bmc.port}"
    # What inventory found is the truth about a node that was seen.
    missing = _missing(declared, known.owners) if node.state == DECLARED else []
    if missing:
        change["macs"] = [nic.mac for nic in missing]
    if declared.serial and _other_board(declared, known.hardware.get(node.id)):
        change["serial"] = declared.serial
    if change and not test:
        place_only = {name: value for name, value in change.items() if name not in PARTS}
        tx.put(missing)
        tx.update_nodes([(replace(node, version=node.version + 1, **place_only), node.version)])
        if "bmc" in change and declared.bmc is not None:
            tx.remove(bmcs, node=node.id)
            tx.put([declared.bmc])
        if "serial" in change:
            # What is known of the old board would call the new one an imposter.
            tx.put([Hardware(node=node.id, serial=declared.serial)])
    return change


def _other_board(declared: NodeDeclaration, known: Hardware | None) -> bool:
    """Say whether the site's files name another serial number than the one on record."""
    wanted = normalise_serial(declared.serial)
    serial = normalise_serial(known.serial) if known else None
    return wanted is not None and wanted.lower() != (serial or "").lower()


def _parts(tx: Transaction, declared: NodeDeclaration, owners: dict[str, str]) -> None:
    if declared.bmc is not None:
        tx.put([declared.bmc])
    if declared.serial:
        tx.put([Hardware(node=declared.id, serial=declared.serial)])
    tx.put(_missing(declared, owners))


def _missing(declared: NodeDeclaration, owners: dict[str, str]) -> list[Nic]:
    """Return the declared NICs that nobody has yet."""
    return [
        Nic(
            id=f"{declared.id}/{mac}",
            node=declared.id,
            name=f"nic{number}",
            mac=mac,
            pxe=number == 0,
        )
        for number, mac in enumerate(declared.macs)
        if mac not in owners
    ]


def _entry(seq: int, now: float, name: str, node: Node | None, change: dict[str, Any]) -> Entry:
    state = node.state if node else DECLARED
    return Entry(
        seq=seq,
        at=now,
        node=name,
        kind="noted",
        event="declared",
        event_id=f"declared:{name}:{seq}",
        from_state=node.state if node else "unknown",
        to_state=state,
        stage=node.stage if node else None,
        source="site",
        actor="site files",
        message=f"declared: {', '.join(sorted(change))}",
        detail=change,
    )
