from __future__ import annotations

import copy
from typing import Any

import pytest

from racksalt.site.checks import normal_mac
from racksalt.site.declare import declare

SOUND: dict[str, Any] = {
    "zones": ["z1", "z2"],
    "racks": {"r1": {"zone": "z1", "height_u": 10}, "r2": {"zone": "z2"}},
    "nodes": {
        "n1": {
            "rack": "r1",
            "position_u": 1,
            "height_u": 2,
            "serial": "S1",
            "macs": ["02:00:00:00:00:01"],
            "bmc": {"address": "10.9.0.1", "username": "u", "secret": "file:lab"},
        },
        "n2": {
            "rack": "r1",
            "position_u": 3,
            "serial": "S2",
            "macs": ["02:00:00:00:00:02"],
            "bmc": {"address": "10.9.0.2", "username": "u", "secret": "file:lab"},
        },
    },
    "networks": {
        "a": {"zone": "z1", "vlan": 5, "cidr_v4": "10.1.0.0/24", "gateway_v4": "10.1.0.1"},
        "b": {"zone": "z2", "vlan": 5, "cidr_v4": "10.2.0.0/24", "cidr_v6": "fd00::/64"},
        "c": {"vlan": 6, "cidr_v6": "fd01::/64", "gateway_v6": "fe80::1"},
    },
    "policy": {"approve": "manifest"},
}
# What is changed in the sound site -> the one problem that this makes: its key, and a piece of what it says.
CASES: list[tuple[str, Any, str, str]] = [
    ("nodes:n2:rack", "r9", "nodes:n2:rack", "no rack 'r9'"),
    ("racks:r2:zone", "z3", "racks:r2:zone", "no zone 'z3'"),
    ("racks:r2:height_u", 0, "racks:r2:height_u", "between 1 and 100"),
    ("networks:a:zone", "zz", "networks:a:zone", "no zone 'zz'"),
    ("nodes:n2:position_u", 2, "nodes:n2:position_u", "overlaps n1 in rack 'r1'"),
    ("nodes:n2:position_u", 0, "nodes:n2:position_u", "not in the rack"),
    ("nodes:n2:position_u", 11, "nodes:n2:position_u", "not in the rack"),
    ("nodes:n2:height_u", 9, "nodes:n2:position_u", "U3 to U11 is not in the rack"),
    ("nodes:n2:height_u", 0, "nodes:n2:height_u", "below 1"),
    ("nodes:n2:macs", ["02:00:00:00:00:01"], "nodes:n2:macs:0", "is n1's"),
    ("nodes:n2:macs", ["02-00-00-00-00-01"], "nodes:n2:macs:0", "is n1's"),
    ("nodes:n2:macs", ["02:00:00:00:00:0g"], "nodes:n2:macs:0", "is no MAC"),
    ("nodes:n2:macs", ["03:00:00:00:00:00"], "nodes:n2:macs:0", "group address"),
    ("nodes:n2:serial", "S1", "nodes:n2:serial", "is n1's"),
    ("nodes:n2:serial", "s-1 ", "nodes:n2:serial", "is n1's"),
    ("nodes:n2:bmc:address", "10.9.0.1", "nodes:n2:bmc", "port 623 is n1's"),
    ("nodes:n2:bmc:address", "10.9.0.1/24", "nodes:n2:bmc:address", "no IP address"),
    ("nodes:n2:bmc:address", "10.9.0.2566", "nodes:n2:bmc:address", "no IP address or host name"),
    ("nodes:n2:bmc:port", 70000, "nodes:n2:bmc:port", "65535"),
    ("nodes:n2:bmc:secret", "hunter2", "nodes:n2:bmc:secret", "does not name a secret"),
    ("nodes:N3", {"rack": "r1"}, "nodes:N3", "no legal minion id"),
    ("nodes:../n3", {"rack": "r1"}, "nodes:../n3", "no legal minion id"),
    ("nodes:*", {"rack": "r1"}, "nodes:*", "no legal minion id"),
    ("nodes:1.10", {"rack": "r1"}, "nodes:1.10", "a number or a truth value"),
    ("racks:a/b", {"zone": "z1"}, "racks:a/b", "no legal name"),
    ("networks:b:zone", "z1", "networks:b:vlan", "5 is a's"),
    ("networks:b:vlan", 4095, "networks:b:vlan", "4094"),
    ("networks:b:cidr_v4", "10.1.0.128/25", "networks:b:cidr_v4", "overlaps 10.1.0.0/24 of a"),
    ("networks:b:cidr_v4", "10.2.0.1/24", "networks:b:cidr_v4", "host bits"),
    ("networks:b:cidr_v4", "10.2.0.0", "networks:b:cidr_v4", "no IPv4 subnet"),
    ("networks:b:cidr_v4", "fd02::/64", "networks:b:cidr_v4", "no IPv4 subnet"),
    ("networks:b:cidr_v4", "10.2.0.0/255.255.255.0", "networks:b:cidr_v4", "no plain length"),
    ("networks:b:cidr_v4", "10.2.0.0/0.0.0.255", "networks:b:cidr_v4", "no plain length"),
    ("networks:b:cidr_v4", "10.2.0.0/024", "networks:b:cidr_v4", "no plain length"),
    ("networks:b:cidr_v4", "ten", "networks:b:cidr_v4", "is no subnet"),
    ("networks:b:cidr_v6", "fd01::/80", "networks:b:cidr_v6", "overlaps"),
    ("networks:a:gateway_v4", "10.2.0.1", "networks:a:gateway_v4", "no host of 10.1.0.0/24"),
    ("networks:a:gateway_v4", "10.1.0.255", "networks:a:gateway_v4", "no host"),
    ("networks:a:gateway_v4", "door", "networks:a:gateway_v4", "no address"),
    ("networks:c:gateway_v4", "10.3.0.1", "networks:c:gateway_v4", "no subnet to be in"),
    ("policy:approve", "auto", "policy:approve_limit", "needs a limit"),
    ("policy:approve_limit", 3, "policy:approve_limit", "approve: auto"),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the sound site with one value changed."""
    site = copy.deepcopy(SOUND)
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
    problems = declare({"site/a.yaml": changed(path, value)})[1]
    assert [(it.file, it.key) for it in problems] == [("site/a.yaml", key)]
    assert message in problems[0].message


def test_a_rack_that_does_not_parse_is_still_a_rack():
    """A mistake in a rack is told once, not again for each of its nodes."""
    problems = declare({"site/a.yaml": changed("racks:r1:height_u", "high")})[1]
    assert [it.key for it in problems] == ["racks:r1:height_u"]


def test_every_subnet_within_a_wide_one_is_found():
    """Overlaps are found also when other subnets lie between."""
    site = changed("networks:wide", {"cidr_v4": "10.0.0.0/8"})
    keys = {it.key for it in declare({"site/a.yaml": site})[1]}
    assert keys == {"networks:a:cidr_v4", "networks:b:cidr_v4"}


@pytest.mark.parametrize(
    ("one", "other"), [("fd09::1", "FD09:0:0::1"), ("bmc1.example.net", "BMC1.example.net.")]
)
def test_one_bmc_in_two_spellings_is_one(one, other):
    """Two nodes with it are one machine: a command to either cuts the power of both."""
    site = changed("nodes:n1:bmc:address", one)
    site["nodes"]["n2"]["bmc"]["address"] = other
    (problem,) = declare({"site/a.yaml": site})[1]
    assert (problem.key, problem.message) == ("nodes:n2:bmc", f"{other} port 623 is n1's BMC")


@pytest.mark.parametrize("text", ["02:AB:00:00:00:01", "02-ab-00-00-00-01", "02ab.0000.0001"])
def test_macs_in_any_usual_spelling_become_one(text):
    """Lower-case colon form, whoever wrote it."""
    assert normal_mac(text) == "02:ab:00:00:00:01"
