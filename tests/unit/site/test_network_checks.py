"""Networks that parse and cannot be true: each is one problem, with its key and what to do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from racksalt.adapters.site_files import open_site, write_site
from racksalt.cli import cli
from racksalt.model.errors import InvalidInputError
from racksalt.site.declare import declare
from racksalt.site.problems import refuse

SOUND: dict[str, Any] = {
    "zones": ["z1", "z2"],
    "racks": {"r1": {"zone": "z1"}, "r2": {"zone": "z1"}, "r3": {"zone": "z2"}},
    "nodes": {
        "n1": {"rack": "r1", "nics": "1g 1g 10g 10g"},
        "n2": {"rack": "r2", "macs": ["02:00:00:00:00:01", "02:00:00:00:00:02"]},
        "n3": {"rack": "r3", "addresses": {"p2": "10.2.0.5"}},
    },
    "conduits": {"fast": {"nics": "10g1 10g2", "bond": {}}, "first": {"nics": "any1"}},
    "networks": {
        "p1": {
            "purpose": "provisioning",
            "zone": "z1",
            "vlan": 10,
            "domain": "z1.example.net",
            "cidr_v4": "10.1.0.0/24",
            "gateway_v4": "10.1.0.1",
            "cidr_v6": "fd01::/64",
            "ranges": {
                "new": {"first": "10.1.0.10", "last": "10.1.0.19", "use": "discovery"},
                "nodes": {"first": "10.1.0.20", "last": "10.1.0.99", "use": "reservations"},
                "six": {"first": "fd01::10", "last": "fd01::ff", "use": "reservations"},
            },
        },
        "p2": {"purpose": "provisioning", "rack": "r3", "cidr_v4": "10.2.0.0/24"},
        "store": {"purpose": "storage", "vlan": 30, "conduit": "fast", "cidr_v4": "10.3.0.0/24"},
    },
}
P1 = "networks:p1"
RANGES = f"{P1}:ranges"
# What is changed in the sound site -> the one problem that this makes: its key, and a piece of what it says.
CASES: list[tuple[str, Any, str, str]] = [
    (f"{P1}:rack", "r9", f"{P1}:rack", "no rack 'r9'"),
    ("networks:p2:zone", "z1", "networks:p2:zone", "rack 'r3' is in zone 'z2'"),
    ("networks:p2:purpose", "admin", "racks:r3", "no provisioning network reaches it"),
    ("networks:p2:tagging", "tagged", "networks:p2:tagging", "no VLAN"),
    (f"{P1}:mtu", 100, f"{P1}:mtu", "between 1280 and 9216"),
    (f"{P1}:domain", "Z1_x", f"{P1}:domain", "no DNS domain"),
    ("networks:store:bridge", "a bridge with a name", "networks:store:bridge", "no interface name"),
    ("networks:p2:bridge", "br0", "networks:p2:bridge", "no conduit"),
    ("networks:store:vlan", 10, "networks:store:vlan", "10 is p1's"),
    ("networks:store:conduit", "slow", "networks:store:conduit", "no conduit 'slow'"),
    ("networks:p2:cidr_v6", "fd02::/48", "networks:p2:cidr_v6", "wider than /64"),
    (f"{P1}:gateway_v4", "10.9.0.1", f"{P1}:gateway_v4", "no host of 10.1.0.0/24"),
    (f"{P1}:gateway_v4", "10.1.0.30", f"{RANGES}:nodes", "the router of"),
    (f"{RANGES}:nodes:last", "10.1.0.255", f"{RANGES}:nodes", "the broadcast address"),
    (f"{RANGES}:nodes:first", "10.1.0.19", f"{RANGES}:nodes", "overlaps new"),
    (f"{RANGES}:nodes:last", "10.1.1.9", f"{RANGES}:nodes:last", "not in 10.1.0.0/24"),
    (f"{RANGES}:nodes:last", "10.1.0.3", f"{RANGES}:nodes:last", "is before"),
    (f"{RANGES}:nodes:last", "fd01::99", f"{RANGES}:nodes:last", "not of the family"),
    (f"{RANGES}:nodes:last", "ten", f"{RANGES}:nodes:last", "is no address"),
    (f"{RANGES}:Nodes", {"first": "10.1.0.200", "last": "10.1.0.201", "use": "excluded"},
     f"{RANGES}:Nodes", "no legal name"),
    ("networks:p2:ranges", {"six": {"first": "fd02::1", "last": "fd02::2", "use": "reservations"}},
     "networks:p2:ranges:six:first", "is IPv6, and the network has no such subnet"),
    ("networks:p2:ranges", {"a": {"first": "10.2.0.5", "last": "10.2.0.6", "use": "discovery"}},
     "nodes:n3:addresses:p2", "in the discovery range a"),
    (f"{RANGES}:six:first", "fd01::", f"{RANGES}:six", "the network address"),
    ("nodes:n3:addresses", {"p1": "10.1.0.5"}, "nodes:n3:addresses:p1", "does not reach rack 'r3'"),
    ("nodes:n3:addresses", {"px": "10.1.0.5"}, "nodes:n3:addresses:px", "no network 'px'"),
    ("nodes:n3:addresses", {"p2": "10.1.0.5"}, "nodes:n3:addresses:p2", "not in 10.2.0.0/24"),
    ("nodes:n3:addresses", {"p2": "fd00::1"}, "nodes:n3:addresses:p2", "a subnet of its family"),
    ("nodes:n3:addresses", {"p2": "10.2.0.255"}, "nodes:n3:addresses:p2", "no node's to have"),
    ("nodes:n3:addresses", {"p2": "n3"}, "nodes:n3:addresses:p2", "is no address"),
    ("nodes:n3:addresses", {"p2": ["10.2.0.5", "10.2.0.6"]}, "nodes:n3:addresses:p2",
     "has 2 IPv4 addresses"),
    ("nodes:n1:addresses", {"p1": "10.1.0.1"}, "nodes:n1:addresses:p1", "no node's to have"),
    ("nodes:n1:nics", "fast", "nodes:n1:nics", "no speed"),
    ("conduits:fast:nics", "40g1 40g2", "conduits:fast", "40g1: no NIC fits"),
    ("conduits:first:nics", "any0", "conduits:first:nics", "positions begin with 1"),
    ("conduits:first:nics", "", "conduits:first:nics", "names no NIC"),
    ("conduits:first:nics", "any1 any2", "conduits:first:nics", "need a bond"),
    ("conduits:Bad", {"nics": "any1"}, "conduits:Bad", "no legal name"),
]  # fmt: skip


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Return the sound site with some values changed."""
    site = copy.deepcopy(SOUND)
    for path, value in changes:
        *above, last = path.split(":")
        place = site
        for key in above:
            place = place[key]
        place[last] = value
    return site


def test_the_sound_site_is_sound():
    """The site that every case changes has no problem by itself."""
    assert declare({"site/a.yaml": SOUND})[1] == []


@pytest.mark.parametrize(("path", "value", "key", "message"), CASES)
def test_what_cannot_be_true_is_reported_once(path, value, key, message):
    """Each mistake makes exactly one problem, at the key to mend, with what to do."""
    site = changed((path, value))
    if key.startswith("conduits:fast"):
        # n3 says nothing of its NICs, n2 of its NICs' speeds: only with all known can none fit.
        for node in ("n2", "n3"):
            site["nodes"][node] = {"rack": site["nodes"][node]["rack"], "nics": "1g"}
    problems = declare({"site/a.yaml": site})[1]
    assert [(it.file, it.key) for it in problems] == [("site/a.yaml", key)]
    assert message in problems[0].message


def test_vlans_of_two_racks_do_not_meet():
    """Behind routers in each rack, racks may use the same numbers; a rack's own zone may not."""
    site = changed(("networks:q", {"rack": "r2", "vlan": 77}), ("networks:p2:vlan", 77))
    assert declare({"site/a.yaml": site})[1] == []
    site["networks"]["q"]["vlan"] = 10
    assert [it.key for it in declare({"site/a.yaml": site})[1]] == ["networks:q:vlan"]


def test_bridges_of_networks_that_meet_have_names_of_their_own():
    """One bridge would join their frames; in two racks, or beside no bond, a name may come again."""
    more = {"conduit": "first", "bridge": "br0", "tagging": "tagged"}
    site = changed(
        ("networks:store:bridge", "br0"),
        ("networks:a", {**more, "rack": "r1", "vlan": 41}),
        ("networks:b", {**more, "rack": "r2", "vlan": 42}),
    )
    problems = declare({"site/a.yaml": site})[1]
    assert [it.key for it in problems] == ["networks:a:bridge", "networks:b:bridge"]
    assert "'br0' is store's" in problems[0].message
    site["networks"]["store"]["bridge"] = "first"
    assert declare({"site/a.yaml": site})[1] == []
    site["networks"]["store"]["bridge"] = "fast"
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "networks:store:bridge"
    assert "a conduit's bond" in problem.message


def test_an_exclusion_may_lie_in_a_reservation():
    """That is what it is for; in a discovery pool, which is told to others as it is, it may not."""
    hole = {"first": "10.1.0.30", "last": "10.1.0.40", "use": "excluded"}
    assert declare({"site/a.yaml": changed((f"{RANGES}:hole", hole))})[1] == []
    hole["first"] = "10.1.0.15"
    keys = [it.key for it in declare({"site/a.yaml": changed((f"{RANGES}:hole", hole))})[1]]
    assert keys == [f"{RANGES}:hole"]


def test_a_bmcs_address_is_not_given_to_a_node():
    """It lies outside of what is given out, or is excluded there."""
    bmc = {"address": "10.1.0.50", "username": "u", "secret": "file:lab"}
    site = changed(("nodes:n1:bmc", bmc))
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "nodes:n1:bmc:address"
    assert "in the range nodes of p1" in problem.message
    hole = {"first": "10.1.0.50", "last": "10.1.0.50", "use": "excluded"}
    site["networks"]["p1"]["ranges"]["hole"] = hole
    assert declare({"site/a.yaml": site})[1] == []
    bmc["address"] = "10.1.0.120"
    assert declare({"site/a.yaml": changed(("nodes:n1:bmc", bmc))})[1] == []


@pytest.mark.parametrize(
    "text", ["fe80::1%x\naddn-hosts=/etc/shadow", "10.1.0.1\n", "fe80::1%eth0"]
)
def test_no_address_carries_more_than_an_address(text):
    """What is written into files of other programs is nothing but an address."""
    family = "v6" if ":" in text else "v4"
    problems = declare({"site/a.yaml": changed((f"{P1}:gateway_{family}", text))})[1]
    assert [it.key for it in problems] == [f"{P1}:gateway_{family}"]


def test_a_node_does_not_get_the_address_of_another_ones_bmc():
    """Nor of its own; the one address of a lab's BMCs is nobody's."""
    bmc = {"address": "fd01:0::200", "username": "u", "secret": "file:lab"}
    site = changed(("nodes:n2:bmc", bmc), ("nodes:n1:addresses", {"p1": "fd01::200"}))
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "nodes:n1:addresses:p1"
    assert problem.message == "fd01::200 is n2's BMC"
    bmc["protocol"] = "simulated"
    assert declare({"site/a.yaml": site})[1] == []


def test_a_bmc_may_have_its_place_on_the_network_of_bmcs():
    """There its node gives it an address, and with it a name; another node's BMC stays another's."""
    bmc = {"address": "10.9.0.5", "username": "u", "secret": "file:lab"}
    oob = {"purpose": "bmc", "cidr_v4": "10.9.0.0/24", "domain": "oob.example.net"}
    told = ("networks:oob", oob), ("nodes:n1:bmc", bmc)
    own = changed(*told, ("nodes:n1:addresses", {"oob": "10.9.0.5"}))
    assert declare({"site/a.yaml": own})[1] == []
    others = changed(*told, ("nodes:n2:addresses", {"oob": "10.9.0.5"}))
    assert [it.message for it in declare({"site/a.yaml": others})[1]] == ["10.9.0.5 is n1's BMC"]


def test_a_node_does_not_get_its_router_in_another_spelling():
    """Addresses are compared, not texts."""
    site = changed((f"{P1}:gateway_v6", "fd01:0::fff"), ("nodes:n1:addresses", {"p1": "fd01::fff"}))
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "nodes:n1:addresses:p1"
    assert "no node's to have" in problem.message


def test_only_a_network_to_boot_on_has_to_be_narrow():
    """Nobody serves DHCP elsewhere."""
    site = changed(("networks:store:cidr_v6", "fd02::/48"), ("networks:p2:cidr_v6", "fd03::/64"))
    assert declare({"site/a.yaml": site})[1] == []


def test_a_discovery_pool_serves_the_largest_rack_at_once():
    """A rack's machines are powered on together: each needs a lease."""
    site = changed((f"{RANGES}:new:last", "10.1.0.12"))
    site["nodes"] |= {f"m{number}": {"rack": "r2"} for number in range(3)}
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == f"{RANGES}:new"
    assert "3 addresses for the 4 nodes of rack 'r2'" in problem.message


def test_two_untagged_networks_do_not_share_a_conduit():
    """Nobody could tell whose frames those are."""
    site = changed(("networks:store:vlan", None), ("networks:p1:conduit", "fast"))
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "networks:store:conduit"
    assert "p1 is untagged on 'fast' too" in problem.message


def test_macs_alone_bound_what_a_conduit_may_ask():
    """Who lists several MACs lists all; one MAC alone is that of the NIC that boots."""
    site = changed(("conduits:fast:nics", "10g1 10g2 10g3"))
    site["nodes"] = {"n2": SOUND["nodes"]["n2"], "n3": {**SOUND["nodes"]["n3"], "nics": "10g"}}
    (problem,) = declare({"site/a.yaml": site})[1]
    assert problem.key == "conduits:fast"
    assert "none of the 2 nodes" in problem.message
    site["nodes"]["n2"]["macs"] = site["nodes"]["n2"]["macs"][:1]
    assert declare({"site/a.yaml": site})[1] == []


def all_wrong() -> dict[str, Any]:
    """Return a site in which everything that can be wrong with networks is wrong."""
    mac = "02:00:00:00:00:01"
    node = {"rack": "r1", "macs": [mac], "nics": "1g"}
    wrong_family = {"first": "fd02::1", "last": "fd02::2", "use": "reservations"}
    return changed(
        (f"{RANGES}:again", {"first": "10.1.0.50", "last": "10.1.0.60", "use": "reservations"}),
        (f"{RANGES}:new", {"first": "10.1.0.10", "last": "10.1.0.10", "use": "discovery"}),
        (f"{RANGES}:out", {"first": "10.1.0.250", "last": "10.1.1.5", "use": "excluded"}),
        (f"{RANGES}:edge", {"first": "10.1.0.0", "last": "10.1.0.2", "use": "reservations"}),
        (f"{P1}:gateway_v4", "10.9.0.1"),
        ("networks:p2:ranges", {"six": wrong_family}),
        ("networks:p2:rack", "r2"),
        ("networks:store:vlan", 10),
        ("nodes:n1", node),
        ("nodes:n2", node),
        ("nodes:n3", {"rack": "r3", "nics": "1g"}),
        ("nodes:n4", {**node, "colour": "red"}),
    )


ALL_WRONG = {
    f"{RANGES}:again": "overlaps nodes",
    f"{RANGES}:new": "1 addresses for the 3 nodes",
    f"{RANGES}:out:last": "not in 10.1.0.0/24",
    f"{RANGES}:edge": "the network address",
    f"{P1}:gateway_v4": "no host of",
    "networks:p2:ranges:six:first": "has no such subnet",
    "racks:r3": "no provisioning network",
    "networks:store:vlan": "10 is p1's",
    "nodes:n2:macs:0": "is n1's",
    "nodes:n4:colour": "no such field",
    "nodes:n4:macs:0": "is n1's",
    "conduits:fast": "none of the",
}


def test_all_that_is_wrong_is_told_in_one_go_and_refused():
    """Every mistake of the list at once: each with file, key and remedy, and nothing is declared."""
    problems = declare({"site/a.yaml": all_wrong()})[1]
    told = {it.key: it for it in problems}
    assert set(told) == set(ALL_WRONG)
    for key, message in ALL_WRONG.items():
        assert message in told[key].message
        assert told[key].hint, f"{key} has no remedy"
        assert told[key].file == "site/a.yaml"
    with pytest.raises(InvalidInputError, match="12 problems") as caught:
        refuse(problems)
    assert all(key in str(caught.value) for key in ALL_WRONG)


def test_site_check_lists_all_of_it_and_nothing_acts(tmp_path):
    """`racksalt site check` prints each mistake and fails; the same files open no site."""
    folder = write_site(tmp_path / "pillar", {"site/a.yaml": all_wrong()})
    result = CliRunner().invoke(cli, ["site", "check", str(folder), "--json"])
    assert result.exit_code == 1
    assert {it["key"] for it in json.loads(result.stdout)} == set(ALL_WRONG)
    with pytest.raises(InvalidInputError, match="12 problems"):
        open_site(folder)
