"""A fleet of light machines over the real boot API, conductor and database."""

from __future__ import annotations

import json

import pytest

from racksalt.lab import fleet
from racksalt.lab.meter import percentile
from racksalt.model.errors import InvalidInputError

STAGES, BOOTS = 9, 3


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
