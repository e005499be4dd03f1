"""Names of nodes that parse and cannot be true."""

from __future__ import annotations

from typing import Any

import pytest

from racksalt.site.declare import declare


def site(**nodes: dict[str, Any]) -> dict[str, Any]:
    """Return a site with two racks, each with a network to boot on, one for storage, and these nodes in rack r1."""
    return {
        "zones": ["z1"],
        "racks": {"r1": {"zone": "z1"}, "r2": {"zone": "z1"}},
        "networks": {
            "p1": {"purpose": "provisioning", "rack": "r1", "domain": "r1.example.net"},
            "p2": {"purpose": "provisioning", "rack": "r2", "domain": "r2.example.net"},
            "store": {"purpose": "storage", "domain": "st.example.net"},
        },
        "nodes": {name: {"rack": "r1", **fields} for name, fields in nodes.items()},
    }


def told(document: dict[str, Any]) -> list[str]:
    """Return what is told of it."""
    return [str(it) for it in declare({"site/a.yaml": document})[1]]


def test_names_that_dns_can_say_are_no_problem():
    """With labels of 63 characters, of one's own or in a network's domain, also one that only looks like another's."""
    nodes = {
        "n1": {"fqdn": "n1.r1.example.net"},
        "n2": {"fqdn": f"{'a' * 63}.example.net"},
        "n3": {"fqdn": "n1.r2.example.net"},
        "n4": {"fqdn": "n2.r1.example.net"},
        "n5.r1": {},
        "b" * 63: {},
    }
    assert told(site(**nodes)) == []


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Node1.Example.net", "write node1.example.net"),
        ("n1.example.net.", "write n1.example.net"),
        ("n_1.example.net", "digits and inner hyphens"),
        ("a..b", "digits and inner hyphens"),
        (f"{'a' * 64}.example.net", "at most 63"),
        ("n1.example.net\ndhcp-script=/bin/sh", "digits and inner hyphens"),
    ],
)
def test_a_full_name_that_dns_cannot_say_is_refused(name, remedy):
    """Its node would be left without an address; the right spelling is told where only that is wrong."""
    (problem,) = told(site(n1={"fqdn": name}))
    assert problem.startswith(f"site/a.yaml: nodes:n1:fqdn: {name!r} is no host name (")
    assert remedy in problem


@pytest.mark.parametrize("name", ["a..b", "a" * 64, "a-.b"])
def test_an_id_that_dns_cannot_say_is_refused(name):
    """Though it would be a minion's."""
    (problem,) = told(site(**{name: {}}))
    assert problem.startswith(f"site/a.yaml: nodes:{name}: is no host name (")


@pytest.mark.parametrize(
    ("other", "fields", "name"),
    [
        ("n2", {"fqdn": "web.example.net"}, "web.example.net"),
        ("n2", {}, "n2.r1.example.net"),
        ("n2", {}, "n2.st.example.net"),
        ("n2", {"fqdn": "web.example.net"}, "n2.st.example.net"),
        ("n2.r1.example.net", {}, "n2.r1.example.net"),
    ],
)
def test_a_name_leads_to_one_node(other, fields, name):
    """Whether the other one declares it, or has it by its id: alone, or in the domain of a network that it is on."""
    (problem,) = told(site(**{other: fields, "n9": {"fqdn": name}}))
    assert problem == (
        f"site/a.yaml: nodes:n9:fqdn: {name} is {other}'s name (a name is one node's)"
    )
