"""What a minion may know of itself, read from the store: two or three statements, whatever the size of the site."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from racksalt.model.errors import NotFoundError
from racksalt.model.node import Address, Disk
from racksalt.site.pillar import Lookup, NodeFacts
from racksalt.store import Store

SETTLED = ("ready", "booting", "enrolling")
"""States in which a node runs its own system: nothing writes to its disks by a plan."""
ABOUT_A_DISK = ("name", "serial", "wwn", "size_gb")


def facts_from(store: Store) -> Lookup:
    """Return a lookup of a node's own facts. Where its BMC is reached is not among them."""

    def lookup(node: str) -> NodeFacts | None:
        try:
            found = store.node(node)
        except NotFoundError:
            return None
        addresses: dict[str, list[str]] = defaultdict(list)
        for address in store.parts(Address, node):
            if address.network is not None and address.kind != "bmc":
                addresses[address.network].append(address.address)
        return NodeFacts(
            zone=found.zone,
            rack=found.rack,
            position_u=found.position_u,
            state=found.state,
            addresses=addresses,
            fqdn=found.fqdn,
            disks=None if found.state in SETTLED else _disks(store, node),
        )

    return lookup


def _disks(store: Store, node: str) -> list[dict[str, Any]]:
    disks = store.parts(Disk, node)
    return [{key: getattr(disk, key) for key in ABOUT_A_DISK} for disk in disks]
