"""What one minion gets as pillar: its own configuration and its own facts, nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from racksalt.site.site import Site

OWN: Final = "racksalt"
"""The key of what racksalt itself reads: a node's own facts, and beside them what layers say, e.g. of stages."""
FACTS: Final = (
    "node",
    "zone",
    "rack",
    "position_u",
    "state",
    "roles",
    "networks",
    "network",
    "fqdn",
    "disks",
)
"""The facts below that key. They come from the store; layer files may not set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What the store knows of one node and the node may know of itself.

    ``addresses`` maps a network's name to the node's own addresses on it. ``disks`` are those that its inventory
    has, and with it every plan that a person reviewed: {name, serial, wwn, size_gb}; None where they do not matter.
    ``network`` is how its own system sets up its NICs (``racksalt.network.conduits``), None while they are unknown.
    """

    zone: str | None = None
    rack: str | None = None
    position_u: int | None = None
    state: str
    roles: Sequence[str] = ()
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fqdn: str | None = None
    disks: Sequence[Mapping[str, Any]] | None = None
    network: Mapping[str, Any] | None = None


Lookup = Callable[[str], NodeFacts | None]
"""Gives the facts of a node id in constant time; None for an id that the store does not know."""


def pillar_for(minion_id: str, site: Site, lookup: Lookup) -> dict[str, Any]:
    """Return the pillar of one minion, as new data that the caller may change; ``{}`` for an unknown id.

    The id is the only thing that selects: Salt binds it to the minion's key, while grains are the minion's own words.
    References to secrets (``sdb://…``) go out as they are and are resolved by who may.
    """
    facts = lookup(minion_id)
    if facts is None:
        return {}
    pillar = site.effective(minion_id, facts.rack, facts.zone).plain()
    pillar[OWN] = {
        **pillar.get(OWN, {}),
        "node": minion_id,
        "zone": facts.zone,
        "rack": facts.rack,
        "position_u": facts.position_u,
        "state": facts.state,
        "roles": list(facts.roles),
        "networks": _networks(site, facts),
    }
    if facts.fqdn is not None:
        pillar[OWN]["fqdn"] = facts.fqdn
    if facts.network is not None:
        pillar[OWN]["network"] = dict(facts.network)
    if facts.disks is not None:
        pillar[OWN]["disks"] = [dict(disk) for disk in facts.disks]
    return pillar


def _networks(site: Site, facts: NodeFacts) -> dict[str, dict[str, Any]]:
    """Return the networks that reach the node, with its own addresses on them; never one of BMCs."""
    found = {}
    for network in site.declarations.networks.values():
        if network.purpose == "bmc" or not network.reaches(facts.zone, facts.rack):
            continue
        fields = ("purpose", "vlan", "cidr_v4", "cidr_v6", "gateway_v4", "gateway_v6")
        about = {name: getattr(network, name) for name in fields}
        told = {name: value for name, value in about.items() if value is not None}
        told["addresses"] = list(facts.addresses.get(network.name, ()))
        found[network.name] = told
    return found
