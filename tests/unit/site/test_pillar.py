from __future__ import annotations

import pytest

from racksalt.adapters.site_files import open_site
from racksalt.site.pillar import NodeFacts, pillar_for
from tests.support.sites import a_site

BMC = {"address": "10.9.0.1", "username": "bmc-user", "secret": "file:bmc-entry"}


@pytest.fixture
def site(tmp_path):
    """A site with a node in each of two zones."""
    folder = a_site(
        tmp_path,
        racks={"r1": "z1", "r2": "z2"},
        nodes={"n1": {"bmc": BMC}, "n2": {}},
        layers={
            "global/base.sls": {"ntp": ["g"], "token": "sdb://store/token"},
            "rack/r1.sls": {"racksalt": {"stages": {"burn_in": {"cpu_s": 60}}}},
            "node/n2.sls": {"own": "only-n2"},
        },
        networks={
            "a": {"zone": "z1", "vlan": 5, "cidr_v4": "10.1.0.0/24"},
            "b": {"zone": "z2", "cidr_v4": "10.2.0.0/24"},
            "c": {"cidr_v6": "fd00::/64"},
            "oob": {"purpose": "bmc", "vlan": 9, "cidr_v4": "10.9.0.0/24"},
            "oob-z1": {"zone": "z1", "purpose": "bmc", "cidr_v6": "fd09::/64"},
        },
    )
    return open_site(folder)


def lookup(node):
    """Return the facts of two nodes."""
    facts = {
        "n1": NodeFacts(
            zone="z1", rack="r1", position_u=3, state="ready", addresses={"a": ["10.1.0.7"]}
        ),
        "n2": NodeFacts(zone="z2", rack="r2", state="installing", roles=["storage"]),
    }
    return facts.get(node)


def test_a_minion_gets_its_configuration_and_its_own_facts(site):
    """Merged values, and under ``racksalt`` where the node is, what it is, and the networks of its zone."""
    assert pillar_for("n1", site, lookup) == {
        "ntp": ["g"],
        "token": "sdb://store/token",
        "racksalt": {
            "stages": {"burn_in": {"cpu_s": 60}},
            "node": "n1",
            "zone": "z1",
            "rack": "r1",
            "position_u": 3,
            "state": "ready",
            "roles": [],
            "networks": {
                "a": {
                    "purpose": "admin",
                    "vlan": 5,
                    "cidr_v4": "10.1.0.0/24",
                    "addresses": ["10.1.0.7"],
                },
                "c": {"purpose": "admin", "cidr_v6": "fd00::/64", "addresses": []},
            },
        },
    }


@pytest.mark.parametrize("minion", ["n3", "", "../n1", "n1/../n2", "N1", "*"])
def test_an_unknown_minion_gets_nothing(site, minion):
    """Not even what holds for every node."""
    assert pillar_for(minion, site, lookup) == {}


def test_no_minion_gets_anything_of_a_bmc_or_of_another_node(site):
    """Where a BMC is and how it is opened is for the conductor; a node's own values are for that node."""
    for minion in ("n1", "n2"):
        told = str(pillar_for(minion, site, lookup))
        secret = ("10.9.0", "fd09", "oob", "bmc-user", "bmc-entry")
        assert not [it for it in secret if it in told]
    assert "only-n2" not in str(pillar_for("n1", site, lookup))
    assert pillar_for("n2", site, lookup)["own"] == "only-n2"


def test_the_caller_may_change_what_it_gets(site):
    """Salt merges into the pillar that it is given; the next minion must not see that."""
    pillar_for("n1", site, lookup)["ntp"].append("changed")
    assert pillar_for("n1", site, lookup)["ntp"] == ["g"]


def test_a_store_that_cannot_answer_gives_no_pillar(site):
    """An error is an error: a pillar without facts would look like a node without configuration."""

    def fails(_node):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        pillar_for("n1", site, fails)
