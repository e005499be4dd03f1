from __future__ import annotations

from racksalt.model.place import Network, Rack
from racksalt.model.switch import Switch, SwitchPort
from racksalt.network.switches import (
    Occupant,
    PortState,
    misplugged,
    provisioning,
    wanted,
)

RACKS = {"r1": Rack(name="r1", zone="z1"), "r2": Rack(name="r2", zone="z2")}
NETWORKS = {
    name: Network(name=name, purpose=purpose, zone=zone, vlan=vlan)
    for name, purpose, zone, vlan in (
        ("prov-z1", "provisioning", "z1", 110),
        ("prov-z2", "provisioning", "z2", 210),
        ("storage", "storage", "z1", 120),
        ("public", "public", None, 30),
        ("bmc", "bmc", None, 99),
        ("flat", "admin", None, None),
    )
}
NODES = [
    Occupant(node="n1", rack="r1", first_u=4, last_u=5, networks=frozenset({"prov-z1", "storage"})),
    Occupant(node="n2", rack="r2", first_u=5, last_u=5, networks=frozenset({"public", "flat"})),
]


def state_of(**port) -> PortState:
    """Return what is wanted of one port of a switch in rack r1."""
    name = port.setdefault("name", "swp1")
    switch = Switch(name="tor", rack="r1", ports={name: SwitchPort(**port)})
    return wanted(switch, NETWORKS, RACKS, NODES)[name].state


def test_a_port_at_a_node_carries_what_the_node_has():
    """The provisioning network of the rack has no tag, the node's other networks have theirs."""
    assert state_of(position_u=5) == PortState(
        name="swp1", untagged=110, tagged=(120,), edge=True, med="untagged", description="n1"
    )


def test_a_port_at_an_empty_place_lets_a_new_machine_boot():
    """Where nothing stands yet there is the provisioning network alone."""
    found = state_of(position_u=9)
    assert (found.untagged, found.tagged, found.description) == (110, (), "r1 U9")


def test_a_port_may_lead_to_another_rack():
    """A switch at the end of a row has ports at other racks, which have networks of their own."""
    found = state_of(position_u=5, rack="r2")
    assert (found.untagged, found.tagged, found.description) == (210, (30,), "n2")


def test_declared_networks_are_those_and_no_others():
    """With ``networks`` the provisioning one of them is untagged; what the node has does not count."""
    found = state_of(position_u=5, networks=("public", "prov-z1"))
    assert (found.untagged, found.tagged) == (110, (30,))


def test_one_declared_network_needs_no_tag():
    """A port with one network, such as a BMC's, carries it untagged."""
    found = state_of(networks=("bmc",))
    assert (found.untagged, found.tagged, found.med) == (99, (), "untagged")


def test_several_networks_without_a_provisioning_one_are_all_tagged():
    """An uplink has no VLAN of its own."""
    found = state_of(networks=("public", "storage"), edge=False)
    assert (found.untagged, found.tagged, found.edge, found.med) == (None, (30, 120), False, "")


def test_the_untagged_network_can_be_named():
    """``untagged`` wins over the provisioning network."""
    found = state_of(networks=("prov-z1", "public"), untagged="public", lldp_med=False)
    assert (found.untagged, found.tagged, found.med) == (30, (110,), "")


def test_a_racks_own_provisioning_network_wins_over_its_zones():
    """The nearest provisioning network is taken; one without a VLAN is none."""
    assert provisioning(RACKS["r1"], NETWORKS) == "prov-z1"
    far = {"prov": Network(name="prov", purpose="provisioning", vlan=7)}
    assert provisioning(RACKS["r1"], far) == "prov"
    assert provisioning(RACKS["r1"], {"p": Network(name="p", purpose="provisioning")}) is None


def test_descriptions_fit_every_switch():
    """What a switch cuts off would be drift for ever: a long node id is cut before."""
    long = Occupant(node="n" * 200, rack="r1", first_u=1, last_u=1)
    switch = Switch(name="tor", rack="r1", ports={"swp1": SwitchPort(name="swp1", position_u=1)})
    found = wanted(switch, NETWORKS, RACKS, [long])["swp1"].state
    assert found.description == "n" * 64


def test_a_cable_in_the_wrong_port_is_seen():
    """Another known node's name behind a port is told; the right one, a stranger's and silence are not."""
    names = ("swp1", "swp2", "swp3", "swp4")
    switch = Switch(
        name="tor", rack="r1", ports={n: SwitchPort(name=n, position_u=4) for n in names}
    )
    seen = {"swp1": "n2.example.net", "swp2": "N1.example.net", "swp3": "02:00:00:00:00:01"}
    assert misplugged(switch, RACKS, NODES, seen) == [
        {"port": "swp1", "declared": "n1", "sees": "n2"}
    ]
