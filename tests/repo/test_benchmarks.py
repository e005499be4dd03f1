"""The benchmarks still run, and measure what they say: a few of everything, through ``python -m benchmarks``."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys

import pytest

from benchmarks.__main__ import _names
from tests.support.source import ROOT

FEW = {
    "BENCH_BMCS": "20",
    "BENCH_COMMITS_MS": "50",
    "BENCH_EVENTS": "300",
    "BENCH_FLEET": "20",
    "BENCH_NODES": "64",
    "BENCH_RENDERS": "50",
    "BENCH_RESERVATIONS": "50",
    "BENCH_SITE": "200",
}
PSM = {
    "SQLite: transitions": "1/s",
    "SQLite: CPU per transition": "ms",
    "SQLite: event to commit, p99": "ms",
    "SQLite: transitions per single commit": "x",
}
BOOT_API = {
    "report, inventory: API": "CPU-ms each",
    "report, inventory: conductor": "CPU-ms each",
    "report, inventory: rate": "requests/s",
    "report, inventory: p99": "ms",
}
BUS = {
    "events journalled": "events/s",
    "events lost": "events",
    "engine": "CPU-ms each",
    "rest of the master": "CPU-ms each",
}
TOPOLOGY = {
    "topology: GraphQL / plain SQL + orjson": "x",
    "topology: GraphQL": "CPU-ms",
    "one node by MAC": "CPU-ms",
    "loading the snapshot": "CPU-ms",
}
PILLAR = {
    "first pillar of a node": "CPU-ms",
    "pillar of a node among 200": "CPU-ms",
    "growth": "x",
}
BMC = {
    "status sweep of 20 BMCs": "s",
    "failed operations": "",
    "status, client": "CPU ms/op",
    "status sweep beside 10 dead BMCs": "s",
    "ipmitool to kept session": "x CPU",
}
BMC_SWEEP = {
    "IPMI: the same, next sweep": "s",
    "  good ones answered after": "s",
    "Redfish: status on a kept connection, client": "CPU ms/op",
    "Redfish: connection, login, status, log-out, client": "CPU ms/op",
}
FLEET = {
    "20 machines: ready": "machines",
    "20 machines: transitions": "/s",
    "20 machines: report to commit, p99": "ms",
    "20 machines: server CPU": "ms/machine",
    "transitions per durable commit": "times",
}
DHCP = {
    "dnsmasq, 50 reservations: one more is live": "s",
    "dnsmasq, 50 reservations: server's memory": "MiB",
    "kea, 50 reservations: one more is live": "s",
    "kea, 50 reservations: server's memory": "MiB",
}
MAY_BE_NONE = {
    "events lost",
    "failed operations",
    "report, inventory: API",
    "report, inventory: conductor",
    "status, client",
}
"""Nought is a good figure, or less than a tick of the clock of ``/proc``."""


def run(folder, *names):
    """Run benchmarks on a few of everything; return the status, what was printed and the figures by benchmark."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *names, "--results", str(folder)],
        cwd=ROOT,
        env={**os.environ, **FEW},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    (file,) = folder.glob("*.json")
    return ran.returncode, ran.stdout + ran.stderr, json.loads(file.read_text())["figures"]


def check(folder, name, promised):
    """Run one benchmark; what it promises is measured."""
    status, printed, figures = run(folder, name)
    assert status == 0, printed
    found = {figure["name"]: figure for figure in figures[name]}
    assert {key: found[key]["unit"] for key in promised if key in found} == promised
    for key in promised:
        assert key in printed
        value = found[key]["value"]
        assert math.isfinite(value)
        assert value > 0 or (value == 0 and key in MAY_BE_NONE), found[key]
    return found


@pytest.mark.parametrize("name", _names())
def test_each_benchmark_can_be_asked(name):
    """Every ``bench_<name>.py`` imports what is still there and has a function ``measure``.

    Tests below run each of them.
    """
    assert callable(importlib.import_module(f"benchmarks.bench_{name}").measure)


def test_a_benchmark_that_fails_is_told(tmp_path):
    """The status says that one failed; the others' figures are there."""
    status, printed, figures = run(tmp_path, "nobody", "pillar")
    assert status == 1
    assert "failed: ModuleNotFoundError" in printed
    assert list(figures) == ["pillar"]


@pytest.mark.parametrize(("name", "promised"), [("topology", TOPOLOGY), ("pillar", PILLAR)])
def test_the_benchmarks_of_one_process_run(tmp_path, name, promised):
    """GraphQL against plain SQL, and the cost of a pillar."""
    check(tmp_path, name, promised)


@pytest.mark.needs("ipmitool")
@pytest.mark.parametrize(("name", "promised"), [("bmc", BMC), ("bmc_sweep", BMC_SWEEP)])
def test_the_benchmarks_of_bmcs_run(tmp_path, name, promised):
    """Power over IPMI against ipmitool, and a sweep over BMCs of which some are in trouble."""
    check(tmp_path, name, promised)


@pytest.mark.daemons
@pytest.mark.parametrize(
    ("name", "promised"), [("psm", PSM), ("boot_api", BOOT_API), ("fleet", FLEET)]
)
def test_the_benchmarks_with_servers_run(tmp_path, name, promised):
    """The machine alone, over SQLite and PostgreSQL, the boot API, and a small fleet that gets to ready."""
    found = check(tmp_path, name, promised)
    if name == "fleet":
        assert found["20 machines: ready"]["value"] == 20


@pytest.mark.daemons
@pytest.mark.needs("dnsmasq", "kea-dhcp4", "kea-dhcp6", "kea-admin", "ip", "initdb", root=True)
def test_the_benchmark_of_dhcp_runs(tmp_path):
    """Both servers, in network namespaces."""
    check(tmp_path, "dhcp", DHCP)


@pytest.mark.daemons
def test_the_benchmark_of_the_bus_runs(tmp_path):
    """Through a real master no event is lost, and what each costs is measured."""
    found = check(tmp_path, "bus", BUS)
    assert found["events lost"]["value"] == 0
