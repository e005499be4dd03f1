"""A fleet of light machines, from power-on to ready, and what that cost.

One process is the server (boot API, conductor, a real SQLite file), another all machines. Nothing is shortened for the
measurement but the machines' own time: each is power-cycled through its BMC, asks for its script, reports over HTTP.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from racksalt.adapters.site_files import write_site
from racksalt.bootstrap import App, open_app
from racksalt.lab import meter
from racksalt.lab.installation import (
    BMC_SECRET,
    REDFISH_SECRET,
    Installation,
    lay_out,
    light_nodes,
    start_lab,
    start_server,
)
from racksalt.lab.processes import Child, LabError, answers, free_ports
from racksalt.model.errors import InvalidInputError

PER_RACK = 40
POLL_S, MEMORY_S = 1.0, 5.0
"""How often is looked whether all are there, and how much memory the server has: looking costs what it measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run measured. Seconds of processor time are those of the server alone, all its processes."""

    nodes: int
    ready: int
    seconds: float
    machines_per_minute: float
    transitions: int
    transitions_per_s: float
    acknowledged_p50_ms: float
    acknowledged_p99_ms: float
    server_cpu_s: float
    server_cpu_ms_per_machine: float
    server_peak_mib: float
    first_tenth_per_s: float
    """Transitions per second over the first tenth of the journal; next, over the last tenth."""
    last_tenth_per_s: float
    first_tenth_cpu_ms: float | None
    """Processor time per journal entry over the first tenth of the journal; next, over the last tenth: what grows with
    the number of nodes shows here, and not that machines set out or run out."""
    last_tenth_cpu_ms: float | None
    durable_commits_per_s: float
    transitions_per_durable_commit: float


def run(
    nodes: int = 1000,
    *,
    bmc: str = "simulated",
    as_json: bool = False,
    stage_s: float = 0.5,
    post_s: float = 1.0,
    timeout_s: float = 900.0,
) -> int:
    """Bring ``nodes`` machines to ready and print the figures; return 0 only if all of them got there."""
    if bmc not in {"simulated", "ipmi", "redfish"}:
        raise InvalidInputError(f"no BMC protocol {bmc!r} in the lab", "simulated, ipmi or redfish")
    root = Path(tempfile.mkdtemp(prefix="racksalt-fleet-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = None
    try:
        figures = measure(root, nodes, bmc=bmc, stage_s=stage_s, post_s=post_s, timeout_s=timeout_s)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        if figures is not None and figures.ready == nodes:
            shutil.rmtree(root, ignore_errors=True)
        else:
            sys.stderr.write(f"logs and database are kept in {root}\n")
    sys.stdout.write((json.dumps(asdict(figures)) if as_json else table(figures)) + "\n")
    return 0 if figures.ready == nodes else 1


def measure(
    root: Path, nodes: int, *, bmc: str, stage_s: float, post_s: float, timeout_s: float
) -> Figures:
    """Run a fleet below ``root`` and return its figures. Raises LabError when a part of it dies."""
    names = [f"n{number:05d}" for number in range(1, nodes + 1)]
    installation = prepare(root, names, bmc)
    app = open_app(installation.settings)
    try:
        app.operations.declare()
        link = ("--link", installation.settings.simulated)
        machines = (*link, "--post-s", str(post_s), "--stage-s", str(stage_s), "--no-logs")
        with start_server(installation, "--conductor") as server:
            _wait_for(server, installation)
            with start_lab(installation, *machines) as lab:
                return _drive(app, server, lab, names, timeout_s)
    finally:
        app.close()


def prepare(
    root: Path, names: Sequence[str], bmc: str, conductor: Mapping[str, Any] | None = None
) -> Installation:
    """Lay out an installation that declares light machines of these names, 40 to a rack.

    ``conductor`` are settings of the conductor.
    """
    boot, graphql, link = free_ports(3)
    lab = f"127.0.0.1:{link}"
    installation = lay_out(root, ports=(boot, graphql), simulated=lab, conductor=conductor)
    documents = light_nodes(names, max(2, -(-len(names) // PER_RACK)), link)
    if bmc != "simulated":
        kind = socket.SOCK_DGRAM if bmc == "ipmi" else socket.SOCK_STREAM
        secret = f"file:{BMC_SECRET if bmc == 'ipmi' else REDFISH_SECRET}"
        declared = documents["site/nodes.yaml"]["nodes"].values()
        ports = free_ports(len(names), kind)
        for node, port in zip(declared, ports, strict=True):
            node["bmc"] |= {"protocol": bmc, "port": port, "secret": secret}
    write_site(installation.site, documents)
    return installation


def _wait_for(server: Child, installation: Installation) -> None:
    api = installation.settings.boot_api
    server.wait_until(lambda: answers(api.host, api.port), "answering", 60)


def _drive(app: App, server: Child, lab: Child, names: Sequence[str], timeout_s: float) -> Figures:
    """Give the command, wait until all are ready, and read the figures from journal and processes."""
    cpu_before, began, spent = (
        meter.cpu_s(server.pid),
        time.time(),
        meter.Spent(server.pid, app.store.head),
    )
    memory = meter.PeakMemory(server.pid, MEMORY_S)
    memory.start()
    answer = app.operations.run("commission", names, "fleet", goal="ready")
    if answer["refused"]:
        memory.stop()
        raise LabError(f"the fleet was refused: {answer['refused'][0]['message']}")
    end = time.monotonic() + timeout_s
    while app.store.count("nodes", state="ready") < len(names) and time.monotonic() < end:
        for child in (server, lab):
            if not child.alive():
                memory.stop()
                raise LabError(f"{child.name} died: {child.last_words()}")
        if app.store.count("nodes", state="problem"):
            break
        spent.look()
        time.sleep(POLL_S)
    spent.look()
    cpu, peak = meter.cpu_s(server.pid) - cpu_before, memory.stop()
    acknowledged = lab.say("timings")["acknowledged_s"]
    return _figures(app, len(names), began, (cpu, peak, spent), acknowledged)


def _figures(
    app: App,
    nodes: int,
    began: float,
    cost: tuple[float, float, meter.Spent],
    acknowledged: list[float],
) -> Figures:
    ready: dict[str, float] = {}
    moves: list[float] = []
    after = 0
    while entries := app.store.journal(after, 5000):
        after = entries[-1].seq
        for entry in entries:
            if entry.kind == "transition":
                moves.append(entry.at)
                if entry.to_state == "ready":
                    ready.setdefault(entry.node, entry.at)
    times = sorted(ready.values())
    seconds = (times[-1] if times else time.time()) - began
    cpu, peak, spent = cost
    transitions, tenth = len(moves), max(len(moves) // 10, 1)
    durable = meter.durable_commits_per_s(Path(app.settings.site).parent)
    return Figures(
        nodes=nodes,
        ready=len(times),
        seconds=round(seconds, 1),
        machines_per_minute=round(len(times) / seconds * 60, 1),
        transitions=transitions,
        transitions_per_s=round(transitions / seconds, 1),
        acknowledged_p50_ms=round(meter.percentile(acknowledged, 0.5) * 1000, 1),
        acknowledged_p99_ms=round(meter.percentile(acknowledged, 0.99) * 1000, 1),
        server_cpu_s=round(cpu, 1),
        server_cpu_ms_per_machine=round(cpu / nodes * 1000, 1),
        server_peak_mib=round(peak, 1),
        first_tenth_per_s=_rate(moves[:tenth]),
        last_tenth_per_s=_rate(moves[-tenth:]),
        first_tenth_cpu_ms=spent.ms_per_item(0.0, 0.1),
        last_tenth_cpu_ms=spent.ms_per_item(0.9, 1.0),
        durable_commits_per_s=round(durable, 1),
        transitions_per_durable_commit=round(transitions / seconds / durable, 2),
    )


def _rate(times: Sequence[float]) -> float:
    """Return how many of these came per second, from the first to the last."""
    span = times[-1] - times[0] if len(times) > 1 else 0.0
    return round((len(times) - 1) / span, 1) if span else 0.0


def _ms(value: float | None) -> str:
    return "not measured" if value is None else f"{value} ms"


def table(figures: Figures) -> str:
    """Return the figures as lines for people."""
    f, ratio = figures, figures.transitions_per_durable_commit
    return "\n".join(
        (
            f"machines ready            {f.ready} of {f.nodes} in {f.seconds} s",
            f"machines per minute       {f.machines_per_minute}",
            f"transitions               {f.transitions}, {f.transitions_per_s} per second",
            f"report until committed    p50 {f.acknowledged_p50_ms} ms, p99 {f.acknowledged_p99_ms} ms",
            f"server processor time     {f.server_cpu_s} s, {f.server_cpu_ms_per_machine} ms per machine",
            f"server peak memory        {f.server_peak_mib} MiB",
            f"transitions per second    first tenth {f.first_tenth_per_s}, last tenth {f.last_tenth_per_s}",
            f"processor time per entry  first tenth {_ms(f.first_tenth_cpu_ms)}, last tenth {_ms(f.last_tenth_cpu_ms)}",
            f"durable commits possible  {f.durable_commits_per_s} per second, transitions {ratio} times that",
        )
    )
