"""The text of dnsmasq's files."""

from __future__ import annotations

import pytest

from racksalt.model.errors import SettingsError
from racksalt.model.place import Network, Range
from racksalt.model.reservation import Reservation
from racksalt.network.dhcp import wanted
from racksalt.network.dnsmasq import (
    Link,
    hexadecimal,
    host_lines,
    main_file,
    name_lines,
    option_lines,
)
from racksalt.settings import BootApi, Dhcp, ImageSettings, Settings

LINKS = (Link("eth1", ("10.0.0.1/24", "fd00::1/64")),)
MAC = "52:54:00:00:00:01"


def _network(**fields):
    base = {"name": "prov", "purpose": "provisioning", "cidr_v4": "10.0.0.0/24"}
    return Network(**{**base, **fields})


def _lines(*networks, links=LINKS, **dhcp):
    text = main_file(wanted(networks, []), Settings(dhcp=Dhcp(**dhcp)), links)
    return text.splitlines()


def test_each_network_has_its_pool_for_strangers_and_its_reservations():
    """Strangers get short leases, and nodes none from the pool."""
    pool = Range(name="d", first="10.0.0.128", last="10.0.0.175", use="discovery")
    other = _network(name="rack2", cidr_v4="10.0.2.0/23", gateway_v4="10.0.2.1", mtu=9000)
    lines = _lines(_network(ranges=(pool,)), other)
    assert "dhcp-range=set:net-prov,tag:!known,10.0.0.128,10.0.0.175,255.255.255.0,120" in lines
    assert "dhcp-range=set:net-prov,10.0.0.0,static,255.255.255.0,3600" in lines
    assert "dhcp-range=set:net-rack2,10.0.2.0,static,255.255.254.0,3600" in lines
    assert "dhcp-option=tag:net-rack2,option:router,10.0.2.1" in lines
    assert "dhcp-option=tag:net-rack2,option:mtu,9000" in lines


def test_a_network_without_a_router_is_given_none():
    """Else it would name itself otherwise."""
    assert "dhcp-option=tag:net-prov,option:router" in _lines(_network())


def test_we_are_an_ipv6_router_only_where_we_are_declared_one():
    """Advertisements still say that addresses come from DHCPv6."""
    assert "ra-param=eth1,mtu:1500,0,0" in _lines(_network(cidr_v6="fd00::/64"))
    own = _network(cidr_v6="fd00::/64", gateway_v6="fd00::1")
    assert "ra-param=eth1,mtu:1500,0,1800" in _lines(own)
    assert not any(line.startswith(("enable-ra", "ra-param")) for line in _lines(_network()))


def test_machines_are_booted_on_provisioning_networks_alone():
    """A BMC network gets addresses and no boot file."""
    bmc = _network(name="bmc", purpose="bmc", cidr_v4="10.1.0.0/24")
    lines = _lines(_network(), bmc, networks=("prov", "bmc"))
    assert "tag-if=set:boots,tag:net-prov" in lines
    assert "tag-if=set:boots,tag:net-bmc" not in lines
    boots = [line for line in lines if line.startswith("dhcp-boot=")]
    assert boots
    assert all("tag:boots" in line for line in boots)


def test_dns_forwards_only_what_it_is_told_to():
    """Names of our own zones go nowhere else."""
    lines = _lines(_network(domain="example.net"), forwarders=("192.0.2.53",))
    assert "no-resolv" in lines
    assert "server=192.0.2.53" in lines
    assert "local=/example.net/" in lines
    assert "local=/0.0.10.in-addr.arpa/" in lines


def test_without_dns_clients_are_given_the_forwarders():
    """Port 0 leaves the service out."""
    lines = _lines(_network(), dns_port=0, forwarders=("192.0.2.53",))
    assert "port=0" in lines
    assert "dhcp-option=tag:net-prov,option:dns-server,192.0.2.53" in lines
    assert not any(line.startswith(("local=", "server=", "hostsdir=")) for line in lines)


def test_no_file_ever_holds_a_token():
    """What a rogue client may get holds nothing that another could use."""
    assert "token" not in "\n".join(_lines(_network(cidr_v6="fd00::/64"))).lower()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(dhcp=Dhcp(interfaces=("eth0\nuser=root",))),
        Settings(dhcp=Dhcp(folder="/var/lib/x\nlog-queries")),
        Settings(dhcp=Dhcp(user="a,b")),
        Settings(dhcp=Dhcp(forwarders=("192.0.2.1\nport=1",))),
        Settings(boot_api=BootApi(url="http://x/,y")),
        Settings(boot_api=BootApi(images="http://x\ny")),
        Settings(images=ImageSettings(folder="/a\nb")),
    ],
)
def test_a_setting_cannot_write_lines_of_its_own(settings):
    """It is named, with its key."""
    with pytest.raises(SettingsError, match="cannot stand"):
        main_file(wanted([], []), settings, ())


@pytest.mark.parametrize("name", ["1001", "12h", "infinite", "ignore"])
def test_a_name_that_dnsmasq_takes_for_a_lease_time_is_none_of_the_line(name):
    """Else such a node would have that lease, or be served nothing; names are told in a file of their own."""
    rows = [Reservation(name, None, "live", MAC, "prov", "10.0.0.20", 4)]
    found = wanted([_network(domain="example.net")], rows)
    host = found.hosts[name]
    assert host_lines(host, found.served()) == [f"{MAC},set:n-{name},10.0.0.20"]
    assert f"10.0.0.20 {name}.example.net" in name_lines(host)


def test_a_node_has_a_line_for_each_nic_and_network():
    """Both families on one line; networks that are not served have none."""
    rows = [
        Reservation("n1", None, "live", MAC, "prov", "10.0.0.20", 4),
        Reservation("n1", None, "live", MAC, "prov", "fd00::20", 6),
        Reservation("n1", None, "live", None, "prov", "10.0.0.21", 4),
        Reservation("n1", None, "live", MAC, "storage", "10.5.0.20", 4),
    ]
    networks = [
        _network(cidr_v6="fd00::/64", domain="example.net"),
        Network(name="storage", purpose="storage", domain="st.net", cidr_v4="10.5.0.0/24"),
    ]
    found = wanted(networks, rows)
    host = found.hosts["n1"]
    assert host_lines(host, found.served()) == [f"{MAC},set:n-n1,10.0.0.20,[fd00::20],n1"]
    assert name_lines(host) == [
        "10.0.0.20 n1.example.net",
        "fd00::20 n1.example.net",
        "10.0.0.21 n1.example.net",
        "10.5.0.20 n1.st.net",
    ]


@pytest.mark.parametrize(("text", "written"), [("n1", "6e:31"), ("7", "37:"), ("é", "c3:a9")])
def test_values_of_private_options_are_bytes(text, written):
    """So that an id of digits is no number, and one of four numbers no address."""
    assert hexadecimal(text) == written


def test_a_node_is_given_its_id_and_its_environment():
    """In options 224 and 226."""
    found = wanted([_network()], [Reservation("n1", None, "live", MAC, "prov", "10.0.0.20", 4)])
    assert option_lines(found.hosts["n1"]) == [
        "tag:n-n1,224,6e:31",
        "tag:n-n1,226,6c:69:76:65",
    ]


def test_room_for_leases_grows_in_steps():
    """One more node seldom changes the main file, which would cost a restart."""
    big = Range(name="d", first="10.0.0.1", last="10.0.8.0", use="discovery")
    lines = _lines(_network(cidr_v4="10.0.0.0/16", ranges=(big,)))
    assert "dhcp-lease-max=2048" in lines
    assert "dhcp-lease-max=1024" in _lines(_network())


@pytest.mark.parametrize("last", ["fd00::2:0:0", "fd00::ffff:ffff:ffff:ffff"])
def test_room_for_leases_stays_a_number_that_dnsmasq_can_read(last):
    """It reads 32 bits: of a larger IPv6 range it would take 0, no room for anybody, IPv4 included."""
    big = Range(name="d", first="fd00::1:0:0", last=last, use="discovery")
    lines = _lines(_network(cidr_v6="fd00::/64", ranges=(big,)))
    assert "dhcp-lease-max=1048576" in lines
