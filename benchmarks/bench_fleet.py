"""A fleet of light machines from power-on to ready, on one server process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import Figure, size
from racksalt.lab.fleet import measure as run

NODES = size("FLEET", 1000)


def measure() -> list[Figure]:
    """Bring ``BENCH_FLEET`` (1,000) machines to ready."""
    with tempfile.TemporaryDirectory(prefix="racksalt-fleet-") as root:
        found = run(Path(root), NODES, bmc="simulated", stage_s=0.5, post_s=1.0, timeout_s=900)
    tenths = {"first tenth": found.first_tenth_cpu_ms, "last tenth": found.last_tenth_cpu_ms}
    machine, aim = f"{found.nodes} machines", "≤ 40 (Ironic with fake drivers: 700 to 1,000)"
    return [
        Figure(f"{machine}: ready", found.ready, "machines", f"{found.nodes}"),
        Figure(f"{machine}: time", found.seconds, "s", "≤ 60 for 1,000"),
        Figure(f"{machine}: rate", found.machines_per_minute, "machines/min"),
        Figure(f"{machine}: transitions", found.transitions_per_s, "/s"),
        Figure(f"{machine}: report to commit, p50", found.acknowledged_p50_ms, "ms"),
        Figure(f"{machine}: report to commit, p99", found.acknowledged_p99_ms, "ms"),
        Figure(f"{machine}: server CPU", found.server_cpu_ms_per_machine, "ms/machine", aim),
        Figure(f"{machine}: server memory", found.server_peak_mib, "MiB"),
        Figure(f"{machine}: first tenth", found.first_tenth_per_s, "/s"),
        Figure(f"{machine}: last tenth", found.last_tenth_per_s, "/s"),
        *(
            Figure(f"{machine}: CPU, {name}", value, "ms/entry")
            for name, value in tenths.items()
            if value is not None
        ),
        Figure("durable commits, one by one", found.durable_commits_per_s, "/s"),
        Figure("transitions per durable commit", found.transitions_per_durable_commit, "times"),
    ]
