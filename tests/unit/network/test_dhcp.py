"""What DHCP and DNS are to say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.model.place import Network, Range
from racksalt.model.reservation import Reservation
from racksalt.network.dhcp import (
    Lease,
    Planner,
    discovery,
    exhausted,
    full,
    leases_in,
    network_at,
    size_of,
    unserved,
    wanted,
)

MAC = "52:54:00:00:00:01"
POOL = Range(name="d", first="10.0.0.10", last="10.0.0.13", use="discovery")
NET = Network(
    name="prov",
    purpose="provisioning",
    domain="example.net",
    cidr_v4="10.0.0.0/24",
    cidr_v6="fd00::/64",
    ranges=(POOL, Range(name="r", first="10.0.0.20", last="10.0.0.90", use="reservations")),
)
GOOD = Reservation("n1", "n1.example.net", "live", MAC, "prov", "10.0.0.20", 4)


def test_a_sound_reservation_is_wanted_with_its_name():
    """With address, MAC, name and boot environment."""
    found = wanted([NET], [GOOD, GOOD._replace(address="fd00::20", family=6)])
    host = found.hosts["n1"]
    assert (host.label, host.environment) == ("n1", "live")
    assert [(it.mac, it.address, it.name) for it in host.held] == [
        (MAC, "10.0.0.20", "n1.example.net"),
        (MAC, "fd00::20", "n1.example.net"),
    ]
    assert found.problems == ()


def test_a_node_without_an_environment_is_told_to_hold():
    """Which is what the boot API would tell it."""
    assert wanted([NET], [GOOD._replace(environment=None)]).hosts["n1"].environment == "hold"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"node": "n1\nuser=root"}, "id is none"),
        ({"node": "n1,set:x"}, "id is none"),
        ({"mac": "52:54:00:00:00:01\n"}, "is no MAC"),
        ({"mac": "*:*:*:*:*:*"}, "is no MAC"),
        ({"mac": MAC.upper().replace("52", "AB")}, "is no MAC"),
        ({"fqdn": "n1.example.net\ndhcp-script=/bin/sh"}, "is no host name"),
        ({"fqdn": 'n1"quoted'}, "is no host name"),
        ({"environment": "live,6,1.2.3.4"}, "is no boot environment"),
        ({"address": "10.0.0.20,infinite"}, "is no address"),
        ({"address": "10.0.9.20"}, "not in network"),
        ({"address": "fd00::20"}, "no IPv4 address"),
        ({"address": "fe80::1%eth0", "family": 6}, "no IPv6 address"),
        ({"network": "elsewhere"}, "is not declared"),
    ],
)
def test_what_could_write_lines_of_its_own_is_left_out_and_told(change, said):
    """The other nodes are served."""
    other = GOOD._replace(node="n2", mac="52:54:00:00:00:02", address="10.0.0.21", fqdn=None)
    found = wanted([NET], [GOOD._replace(**change), other])
    assert set(found.hosts) == {"n2"}
    assert len(found.problems) == 1
    assert said in found.problems[0]


def test_one_address_has_one_node():
    """The second one is told, the first one served."""
    found = wanted([NET], [GOOD, GOOD._replace(node="n2", mac="52:54:00:00:00:02")])
    assert set(found.hosts) == {"n1"}
    assert "n1 has it" in found.problems[0]


def test_a_router_that_advertises_itself_by_its_link_local_address_is_sound():
    """It is in no subnet, and in every one."""
    found = wanted([replace(NET, gateway_v6="fe80::1")], [])
    assert [network.name for network in found.networks] == ["prov"]
    assert found.problems == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "prov,set:x"},
        {"domain": "example.net\nno-daemon"},
        {"cidr_v4": "10.0.0.0/24,1.2.3.4"},
        {"cidr_v4": "fd00::/64"},
        {"cidr_v6": "fe80::%x\nport=0/64"},
        {"gateway_v4": "10.9.0.1"},
        {"gateway_v6": "fe80::1%eth0\nport=0"},
        {"ranges": (Range(name="d", first="10.1.0.1", last="10.1.0.2", use="discovery"),)},
    ],
)
def test_an_unsound_network_is_left_out_and_told(fields):
    """So that no text of it gets into a file."""
    base = {"name": "prov", "purpose": "provisioning", "cidr_v4": "10.0.0.0/24"}
    found = wanted([Network(**{**base, **fields})], [])
    assert found.networks == ()
    assert "is left out" in found.problems[0]


def test_an_ipv6_network_too_wide_for_a_server_is_left_out_of_dhcp_alone():
    """It would be refused, and with it every change for all networks; its names stay."""
    wide = replace(NET, name="wide", cidr_v4="10.1.0.0/24", cidr_v6="fd00:1::/48", ranges=())
    held = GOOD._replace(network="wide", address="10.1.0.20")
    found = wanted([NET, wide], [held])
    assert found.served() == {"prov"}
    assert found.problems == (
        "network 'wide' is left out of DHCP: fd00:1::/48 is wider than /64, the widest that dnsmasq serves",
    )
    assert found.zones == (NET, wide)
    assert [it.address for it in found.hosts["n1"].held] == ["10.1.0.20"]
    storage = replace(wide, purpose="storage")
    assert wanted([NET, storage], []).problems == ()
    assert wanted([NET, storage], [], ["prov", "wide"]).served() == {"prov"}


def test_provisioning_networks_are_served_unless_others_are_named():
    """A name that nothing has is told."""
    bmc = Network(name="bmc", purpose="bmc", cidr_v4="10.1.0.0/24")
    assert wanted([NET, bmc], []).served() == {"prov"}
    found = wanted([NET, bmc], [], ["bmc", "gone"])
    assert found.served() == {"bmc"}
    assert found.problems == ("network 'gone' is not declared",)


def test_ranges_know_their_size_and_what_is_leased_of_them():
    """Both ends belong to a range."""
    leases = [Lease(address, MAC, None) for address in ("10.0.0.10", "10.0.0.13", "10.0.0.14")]
    assert size_of(POOL) == 4
    assert leases_in(POOL, [*leases, Lease("fd00::1", "00:01", None)]) == 2
    assert discovery(NET, 4) == [POOL]
    assert discovery(NET, 6) == []


def test_an_address_leads_to_its_network():
    """Of either family; a strange one leads nowhere."""
    assert network_at([NET], "fd00::9") is network_at([NET], "10.0.0.9") is NET
    assert network_at([NET], "192.0.2.1") is None
    assert network_at([NET], "10.0.0.999") is None


def test_exhaustion_names_network_and_figures():
    """Or says that there is no range at all."""
    note = exhausted(NET, 4, [POOL], 4, MAC)
    assert "network prov" in note.message
    assert "4 of the 4" in note.message
    assert "no discovery range" in exhausted(NET, 6, [], 0, MAC).message
    assert unserved("10.9.0.1").key != unserved("10.8.0.1").key
    assert "keeps 7" in full(7, MAC).message


def test_a_planner_looks_anew_only_at_nodes_that_changed():
    """The others keep their very objects; a changed network makes it look at all."""
    plan = Planner()
    other = GOOD._replace(node="n2", mac="52:54:00:00:00:02", address="10.0.0.21", fqdn=None)
    first = plan([NET], [GOOD, other])
    second = plan([NET], [GOOD, other._replace(environment="local")])
    assert second.hosts["n1"] is first.hosts["n1"]
    assert second.hosts["n2"].environment == "local"
    third = plan([replace(NET, domain="other.net")], [GOOD, other])
    assert third.hosts["n2"].held[0].name == "n2.other.net"
    assert plan([NET], [other]) == wanted([NET], [other])
    bad = GOOD._replace(mac="x")
    assert plan([NET], [bad]).problems == plan([NET], [bad]).problems != ()
