"""What a minion may know of itself, read from the store: a few statements, whatever the number of nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from racksalt.model.errors import NotFoundError
from racksalt.model.node import Address, Disk, Nic, Node
from racksalt.model.place import Network
from racksalt.network.conduits import node_network
from racksalt.site.pillar import Lookup, NodeFacts
from racksalt.site.site import Site
from racksalt.store import Store

SETTLED = ("ready", "booting", "enrolling")
"""States in which a node runs its own system: nothing writes to its disks by a plan."""
ABOUT_A_DISK = ("name", "serial", "wwn", "size_gb")


def facts_from(store: Store, site: Site) -> Lookup:
    """Return a lookup of a node's own facts. Where its BMC is reached is not among them."""

    def lookup(node: str) -> NodeFacts | None:
        try:
            found = store.node(node)
        except NotFoundError:
            return None
        addresses: dict[str, list[str]] = defaultdict(list)
        held = store.parts(Address, node)
        for address in held:
            if address.network is not None and address.kind != "bmc":
                addresses[address.network].append(address.address)
        return NodeFacts(
            zone=found.zone,
            rack=found.rack,
            position_u=found.position_u,
            state=found.state,
            addresses=addresses,
            fqdn=found.fqdn,
            network=_network(store, site, found, held),
            disks=None if found.state in SETTLED else _disks(store, node),
        )

    return lookup


def _network(
    store: Store, site: Site, node: Node, held: Sequence[Address]
) -> dict[str, Any] | None:
    """Return how the node's own system must set up its NICs; None while nobody knows them."""
    nics = store.parts(Nic, node.id)
    if not nics:
        return None
    networks = [it for it in store.all_of(Network) if it.reaches(node.zone, node.rack)]
    dns = site.effective(node.id, node.rack, node.zone).values.get("dns")
    kept = [it for it in held if it.kind == "reservation"]
    return node_network(
        nics, networks, site.declarations.conduits, kept, dns if isinstance(dns, Mapping) else None
    )


def _disks(store: Store, node: str) -> list[dict[str, Any]]:
    disks = store.parts(Disk, node)
    return [{key: getattr(disk, key) for key in ABOUT_A_DISK} for disk in disks]
