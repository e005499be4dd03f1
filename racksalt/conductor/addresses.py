"""Gives nodes their addresses and names, in the transaction that records their NICs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from racksalt.conductor.notes import note
from racksalt.model.conduit import Alternative, Conduit, choose
from racksalt.model.errors import InvalidInputError
from racksalt.model.event import Entry
from racksalt.model.node import Address, Family, Nic, Node
from racksalt.model.place import Network
from racksalt.network.allocate import (
    FAMILIES,
    Need,
    Outcome,
    allocate,
    boot_networks,
    boot_nic,
    name_of,
)
from racksalt.network.pools import Pool, family_of, normal, overlap, subnet_of
from racksalt.site.schema import Declarations
from racksalt.store import Transaction, addresses

_Fixed = Mapping[tuple[str, Family], str]

RETIRED = "retired"
EVENT = "addresses_settled"


def settle(
    tx: Transaction, nodes: Sequence[Node], site: Declarations, networks: Sequence[Network]
) -> dict[str, Outcome]:
    """Give each node the addresses that its place and its NICs ask for; return what changed, by node.

    A retired node keeps none. One for which no address is left keeps what it has otherwise: that is told, not raised.
    """
    book = _Book(tx, site, networks)
    ids = [node.id for node in nodes]
    held, nics = addresses.held(tx, ids), tx.nics(ids)
    found: dict[str, Outcome] = {}
    for node in nodes:
        mine = held.get(node.id, [])
        needs = [] if node.state == RETIRED else _needs(book, node, nics.get(node.id, []), mine)
        stay = () if node.state == RETIRED else book.reach(node).stay
        outcome = allocate(node.id, needs, mine, book.take, may_stay=stay)
        if outcome != Outcome():
            found[node.id] = outcome
    gone = [row for outcome in found.values() for row in outcome.gone]
    addresses.write(tx, gone, [row for outcome in found.values() for row in outcome.put])
    return found


def named(node: Node, site: Declarations, networks: Sequence[Network]) -> Node:
    """Return the node with the full name that its files or its network give it."""
    declared = site.nodes.get(node.id)
    boots = boot_networks(networks, node.zone, node.rack)
    fqdn = name_of(node.id, declared.fqdn if declared else None, boots) or node.fqdn
    return node if fqdn == node.fqdn else replace(node, fqdn=fqdn)


def make_room(tx: Transaction, site: Declarations) -> set[str]:
    """Take the addresses that the files give to a node from those who have them; return who lost one."""
    wanted = {text: node for text, node in site.claims.items() if node in site.nodes}
    losers = {
        text: holder
        for text, holder in addresses.holders(tx, wanted).items()
        if holder != wanted[text]
    }
    kept = addresses.held(tx, set(losers.values()))
    for rows in kept.values():
        addresses.write(tx, [row for row in rows if row.address in losers], ())
    return set(losers.values())


def superseded(known: Sequence[Network], declared: Mapping[str, Network]) -> list[str]:
    """Return the networks whose addresses now are those of a declared one by another name."""
    old = [it for it in known if it.name not in declared]
    return [it.name for it in old if any(overlap(it, new) for new in declared.values())]


def uprooted(tx: Transaction, networks: Sequence[Network]) -> set[str]:
    """Return the nodes that have an address on a network that there is no more."""
    names = {it.name for it in networks}
    return {row.node for row in tx.all_of(Address) if row.network and row.network not in names}


def told(outcome: Outcome) -> str:
    """Return what changed, as a line for people."""
    parts = []
    if outcome.put:
        parts.append("has " + ", ".join(f"{it.address} on {it.network}" for it in outcome.put))
    kept = {it.address for it in outcome.put}
    gone = [f"{it.address} on {it.network}" for it in outcome.gone if it.address not in kept]
    if gone:
        parts.append("gave back " + ", ".join(gone))
    parts += [
        f"no IPv{need.family} address is left in the reservations of {need.network.name}: "
        "widen its range, or retire what is not used"
        for need in outcome.lacking
    ]
    return "; ".join(parts)


def entry(seq: int, now: float, node: Node, outcome: Outcome) -> Entry:
    """Return the journal entry of what changed for a node."""
    return note(seq, now, node, EVENT, "address management", told(outcome), as_dict(outcome))


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """Return what changed as plain data."""
    return {
        "put": {it.address: it.network for it in outcome.put},
        "gone": {it.address: it.network for it in outcome.gone},
        "lacking": [f"{it.network.name} IPv{it.family}" for it in outcome.lacking],
    }


class Reach(NamedTuple):
    """The networks that reach a place: those to boot on, by family; the others, and their names."""

    boots: list[tuple[Network, Family]]
    others: list[Network]
    stay: frozenset[str]


def reach_of(networks: Sequence[Network], zone: str | None, rack: str | None) -> Reach:
    """Return the networks that reach a place."""
    others = [it for it in networks if it.purpose != "provisioning" and it.reaches(zone, rack)]
    names = frozenset(it.name for it in others)
    return Reach(boot_networks(networks, zone, rack), others, names)


@dataclass
class _Book:
    """Networks and what is free in them, for one transaction."""

    tx: Transaction
    site: Declarations
    networks: Sequence[Network]
    pools: dict[tuple[str, Family], Pool] = field(default_factory=dict)
    places: dict[tuple[str | None, str | None], Reach] = field(default_factory=dict)
    counts: dict[tuple[str, int], int] | None = None

    def take(self, network: Network, family: Family) -> str | None:
        return self.pool(network, family).take()

    def pool(self, network: Network, family: Family) -> Pool:
        key = (network.name, family)
        if key not in self.pools:
            if self.counts is None:
                self.counts = addresses.counts(self.tx)
            self.pools[key] = Pool(network, family, self.counts.get(key, 0), self._taken)
        return self.pools[key]

    def reach(self, node: Node) -> Reach:
        """Return the networks that a node is on; worked out once for each rack."""
        key = (node.zone, node.rack)
        if key not in self.places:
            self.places[key] = reach_of(self.networks, node.zone, node.rack)
        return self.places[key]

    def _taken(self, some: Sequence[str]) -> Collection[str]:
        claimed = {text for text in some if text in self.site.claims}
        return claimed | addresses.taken(self.tx, some)


def _needs(book: _Book, node: Node, nics: Sequence[Nic], held: Sequence[Address]) -> list[Need]:
    """Return the addresses that a node shall have, in the order in which they are sought."""
    declared = book.site.nodes.get(node.id)
    fixed = {
        (name, family_of(text)): normal(text)
        for name, texts in (declared.addresses if declared else {}).items()
        for text in texts
    }
    # Who has it now keeps it until the declaration is taken in: see ``make_room``.
    others = {
        text
        for text, holder in addresses.holders(book.tx, set(fixed.values())).items()
        if holder != node.id
    }
    fixed = {key: text for key, text in fixed.items() if text not in others}
    return [*_to_boot(book, node, nics, held, fixed), *_carried(book, node, nics, fixed)]


def _to_boot(
    book: _Book, node: Node, nics: Sequence[Nic], held: Sequence[Address], fixed: _Fixed
) -> Iterator[Need]:
    nic = boot_nic(nics, held)
    kept = {(it.network, it.family): it.nic for it in held}
    for network, family in book.reach(node).boots:
        key = (network.name, family)
        if nic and (key in fixed or _has_range(network, family)):
            yield Need(network=network, family=family, nic=nic.id, fixed=fixed.get(key))
        elif not nic and (key in fixed or key in kept):
            # An inventory without NICs says nothing of the NIC that has the address.
            yield Need(network=network, family=family, nic=kept.get(key), fixed=fixed.get(key))


def _carried(book: _Book, node: Node, nics: Sequence[Nic], fixed: _Fixed) -> Iterator[Need]:
    """Yield the addresses on the networks that the node does not boot from."""
    for network in book.reach(node).others:
        fits, holder = _fits(book.site.conduits, network, nics)
        for family in FAMILIES:
            text = fixed.get((network.name, family))
            if text or (fits and _has_range(network, family)):
                yield Need(network=network, family=family, nic=holder, fixed=text)


def _has_range(network: Network, family: Family) -> bool:
    # A network without reservations is one whose addresses somebody else manages.
    return subnet_of(network, family) is not None and any(
        it.use == "reservations" and family_of(it.first) == family for it in network.ranges
    )


def _fits(
    conduits: Mapping[str, Conduit], network: Network, nics: Sequence[Nic]
) -> tuple[bool, str | None]:
    """Return whether the node's NICs fit the network's conduit, and the one NIC that then holds the address itself."""
    conduit = conduits.get(network.conduit or "")
    for alternative in conduit.alternatives if conduit and nics else ():
        chosen = _chosen(alternative, nics)
        if chosen:
            alone = len(chosen) == 1 and not network.is_tagged() and network.bridge is None
            return True, chosen[0].id if alone else None
    return False, None


def _chosen(alternative: Alternative, nics: Sequence[Nic]) -> list[Nic]:
    try:
        return choose(alternative, nics)[0]
    except InvalidInputError:
        return []
