"""Which addresses a node has on which networks."""

from __future__ import annotations

import pytest

from racksalt.model.node import Address, Nic
from racksalt.model.place import Network, Range
from racksalt.network.allocate import Need, Outcome, allocate, boot_networks, boot_nic, name_of
from racksalt.network.pools import Pool

NET = Network(
    name="p",
    purpose="provisioning",
    cidr_v4="10.0.0.0/24",
    gateway_v4="10.0.0.1",
    cidr_v6="fd00::/64",
    ranges=(Range(name="a", first="10.0.0.10", last="10.0.0.11", use="reservations"),),
)


def none_left(_network, _family):
    """Give nothing."""


def taker(taken=()):
    """Return a giver of addresses, of which some are taken."""
    pool = Pool(NET, 4, 0, lambda some: set(some) & set(taken))
    return lambda _network, _family: pool.take()


def a_need(network=NET, family=4, nic="n1/a", **fields):
    """Return the need of an address on the network."""
    return Need(network=network, family=family, nic=nic, **fields)


def an_address(text, network="p", nic="n1/a", node="n1"):
    """Return an address that a node keeps."""
    family = 6 if ":" in text else 4
    return Address(
        id=f"{network}/{text}", node=node, nic=nic, network=network, address=text, family=family
    )


def test_a_node_gets_a_free_address():
    """And the row says on which NIC and network."""
    outcome = allocate("n1", [a_need()], [], taker(["10.0.0.10"]))
    assert outcome == Outcome(put=(an_address("10.0.0.11"),))


def test_a_node_keeps_what_it_has():
    """However often it is asked, and also outside of the range."""
    held = [an_address("10.0.0.77")]
    assert allocate("n1", [a_need()], held, none_left) == Outcome()


def test_another_nic_takes_the_address_over():
    """A replaced NIC changes who holds the address, not the address."""
    outcome = allocate("n1", [a_need(nic="n1/b")], [an_address("10.0.0.77")], none_left)
    assert outcome == Outcome(put=(an_address("10.0.0.77", nic="n1/b"),))


@pytest.mark.parametrize("clash", ["10.0.0.1", "10.0.5.5"])
def test_what_clashes_is_replaced(clash):
    """The router's address, or one of a subnet that the network no longer has."""
    outcome = allocate("n1", [a_need()], [an_address(clash)], taker())
    assert [it.address for it in outcome.put] == ["10.0.0.10"]
    assert [it.address for it in outcome.gone] == [clash]


def test_a_fixed_address_wins():
    """What the files say replaces what was handed out, in its shortest form."""
    outcome = allocate("n1", [a_need(fixed="10.0.0.5")], [an_address("10.0.0.77")], none_left)
    assert [it.address for it in outcome.put] == ["10.0.0.5"]
    assert [it.address for it in outcome.gone] == ["10.0.0.77"]
    six = allocate("n1", [a_need(family=6, fixed="FD00:0::05")], [], none_left)
    assert six.put == (an_address("fd00::5"),)


def test_none_left_is_told_and_loses_nothing_else():
    """The other addresses of the node are as they were."""
    held = [an_address("fd00::5")]
    outcome = allocate("n1", [a_need(), a_need(family=6)], held, none_left)
    assert outcome == Outcome(lacking=(a_need(),))


def test_what_is_not_needed_is_given_back_unless_it_may_stay():
    """A node that moves gives back what it had; a conduit that is down for a day does not cost an address."""
    held = [an_address("10.0.0.10"), an_address("10.9.0.5", network="storage")]
    assert allocate("n1", [], held, none_left, may_stay=("storage",)).gone == (held[0],)
    assert allocate("n1", [], held, none_left).gone == tuple(held)


def test_a_network_that_is_renamed_keeps_its_addresses():
    """The row changes its network, not its address."""
    held = [an_address("10.0.0.77", network="old")]
    outcome = allocate("n1", [a_need()], held, none_left)
    assert [(it.network, it.address) for it in outcome.put] == [("p", "10.0.0.77")]
    assert outcome.gone == (held[0],)


def test_a_fixed_address_replaces_one_on_a_network_where_others_may_stay():
    """There are never two addresses of a family on one network."""
    outcome = allocate(
        "n1", [a_need(fixed="10.0.0.5")], [an_address("10.0.0.77")], none_left, may_stay=("p",)
    )
    assert [it.address for it in outcome.gone] == ["10.0.0.77"]


def a_place(name, **fields):
    """Return a provisioning network."""
    return Network(name=name, purpose="provisioning", **fields)


def test_the_nearest_network_of_each_family_is_booted_from():
    """A rack's before its zone's before one for all; families are looked at apart."""
    networks = [
        a_place("all", cidr_v4="10.0.0.0/24", cidr_v6="fd00::/64"),
        a_place("zone", zone="z1", cidr_v4="10.1.0.0/24"),
        a_place("rack", rack="r1", cidr_v4="10.2.0.0/24"),
        Network(name="storage", cidr_v4="10.3.0.0/24"),
    ]
    named = lambda zone, rack: [(it.name, f) for it, f in boot_networks(networks, zone, rack)]  # noqa: E731
    assert named("z1", "r1") == [("rack", 4), ("all", 6)]
    assert named("z1", "r2") == [("zone", 4), ("all", 6)]
    assert named(None, None) == [("all", 4), ("all", 6)]


@pytest.mark.parametrize(
    ("node", "declared", "domain", "name"),
    [
        ("n1", None, "z1.example.net", "n1.z1.example.net"),
        ("n1", "web.example.net", "z1.example.net", "web.example.net"),
        ("n1.z1.example.net", None, "z1.example.net", "n1.z1.example.net"),
        ("n1", None, None, None),
    ],
)
def test_a_nodes_name_is_declared_or_in_its_networks_domain(node, declared, domain, name):
    """A minion id that is a full name already stays as it is."""
    boots = [(a_place("p", cidr_v4="10.0.0.0/24", domain=domain), 4)]
    assert name_of(node, declared, boots) == name


def test_the_nic_that_boots_is_the_one_that_says_so():
    """Of several the one with an address stays; without any, the first."""
    nics = [Nic(id=f"n1/{name}", node="n1", name=name, mac=name, pxe=name != "a") for name in "abc"]
    assert boot_nic(nics).name == "b"
    assert boot_nic(nics, [an_address("10.0.0.9", nic="n1/c")]).name == "c"
    assert boot_nic(nics[:1]).name == "a"
    assert boot_nic([]) is None
