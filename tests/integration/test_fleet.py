"""A fleet of light machines over the real boot API, conductor and database."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from racksalt.lab import fleet
from racksalt.lab.meter import percentile
from racksalt.model.errors import InvalidInputError

STAGES, BOOTS = 9, 3
NUMBER = r"(\d+(?:\.\d+)?)"
MEASURED = r"(?:not measured|\d+(?:\.\d+)? ms)"
TABLE = f"""\
machines ready            {NUMBER} of {NUMBER} in {NUMBER} s
machines per minute       {NUMBER}
transitions               {NUMBER}, {NUMBER} per second
report until committed    p50 {NUMBER} ms, p99 {NUMBER} ms
server processor time     {NUMBER} s, {NUMBER} ms per machine
server peak memory        {NUMBER} MiB
transitions per second    first tenth {NUMBER}, last tenth {NUMBER}
processor time per entry  first tenth {MEASURED}, last tenth {MEASURED}
durable commits possible  {NUMBER} per second, transitions {NUMBER} times that
"""


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("bmc", "nodes"), [("simulated", 60), ("ipmi", 60), ("redfish", 12)])
def test_a_fleet_gets_to_ready(capsys, bmc, nodes):
    """All machines are ready, each stage and boot is a transition, and the figures make sense."""
    assert fleet.run(nodes, bmc=bmc, as_json=True, stage_s=0.1, post_s=0.1, timeout_s=200) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["ready"] == figures["nodes"] == nodes
    assert figures["transitions"] >= nodes * (STAGES + BOOTS)
    assert 0 < figures["acknowledged_p50_ms"] <= figures["acknowledged_p99_ms"]
    assert figures["server_cpu_s"] > 0
    assert figures["server_peak_mib"] > 20
    assert figures["durable_commits_per_s"] > 1


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_command_prints_a_table_for_people(tmp_path):
    """All lines are there, their figures fit together, and nothing is left behind."""
    ran = subprocess.run(
        [sys.executable, "-m", "racksalt", "lab", "fleet", "--nodes", "20"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    told = re.fullmatch(TABLE, ran.stdout)
    assert told, ran.stdout
    figures = [float(one) for one in told.groups()]
    ready, nodes, seconds, per_minute, moves, moves_per_s, p50, p99 = figures[:8]
    cpu_s, cpu_ms, memory_mib, first_per_s, last_per_s, durable_per_s, ratio = figures[8:]
    assert (ready, nodes) == (20, 20)
    assert per_minute == pytest.approx(ready / seconds * 60, rel=0.05)
    assert moves >= nodes * (STAGES + BOOTS)
    assert moves_per_s == pytest.approx(moves / seconds, rel=0.05)
    assert 0 < p50 <= p99
    assert cpu_ms == pytest.approx(cpu_s / nodes * 1000, abs=5)
    assert memory_mib > 20
    assert min(first_per_s, last_per_s) > 0
    assert ratio == pytest.approx(moves_per_s / durable_per_s, abs=0.01)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_bmc_protocol_is_refused():
    """The message names what there is."""
    with pytest.raises(InvalidInputError, match="simulated, ipmi or redfish"):
        fleet.run(1, bmc="telepathy")


def test_rates():
    """A rate is per second between first and last; one instant has none."""
    assert fleet._rate([0.0, 1.0, 2.0]) == 1.0
    assert fleet._rate([5.0, 5.0]) == 0.0
    assert fleet._rate([]) == 0.0
    assert percentile([1.0], 0.99) == 1.0
