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
    "BENCH_COMMITS_MS": "50",
    "BENCH_EVENTS": "300",
    "BENCH_NODES": "64",
    "BENCH_RENDERS": "50",
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
MAY_BE_NONE = {"events lost", "report, inventory: API", "report, inventory: conductor"}
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

    Those on BMCs, the fleet and DHCP take longer than a test may; their parts have tests of their own.
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


@pytest.mark.daemons
@pytest.mark.parametrize(("name", "promised"), [("psm", PSM), ("boot_api", BOOT_API)])
def test_the_benchmarks_with_servers_run(tmp_path, name, promised):
    """The machine alone, over SQLite and PostgreSQL, and the boot API."""
    check(tmp_path, name, promised)


@pytest.mark.daemons
def test_the_benchmark_of_the_bus_runs(tmp_path):
    """Through a real master no event is lost, and what each costs is measured."""
    found = check(tmp_path, "bus", BUS)
    assert found["events lost"]["value"] == 0
