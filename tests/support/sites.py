"""Small site folders for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from racksalt.adapters.site_files import write_site

SITE = "site/site.yaml"


def a_site(
    folder: Path,
    racks: Iterable[str] | Mapping[str, str] = ("r1",),
    nodes: Iterable[str] | Mapping[str, Mapping[str, Any]] = ("n1",),
    layers: Mapping[str, Any] | None = None,
    **sections: Any,
) -> Path:
    """Write a site and return its folder, ``folder / "pillar"``.

    ``racks`` are names, all in zone ``z1``, or a map from rack to zone. ``nodes`` are ids, dealt out to the racks in
    turn with a position, a MAC and a serial of their own, or a map from id to what differs from that. ``layers`` maps
    files
    such as ``rack/r1.sls`` to their values. ``sections`` are further ones: networks, policy, stages, sequences.
    """
    zone_of = racks if isinstance(racks, Mapping) else dict.fromkeys(racks, "z1")
    differing = nodes if isinstance(nodes, Mapping) else {node: {} for node in nodes}
    document = {
        "zones": sorted(set(zone_of.values())),
        "racks": {rack: {"zone": zone} for rack, zone in zone_of.items()},
        "nodes": {
            node: {**a_declaration(node, number, list(zone_of)), **differs}
            for number, (node, differs) in enumerate(differing.items())
        },
        **sections,
    }
    return write_site(folder / "pillar", {SITE: document, **(layers or {})})


def a_declaration(node: str, number: int, racks: list[str]) -> dict[str, Any]:
    """Return what a site declares of the node with this number, as plain data."""
    digest = hashlib.sha256(node.encode()).hexdigest()
    return {
        "rack": racks[number % len(racks)],
        "position_u": 1 + number // len(racks) % 42,
        "serial": f"S{digest[:10].upper()}",
        "macs": [":".join(["02", *(digest[n : n + 2] for n in range(0, 10, 2))])],
    }
