"""The network configuration of a node, on mixed hardware."""

from __future__ import annotations

from racksalt.model.conduit import Alternative, Bond, Conduit
from racksalt.model.node import Address, Nic
from racksalt.model.place import Network
from racksalt.network.conduits import node_network, resolve

LACP = Bond(mode="802.3ad")
FAST = Conduit(
    name="fast",
    alternatives=(
        Alternative(nics=("10g1", "10g2"), bond=LACP),
        Alternative(nics=("1g1", "1g2"), bond=Bond()),
        Alternative(nics=("any1",)),
    ),
)
ONLY_FAST = Conduit(name="only-fast", alternatives=FAST.alternatives[:1])
PROV = Network(
    name="prov",
    purpose="provisioning",
    vlan=110,
    domain="z1.example.net",
    cidr_v4="10.1.0.0/22",
    gateway_v4="10.1.3.254",
    cidr_v6="fd01::/64",
)
STORE = Network(
    name="store", purpose="storage", vlan=300, mtu=9000, conduit="fast", cidr_v4="10.3.0.0/24"
)
BMC = Network(name="bmc", purpose="bmc", cidr_v4="10.9.0.0/24")


def nics(*speeds, boots=0):
    """Return NICs of these speeds in Mbit/s, one of which boots."""
    return [
        Nic(id=f"n1/{n}", node="n1", name=f"eno{n}", mac=f"02:00:00:00:00:0{n}", speed_mbps=speed, pxe=n == boots)
        for n, speed in enumerate(speeds)
    ]  # fmt: skip


def held(network, text, nic=None):
    """Return an address that the node keeps."""
    family = 6 if ":" in text else 4
    return Address(
        id=f"{network}/{text}", node="n1", nic=nic, network=network, address=text, family=family
    )


BOOT = [held("prov", "10.1.0.5", "n1/0"), held("prov", "fd01::5", "n1/0")]


def planned(ports, networks, addresses=BOOT, conduits=(FAST, ONLY_FAST), dns=None):
    """Return the interfaces by name, and all of the plan."""
    plan = node_network(ports, networks, {it.name: it for it in conduits}, addresses, dns)
    return {it["name"]: it for it in plan["interfaces"]}, plan


def test_the_provisioning_network_is_on_the_nic_that_boots():
    """Untagged, with both addresses, the router, and the domain to search."""
    found, plan = planned(nics(1000, 1000), [PROV, BMC])
    assert found == {
        "eno0": {
            "name": "eno0",
            "kind": "nic",
            "mac": "02:00:00:00:00:00",
            "mtu": 1500,
            "network_mtu": 1500,
            "networks": ["prov"],
            "addresses": ["10.1.0.5/22", "fd01::5/64"],
            "routes": [{"gateway": "10.1.3.254", "metric": 300}],
            "accept_ra": True,
        }
    }
    assert plan["dns"] == {"servers": [], "search": ["z1.example.net"]}
    assert plan["problems"] == []


def test_a_vlan_on_a_bond_takes_the_nic_that_boots_along():
    """The provisioning network goes on over the bond, which has the booting NIC's MAC; all below take large frames."""
    found, plan = planned(nics(10_000, 10_000), [STORE, PROV], [*BOOT, held("store", "10.3.0.7")])
    assert list(found) == ["eno0", "eno1", "fast", "vlan300"]
    assert found["fast"]["members"] == ["eno0", "eno1"]
    assert found["fast"]["bond"]["mode"] == "802.3ad"
    assert found["fast"]["mac"] == "02:00:00:00:00:00"
    assert found["fast"]["addresses"] == ["10.1.0.5/22", "fd01::5/64"]
    assert (found["vlan300"]["on"], found["vlan300"]["vlan"]) == ("fast", 300)
    assert found["vlan300"]["addresses"] == ["10.3.0.7/24"]
    assert [it["mtu"] for it in found.values()] == [9000] * 4
    assert (found["fast"]["network_mtu"], found["vlan300"]["network_mtu"]) == (1500, 9000)
    assert plan["problems"] == []


def test_one_conduit_fits_mixed_hardware():
    """The first alternative that fits is taken, on each machine its own."""
    addresses = [*BOOT, held("store", "10.3.0.7")]
    slow, _ = planned(nics(1000, 1000), [PROV, STORE], addresses)
    assert slow["fast"]["bond"]["mode"] == "active-backup"
    lone, _ = planned(nics(None), [PROV, STORE], addresses)
    assert (lone["vlan300"]["on"], list(lone)) == ("eno0", ["eno0", "vlan300"])


def test_a_conduit_that_does_not_fit_says_why_and_stops_nothing_else():
    """The node comes up with what it can have."""
    network = Network(name="s", vlan=5, conduit="only-fast", cidr_v4="10.3.0.0/24")
    found, plan = planned(nics(1000), [PROV, network])
    assert list(found) == ["eno0"]
    assert plan["problems"] == ["conduit only-fast: 10g1: no NIC fits (eno0 1g)"]
    chosen = resolve(FAST, nics(1000, 1000))
    assert chosen.why == ("10g1: no NIC fits (eno0 1g, eno1 1g)",)


def test_a_bridge_is_put_on_top_and_has_the_address():
    """On a VLAN or on the conduit itself."""
    tagged = Network(name="s", vlan=5, conduit="fast", bridge="br5", cidr_v4="10.3.0.0/24")
    plain = Network(name="t", conduit="fast", bridge="br0", cidr_v4="10.4.0.0/24")
    addresses = [held("s", "10.3.0.7"), held("t", "10.4.0.7")]
    found, _ = planned(nics(1000), [tagged, plain], addresses)
    assert (found["br5"]["on"], found["vlan5"]["on"], found["br0"]["on"]) == (
        "vlan5",
        "eno0",
        "eno0",
    )
    assert found["br5"]["addresses"] == ["10.3.0.7/24"]
    assert found["vlan5"]["addresses"] == []


def test_two_networks_do_not_share_a_bridge():
    """The second is told and left out, whole: its addresses belong to another layer 2."""
    networks = [
        Network(name=name, vlan=vlan, conduit="fast", bridge="br0", cidr_v4=f"10.{vlan}.0.0/24")
        for name, vlan in (("s", 5), ("t", 6))
    ]
    addresses = [held("s", "10.5.0.7"), held("t", "10.6.0.7")]
    found, plan = planned(nics(1000), networks, addresses)
    assert (found["br0"]["on"], found["br0"]["networks"]) == ("vlan5", ["s"])
    assert "vlan6" not in found
    assert plan["problems"] == [
        "network t: another bridge on vlan5 has the name br0 of its bridge",
    ]


def test_one_vlan_on_two_carriers_is_told():
    """An interface is on one thing below it."""
    first, second = (
        Conduit(name=name, alternatives=(Alternative(nics=(nic,)),))
        for name, nic in (("a", "any1"), ("b", "any2"))
    )
    networks = [Network(name=it, vlan=5, conduit=it) for it in ("a", "b")]
    found, plan = planned(nics(1000, 1000), networks, [], (first, second))
    assert (found["vlan5"]["on"], found["vlan5"]["networks"]) == ("eno0", ["a"])
    assert plan["problems"] == ["network b: another vlan on eno0 has the name vlan5 of its vlan"]


def test_a_bridge_named_like_a_nic_leaves_that_nic_as_it_is():
    """Also one that no network needed so far; a node that cannot have its provisioning network asks by DHCP."""
    bridged = Network(name="s", conduit="fast", bridge="eno1", cidr_v4="10.3.0.0/24")
    found, plan = planned(nics(1000, None), [PROV, bridged], [*BOOT, held("s", "10.3.0.7")])
    assert found["eno0"]["networks"] == ["prov"]
    assert "eno1" not in found or found["eno1"]["networks"] == []
    assert plan["problems"] == ["network s: a NIC has the name eno1 of its bridge"]
    boots = Network(
        name="prov", purpose="provisioning", conduit="any", bridge="eno0", cidr_v4="10.1.0.0/22"
    )
    lone = Conduit(name="any", alternatives=(Alternative(nics=("any1",)),))
    tagged = Network(name="t", vlan=7, conduit="any", cidr_v4="10.7.0.0/24")
    found, _ = planned(nics(1000), [boots, tagged], [held("t", "10.7.0.7")], [lone])
    assert found["vlan7"]["addresses"] == ["10.7.0.7/24"]
    assert (found["eno0"]["kind"], found["eno0"]["dhcp"]) == ("nic", True)


def test_a_bond_named_like_a_nic_is_told_and_left_out():
    """A conduit's name is free, a NIC's is its maker's."""
    clash = Conduit(name="eno1", alternatives=FAST.alternatives)
    network = Network(name="s", vlan=5, conduit="eno1", cidr_v4="10.3.0.0/24")
    found, plan = planned(nics(10_000, 10_000), [PROV, network], conduits=[clash])
    assert {it["kind"] for it in found.values()} == {"nic"}
    assert found["eno0"]["networks"] == ["prov"]
    assert plan["problems"] == ["conduit eno1: a NIC has the name eno1 of its bond"]


def test_two_bonds_do_not_share_a_nic():
    """The second is told and left out; the same bond under two names is one."""
    other = Conduit(name="other", alternatives=(Alternative(nics=("10g2", "10g3"), bond=LACP),))
    again = Conduit(name="again", alternatives=FAST.alternatives)
    networks = [
        STORE,
        Network(name="o", vlan=5, conduit="other"),
        Network(name="a", vlan=6, conduit="again"),
    ]
    found, plan = planned(nics(*[10_000] * 3), networks, [], (FAST, other, again))
    assert len([it for it in found.values() if it["kind"] == "bond"]) == 1
    assert found["vlan6"]["on"] == found["vlan300"]["on"]
    assert len(plan["problems"]) == 1
    assert "shares a NIC with the bond" in plan["problems"][0]


def test_a_node_without_any_network_asks_on_the_nic_that_boots():
    """An installed system must come up, even at a site that declares no network, or whose DHCP is its own."""
    found, _ = planned(nics(1000, 1000, boots=1), [], [])
    assert found["eno1"]["dhcp"]
    found, _ = planned(nics(1000), [PROV], [])
    assert (found["eno0"]["dhcp"], found["eno0"]["networks"]) == (True, ["prov"])
    assert node_network([], [PROV], {}, [])["interfaces"] == []


def test_names_that_the_kernel_may_change_are_replaced():
    """eth0 may be another NIC at the next boot; so may a name that two NICs have."""
    ports = [
        Nic(id=f"n1/{n}", node="n1", name=name, mac=f"02:00:00:00:00:0{n}", pxe=n == 0)
        for n, name in enumerate(["eth0", "a name with blanks"])
    ]
    both = Conduit(
        name="a-name-too-long-for-linux",
        alternatives=(Alternative(nics=("any1", "any2"), bond=LACP),),
    )
    networks = [Network(name="x", conduit=both.name, cidr_v4="10.0.0.0/24")]
    found, _ = planned(ports, networks, [], [both])
    assert {"nic0", "nic1"} <= set(found)
    assert all(len(name) <= 15 for name in found)


def test_the_public_router_is_the_default():
    """Where several networks have one, the lower metric is taken."""
    public = Network(
        name="public",
        purpose="public",
        vlan=400,
        conduit="fast",
        cidr_v4="198.51.100.0/24",
        gateway_v4="198.51.100.1",
        cidr_v6="2001:db8::/64",
        gateway_v6="fe80::1",
    )
    addresses = [*BOOT, held("public", "198.51.100.9"), held("public", "2001:db8::9")]
    found, _ = planned(nics(1000), [PROV, public], addresses)
    assert found["vlan400"]["routes"] == [
        {"gateway": "198.51.100.1", "metric": 100},
        {"gateway": "fe80::1", "metric": 100},
    ]
    assert "accept_ra" not in found["vlan400"]
    assert found["eno0"]["routes"][0]["metric"] == 300


def test_name_servers_come_from_the_layers():
    """And what they say to search comes after the node's own domain."""
    _, plan = planned(nics(1000), [PROV], dns={"servers": ["10.1.0.53"], "search": ["example.net"]})
    assert plan["dns"] == {"servers": ["10.1.0.53"], "search": ["z1.example.net", "example.net"]}
