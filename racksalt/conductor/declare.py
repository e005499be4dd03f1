"""Takes the site's declarations into the store: zones, racks, networks, nodes and their BMCs. Idempotent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from racksalt.model.event import Entry
from racksalt.model.node import Bmc, Hardware, Nic, Node
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.store import Store, Transaction
from racksalt.store.tables import bmcs

DECLARED = "declared"
PARTS = ("bmc", "macs")
"""Changes that concern no column of the node's own row."""


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
        macs = [mac for node in site.nodes.values() for mac in node.macs]
        known = tx.bmcs(site.nodes), tx.mac_owners(macs)
        seq = tx.head()
        for name, declared in site.nodes.items():
            change = _node(tx, site, declared, present.get(name), known, now, test)
            if change:
                changes.setdefault("nodes", {})[name] = change
                if not test:
                    seq += 1
                    tx.append([_entry(seq, now, name, present.get(name), change)])
    return changes


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
    known: tuple[dict[str, Bmc], dict[str, str]],
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
            _parts(tx, declared, known[1])
        return {"state": DECLARED, **wanted}
    change = {name: value for name, value in wanted.items() if getattr(node, name) != value}
    if declared.bmc is not None and known[0].get(node.id) != declared.bmc:
        change["bmc"] = f"{declared.bmc.protocol} {declared.bmc.address}:{declared.bmc.port}"
    # What inventory found is the truth about a node that was seen.
    missing = _missing(declared, known[1]) if node.state == DECLARED else []
    if missing:
        change["macs"] = [nic.mac for nic in missing]
    if change and not test:
        place_only = {name: value for name, value in change.items() if name not in PARTS}
        tx.put(missing)
        tx.update_nodes([(replace(node, version=node.version + 1, **place_only), node.version)])
        if "bmc" in change and declared.bmc is not None:
            tx.remove(bmcs, node=node.id)
            tx.put([declared.bmc])
    return change


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
