"""Takes the site's declarations into the store: zones, racks, networks, nodes and their BMCs. Idempotent."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from racksalt.boot.identity import normalise_serial, same_serial
from racksalt.conductor.addresses import make_room, settle, superseded, told, uprooted
from racksalt.conductor.owners import Owners, make_way
from racksalt.model.errors import InvalidInputError
from racksalt.model.event import Entry
from racksalt.model.node import Bmc, Family, Hardware, Nic, Node
from racksalt.model.place import Network
from racksalt.network.allocate import boot_networks, name_of
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.store import Store, Transaction
from racksalt.store.addresses import forget_network
from racksalt.store.tables import bmcs

DECLARED = "declared"
REFUSED = "bmc_refused"
"""The change that says that a node's BMC was not taken in, because another node has it."""
PARTS = ("bmc", "macs", "serial", "addresses")
"""Changes that concern no column of the node's own row."""


class _Known(NamedTuple):
    """What the store has of the declared nodes, by node; who has what is declared; and by place what it boots on."""

    present: dict[str, Node]
    bmcs: dict[str, Bmc]
    hardware: dict[str, Hardware]
    owners: Owners
    boots: dict[tuple[str | None, str], list[tuple[Network, Family]]]


class _TrialError(Exception):
    """Rolls back what was only tried."""


def declare(
    store: Store,
    site: Declarations,
    now: float,
    *,
    test: bool = False,
    around: Declarations | None = None,
    gone: Collection[str] = (),
    check: Callable[[Transaction], None] | None = None,
) -> dict[str, Any]:
    """Bring the store to what is declared; return what changed (or would, with ``test``), by kind and name.

    Nodes that are no longer declared are left alone: a file's mistake must not lose a machine. Networks of another
    name go, whose addresses are in a declared one; but for a part of a site, with the whole site ``around`` it. So do
    those in ``gone``, unless ``check`` refuses; see ``racksalt.conductor.networks``.

    Raises:
        InvalidInputError: a part of a site gives a node the BMC of another; nothing was changed. Of a whole site, the
            rest is taken in, and the node's change and journal say why this is not.
    """
    changes: dict[str, Any] = {}
    with suppress(_TrialError), store.write() as tx:
        if check is not None:
            check(tx)
        old = superseded(tx.all_of(Network), site.networks) if around is None else ()
        for name in (*old, *(name for name in gone if name not in old)):
            forget_network(tx, name)
            changes.setdefault("gone_networks", []).append(name)
        _declare(tx, site, now, changes, around)
        if test:
            raise _TrialError
    return changes


def _declare(
    tx: Transaction,
    site: Declarations,
    now: float,
    changes: dict[str, Any],
    around: Declarations | None,
) -> None:
    _places(tx, "zones", site.zones, changes)
    _places(tx, "racks", site.racks, changes)
    _places(tx, "networks", site.networks, changes)
    everything = replace(site, nodes={**around.nodes, **site.nodes}) if around else site
    owners = make_way(tx, site, everything)
    if around and owners.refused:
        raise InvalidInputError("; ".join(owners.refused.values()))
    networks = tx.all_of(Network)
    known = _Known(
        tx.nodes(site.nodes),
        tx.bmcs(site.nodes),
        tx.hardware(site.nodes),
        owners,
        {
            (it.zone, it.name): boot_networks(networks, it.zone, it.name)
            for it in site.racks.values()
        },
    )
    nodes: dict[str, dict[str, Any]] = {name: {**lost} for name, lost in owners.lost.items()}
    for name, declared in site.nodes.items():
        change = _taken_in(tx, site, declared, known, now)
        if change:
            nodes[name] = {**nodes.get(name, {}), **change}
    everybody = bool(changes.keys() & {"networks", "gone_networks"})
    after = _addresses(tx, site, everything, networks, nodes, everybody=everybody)
    seq = tx.head()
    for number, (name, change) in enumerate(nodes.items(), 1):
        before = known.present.get(name) if name in site.nodes else after[name]
        tx.append([_entry(seq + number, now, after[name], before, change)])
    if nodes:
        changes["nodes"] = nodes


def _addresses(
    tx: Transaction,
    site: Declarations,
    everything: Declarations,
    networks: list[Network],
    changes: dict[str, dict[str, Any]],
    *,
    everybody: bool,
) -> dict[str, Node]:
    """Give the nodes their addresses and add what changed to ``changes``; return the nodes by id.

    When a network changed, that concerns ``everybody`` who was let in, also nodes that the files do not declare; and
    those who were not let in, if the network went that their address is on. What they shall have is told by
    ``everything`` that is declared, of which ``site`` is taken in now.
    """
    moved = make_room(tx, site) | (uprooted(tx, networks) if everybody else set())
    ids = [node.id for node in tx.all_of(Node)] if everybody else [*site.nodes, *moved]
    nodes = tx.nodes([*ids, *changes])
    known = [it for it in nodes.values() if it.approved or it.id in site.nodes or it.id in moved]
    for name, outcome in settle(tx, known, everything, networks).items():
        changes.setdefault(name, {})["addresses"] = told(outcome)
    return nodes


def _places(tx: Transaction, kind: str, wanted: dict[str, Any], changes: dict[str, Any]) -> None:
    if not wanted:
        return
    noun = type(next(iter(wanted.values())))
    present = {place.name: place for place in tx.all_of(noun)}
    fresh = {name: place for name, place in wanted.items() if present.get(name) != place}
    if fresh:
        changes[kind] = sorted(fresh)
        tx.put_places(list(fresh.values()))


def _taken_in(
    tx: Transaction, site: Declarations, declared: NodeDeclaration, known: _Known, now: float
) -> dict[str, Any]:
    """Take in one node, without a BMC that another has; return what changed."""
    why = known.owners.refused.get(declared.id)
    if why is None:
        return _node(tx, site, declared, known, now)
    return {**_node(tx, site, replace(declared, bmc=None), known, now), REFUSED: why}


def _node(
    tx: Transaction, site: Declarations, declared: NodeDeclaration, known: _Known, now: float
) -> dict[str, Any]:
    """Write what is new of one node and return it: {"field": new value}."""
    place = site.place(declared.id)
    boots = known.boots.get((place.zone, declared.rack), [])
    wanted: dict[str, Any] = {
        "zone": place.zone,
        "rack": declared.rack,
        "position_u": declared.position_u,
        "fqdn": name_of(declared.id, declared.fqdn, boots),
        "agent": declared.agent,
    }
    node = known.present.get(declared.id)
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
        tx.add_nodes([fresh])
        _parts(tx, declared, known.owners.macs)
        return {"state": DECLARED, **wanted}
    change = {name: value for name, value in wanted.items() if getattr(node, name) != value}
    return _followed(tx, declared, node, known, change)


def _followed(
    tx: Transaction, declared: NodeDeclaration, node: Node, known: _Known, change: dict[str, Any]
) -> dict[str, Any]:
    """Add what changed of a known node's parts to ``change``; write all of it."""
    if declared.bmc is not None and known.bmcs.get(node.id) != declared.bmc:
        change["bmc"] = f"{declared.bmc.protocol} {declared.bmc.address}:{declared.bmc.port}"
    # What inventory found is the truth about a node that was seen.
    missing = _missing(declared, known.owners.macs) if node.state == DECLARED else []
    if missing:
        change["macs"] = [nic.mac for nic in missing]
    if declared.serial and _other_board(declared, known.hardware.get(node.id)):
        change["serial"] = declared.serial
    if change:
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
    return wanted is not None and (serial is None or not same_serial(wanted, serial))


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


def _entry(seq: int, now: float, node: Node, before: Node | None, change: dict[str, Any]) -> Entry:
    why = [change[REFUSED]] if REFUSED in change else []
    return Entry(
        seq=seq,
        at=now,
        node=node.id,
        kind="noted",
        event="declared",
        event_id=f"declared:{node.id}:{seq}",
        from_state=before.state if before else "unknown",
        to_state=node.state,
        stage=node.stage,
        source="site",
        actor="site files",
        message="; ".join([f"declared: {', '.join(sorted(change))}", *why]),
        detail=change,
    )
