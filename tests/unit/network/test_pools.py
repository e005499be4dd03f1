"""Which addresses of a network nodes may keep, and which is free next."""

from __future__ import annotations

import pytest

from racksalt.model.place import Network, Range
from racksalt.network.pools import Pool, may_keep, normal, overlap


def a_range(first, last, use="reservations", name="a"):
    """Return a range of reservations."""
    return Range(name=name, first=first, last=last, use=use)


def a_network(*ranges, **fields):
    """Return a small network with a router."""
    given = {"cidr_v4": "10.0.0.0/24", "gateway_v4": "10.0.0.1", "cidr_v6": "fd00::/64"}
    return Network(name="n", purpose="provisioning", ranges=ranges, **{**given, **fields})


def all_of(network, family=4, held=0, taken=()):
    """Return all that a pool gives out."""
    pool = Pool(network, family, held, lambda some: set(some) & set(taken))
    return list(iter(pool.take, None))


def test_the_lowest_addresses_go_first():
    """People find them where they expect them."""
    assert all_of(a_network(a_range("10.0.0.10", "10.0.0.12"))) == [
        "10.0.0.10",
        "10.0.0.11",
        "10.0.0.12",
    ]


def test_nothing_is_given_out_that_is_not_a_nodes_to_have():
    """Neither the subnet's own, nor its router's, nor what is excluded or a discovery pool's."""
    wide = a_range("10.0.0.0", "10.0.0.255")
    hole = a_range("10.0.0.3", "10.0.0.250", "excluded", "hole")
    pool = a_range("10.0.0.251", "10.0.0.252", "discovery", "pool")
    assert all_of(a_network(wide, hole, pool)) == ["10.0.0.2", "10.0.0.253", "10.0.0.254"]


def test_ranges_count_only_in_their_family_and_their_subnet():
    """A family without a range has no addresses; several ranges are one pool."""
    network = a_network(a_range("fd00::5", "fd00::6"), a_range("10.0.0.9", "10.0.0.9", name="b"))
    assert all_of(network) == ["10.0.0.9"]
    assert all_of(network, 6) == ["fd00::5", "fd00::6"]
    assert all_of(a_network(a_range("10.0.1.1", "10.0.1.9"))) == []
    assert all_of(a_network(cidr_v6=None), 6) == []


def test_what_is_taken_is_passed_over_and_the_search_goes_once_round():
    """It begins behind as many as nodes have, and ends where it began."""
    network = a_network(a_range("10.0.0.10", "10.0.0.14"))
    assert all_of(network, held=3, taken=["10.0.0.11", "10.0.0.13"]) == [
        "10.0.0.14",
        "10.0.0.10",
        "10.0.0.12",
    ]


def test_ten_thousand_taken_addresses_cost_a_look_at_a_few():
    """The next free one of 65,000, of which 10,000 are taken, takes one question about 64 of them."""
    wide = Network(name="w", cidr_v4="10.0.0.0/16", ranges=(a_range("10.0.0.1", "10.0.255.254"),))
    asked = []
    pool = Pool(wide, 4, 10_000, lambda some: asked.append(len(some)) or ())
    assert pool.take() == "10.0.39.17"
    assert asked == [64]


def test_a_pool_of_ipv6_is_as_quick():
    """2^64 addresses are not counted one by one."""
    wide = Network(
        name="w", cidr_v6="fd00::/64", ranges=(a_range("fd00::", "fd00::ffff:ffff:ffff:ffff"),)
    )
    assert Pool(wide, 6, 5, lambda _some: ()).take() == "fd00::6"


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("10.0.0.5", True),
        ("10.0.0.99", True),
        ("10.0.0.1", False),
        ("10.0.0.0", False),
        ("10.0.0.255", False),
        ("10.0.0.200", False),
        ("10.0.1.5", False),
        ("fd00::5", True),
        ("fd01::5", False),
        ("fd00::", False),
    ],
)
def test_an_address_stays_unless_it_clashes(address, stays):
    """Also outside of every range; not in another subnet, not the router's, not in a discovery pool."""
    assert may_keep(a_network(a_range("10.0.0.200", "10.0.0.210", "discovery")), address) is stays


def test_a_subnet_of_two_has_two_hosts():
    """A point-to-point link needs no broadcast address (RFC 3021)."""
    two = Network(name="t", cidr_v4="10.0.0.4/31", ranges=(a_range("10.0.0.4", "10.0.0.5"),))
    assert all_of(two) == ["10.0.0.4", "10.0.0.5"]


def test_overlap_is_told_for_either_family():
    """One subnet within another, v4 or v6."""
    one = Network(name="a", cidr_v4="10.0.0.0/8", cidr_v6="fd00::/64")
    assert overlap(one, Network(name="b", cidr_v4="10.2.0.0/16"))
    assert overlap(Network(name="b", cidr_v6="fd00::/48"), one)
    assert not overlap(one, Network(name="b", cidr_v4="11.0.0.0/8", cidr_v6="fd01::/64"))


def test_addresses_have_one_form():
    """The shortest, in lower case."""
    assert normal("FD00:0:0::0A") == "fd00::a"
