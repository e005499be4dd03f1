"""What one node's pillar costs before Salt adds its own share, on a small site and on a large one.

Every node has a file of its own, so that nothing but the common layers can be shared.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import Figure, size
from racksalt.adapters.site_files import open_site, write_site
from racksalt.site.pillar import NodeFacts, pillar_for
from racksalt.site.site import Site

SMALL, LARGE = 100, size("SITE", 10_000)
PER_RACK, RENDERS = 40, size("RENDERS", 4000)


def measure() -> list[Figure]:
    """Measure pillars of nodes in turn, cold (files read, layers laid) and warm (only looked whether they changed)."""
    with tempfile.TemporaryDirectory(prefix="racksalt-bench-") as folder:
        small, large = (_site(Path(folder) / str(nodes), nodes) for nodes in (SMALL, LARGE))
        few, _ = _cpu(lambda: open_site(small))
        many, opened = _cpu(lambda: open_site(large))
        cold = _pillars(many, LARGE, RENDERS) / RENDERS
        warm = {nodes: _warm(site, nodes) for site, nodes in ((few, SMALL), (many, LARGE))}
        _, rack = _cpu(lambda: many.impact("rack/r1.sls", {"ntp": {"servers": ["192.0.2.9"]}}))
        _, whole = _cpu(lambda: many.impact("global/base.sls", {"ntp": {"servers": ["192.0.2.9"]}}))
    return [
        Figure(f"open a site of {LARGE:,} nodes", opened, "CPU-s", "once per process"),
        Figure("first pillar of a node", cold * 1e3, "CPU-ms"),
        Figure(f"pillar of a node among {SMALL:,}", warm[SMALL] * 1e3, "CPU-ms"),
        Figure(f"pillar of a node among {LARGE:,}", warm[LARGE] * 1e3, "CPU-ms", "O(1)"),
        Figure("growth", warm[LARGE] / warm[SMALL], "x", "about 1"),
        Figure(f"impact on a rack of {PER_RACK}", rack * 1e3, "CPU-ms"),
        Figure(f"impact on {LARGE:,} nodes", whole, "CPU-s"),
    ]


def _warm(site: Site, nodes: int) -> float:
    """Return the CPU seconds of one pillar, asked for the same 100 nodes again and again."""
    _pillars(site, nodes, SMALL)
    return _pillars(site, SMALL, RENDERS) / RENDERS


def _pillars(site: Site, nodes: int, count: int) -> float:
    """Return the CPU seconds of so many pillars, for the first ``nodes`` nodes in turn."""

    def lookup(node: str) -> NodeFacts:
        rack = int(node[1:]) // PER_RACK
        return NodeFacts(zone=f"z{rack % 2}", rack=f"r{rack}", position_u=1, state="ready")

    def work() -> None:
        for number in range(count):
            pillar_for(f"n{number % nodes}", site, lookup)

    return _cpu(work)[1]


def _cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    outcome = work()
    return outcome, time.process_time() - started


def _site(folder: Path, nodes: int) -> Path:
    """Write a site with about sixty values per node, a tenth of them the node's own."""
    racks = range(-(-nodes // PER_RACK))
    common = {f"service{n}": {"port": 8000 + n, "hosts": ["a", "b"]} for n in range(20)}
    documents: dict[str, object] = {
        "global/base.sls": {"ntp": {"servers": ["192.0.2.1"]}, **common},
        **{f"zone/z{z}.sls": {"dns": {"servers": [f"192.0.2.{z}"]}} for z in range(2)},
        **{f"rack/r{r}.sls": {"ntp": {"servers": [f"198.51.100.{r % 250}"]}} for r in racks},
        **{
            f"node/n{n}.sls": {"own": {f"key{k}": n for k in range(5)}, "service3": {"port": n}}
            for n in range(nodes)
        },
        "site/racks.yaml": {
            "zones": ["z0", "z1"],
            "racks": {f"r{r}": {"zone": f"z{r % 2}"} for r in racks},
        },
        "site/nodes.yaml": {
            "nodes": {
                f"n{n}": {
                    "rack": f"r{n // PER_RACK}",
                    "position_u": 1 + n % PER_RACK,
                    "serial": f"S{n}",
                    "macs": [f"02:00:00:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}"],
                }
                for n in range(nodes)
            }
        },
    }
    return write_site(folder, documents)
