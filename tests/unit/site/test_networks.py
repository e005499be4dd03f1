"""From the sections ``networks`` and ``conduits`` to nouns."""

from __future__ import annotations

from racksalt.model.conduit import Alternative, Bond, Conduit
from racksalt.model.place import Network, Range
from racksalt.site.declare import declare

SITE = {
    "zones": ["z1"],
    "racks": {"r1": {"zone": "z1"}},
    "nodes": {"n1": {"rack": "r1", "nics": "1g 10g", "addresses": {"p": "10.0.0.9"}}},
    "conduits": {
        "one": {"nics": "1g1"},
        "two": [{"nics": ["10g1", "10g2"], "bond": {"mode": "802.3ad"}}, {"nics": "any1"}],
    },
    "networks": {
        "p": {
            "purpose": "provisioning",
            "zone": "z1",
            "mtu": 9000,
            "domain": "z1.example.net",
            "cidr_v4": "10.0.0.0/24",
            "conduit": "one",
            "ranges": {"nodes": {"first": "10.0.0.9", "last": "10.0.0.20", "use": "reservations"}},
        }
    },
}


def test_a_network_has_its_ranges():
    """Ranges are named below their network."""
    declared, problems = declare({"site/a.yaml": SITE})
    assert problems == []
    assert declared.networks["p"] == Network(
        name="p",
        purpose="provisioning",
        zone="z1",
        mtu=9000,
        domain="z1.example.net",
        cidr_v4="10.0.0.0/24",
        conduit="one",
        ranges=(Range(name="nodes", first="10.0.0.9", last="10.0.0.20", use="reservations"),),
    )


def test_a_conduit_is_one_map_or_a_list_of_alternatives():
    """A text of patterns is taken as its words."""
    found = declare({"site/a.yaml": SITE})[0].conduits
    assert found["one"] == Conduit(name="one", alternatives=(Alternative(nics=("1g1",)),))
    assert found["two"].alternatives == (
        Alternative(nics=("10g1", "10g2"), bond=Bond(mode="802.3ad")),
        Alternative(nics=("any1",)),
    )


def test_a_node_may_name_its_nics_and_addresses():
    """One address may stand without a list."""
    node = declare({"site/a.yaml": SITE})[0].nodes["n1"]
    assert (node.nics, node.addresses) == (("1g", "10g"), {"p": ("10.0.0.9",)})


def test_each_wrong_key_is_told_where_it_stands():
    """Unknown keys, wrong types and missing ones in ranges, bonds and alternatives, all at once."""
    wrong = {
        "conduits": {
            "a": {"nic": "1g1"},
            "b": [{"nics": "1g1"}, {"nics": "1g1 1g2", "bond": {"mode": "fast"}}],
            "c": [],
            "d": "1g1",
        },
        "networks": {
            "x": {"ranges": {"r": {"first": "10.0.0.1", "use": "spare"}, 5: {}}, "mtu": "big"},
            "y": {"ranges": ["a"]},
            "z": {"colour": 1, "purpose": "provisoning"},
        },
        "nodes": {"n1": {"rack": "r1", "addresses": ["10.0.0.1"]}},
        "racks": {"r1": {"zone": "z1"}},
        "zones": ["z1"],
    }
    keys = {it.key for it in declare({"site/a.yaml": wrong})[1]}
    assert keys == {
        "conduits:a:nic",
        "conduits:a:nics",
        "conduits:b:1:bond:mode",
        "conduits:c",
        "conduits:d",
        "networks:x:mtu",
        "networks:x:ranges:r:last",
        "networks:x:ranges:r:use",
        "networks:x:ranges:5",
        "networks:y:ranges",
        "networks:z:colour",
        "networks:z:purpose",
        "nodes:n1:addresses",
    }
