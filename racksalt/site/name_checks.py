"""Sense checks of nodes' names: what DHCP and DNS could not say, and a name that leads to two nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from racksalt.model.names import is_name
from racksalt.site.network_checks import reaches
from racksalt.site.problems import SiteProblem, at
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.wire import NODE_ID

_HINT: Final = "between single dots, at most 63 lower-case letters, digits and inner hyphens"


def check_names(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the ids and full names of nodes that are no host names, and the full names that another node has."""
    for section, name in site.files:
        if section == "nodes" and NODE_ID.match(name) and not is_name(name):
            yield at(site.files, section, name)("is no host name", _HINT)
    taken: dict[str, str] = {}
    for node in site.nodes.values():
        if not node.fqdn:
            continue
        say = at(site.files, "nodes", node.id, "fqdn")
        if not is_name(node.fqdn):
            yield say(f"{node.fqdn!r} is no host name", _remedy(node.fqdn))
            continue
        other = taken.setdefault(node.fqdn, node.id)
        if other == node.id:
            other = _named_without(site, node.fqdn, node) or node.id
        if other != node.id:
            yield say(f"{node.fqdn} is {other}'s name", "a name is one node's")


def _remedy(name: str) -> str:
    """Return the spelling that is right, if only the spelling is wrong."""
    right = name.lower().removesuffix(".")
    return f"write {right}" if is_name(right) else _HINT


def _named_without(site: Declarations, name: str, node: NodeDeclaration) -> str | None:
    """Return another node that has a name without declaring it: by its id, alone or in a network's domain."""
    other = site.nodes.get(name)
    if other is not None and other is not node and not other.fqdn:
        return other.id
    labels = name.split(".")
    for count in range(1, len(labels)):
        other = site.nodes.get(".".join(labels[:count]))
        if other is None or other is node:
            continue
        if _is_in(site, other, ".".join(labels[count:])):
            return other.id
    return None


def _is_in(site: Declarations, node: NodeDeclaration, domain: str) -> bool:
    """Return whether a node has a name in a domain; on a provisioning network its own full name is in the place."""
    return any(
        network.domain == domain
        and not (node.fqdn and network.purpose == "provisioning")
        and reaches(site, network, node.rack)
        for network in site.networks.values()
    )
