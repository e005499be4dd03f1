"""Addresses and names of nodes: given when NICs are recorded, kept, and given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.conductor.declare import declare
from racksalt.conductor.handle import handle
from racksalt.model.conduit import Alternative, Bond, Conduit
from racksalt.model.node import Address, Nic
from racksalt.model.place import Network, Rack, Range, Zone
from racksalt.site.schema import Declarations, NodeDeclaration, Policy
from tests.support.builders import NOW, a_node, an_event, the_rules

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"


def a_network(name="p1", count=3, **fields):
    """Return zone z1's provisioning network with ``count`` addresses of each family for nodes."""
    six = f"fd00::{9 + count:x}"
    given = {
        "purpose": "provisioning",
        "zone": "z1",
        "domain": "z1.example.net",
        "cidr_v4": "10.0.0.0/24",
        "cidr_v6": "fd00::/64",
        "ranges": (
            Range(name="a", first="10.0.0.10", last=f"10.0.0.{9 + count}", use="reservations"),
            Range(name="b", first="fd00::a", last=six, use="reservations"),
        ),
    }
    return Network(name=name, **{**given, **fields})


STORAGE = Network(
    name="storage",
    purpose="storage",
    vlan=30,
    conduit="fast",
    cidr_v4="10.3.0.0/24",
    ranges=(Range(name="a", first="10.3.0.10", last="10.3.0.99", use="reservations"),),
)
FAST = Conduit(
    name="fast", alternatives=(Alternative(nics=("10g1", "10g2"), bond=Bond(mode="802.3ad")),)
)


def a_site(*nodes, networks=None, **fields):
    """Return declarations of two racks in two zones, of networks (else p1) and nodes."""
    declared = [
        NodeDeclaration(id=it, rack="r1", macs=(f"02:00:00:00:01:{n:02x}",))
        if isinstance(it, str)
        else it
        for n, it in enumerate(nodes)
    ]
    return Declarations(
        zones={"z1": Zone(name="z1"), "z2": Zone(name="z2")},
        racks={"r1": Rack(name="r1", zone="z1"), "r2": Rack(name="r2", zone="z2")},
        networks={it.name: it for it in networks or [a_network()]},
        nodes={it.id: it for it in declared},
        policy=Policy(approve="manifest"),
        **fields,
    )


def has(store, node="n1"):
    """Return what a node has: (network, address) in order."""
    rows = store.parts(Address, node)
    return sorted((row.network, row.address) for row in rows)


def happen(store, *events, site=None):
    """Handle events in one transaction."""
    rules = the_rules(site=site or Declarations())
    with store.write() as tx:
        return handle(tx, events, rules, NOW)


def inventory(node="n1", **speeds):
    """Return the event of an inventory with NICs of these speeds, by name; the first boots."""
    nics = [
        {"name": name, "mac": f"02:00:00:00:00:{n:02x}", "speed_mbps": mbps, "pxe": n == 1}
        for n, (name, mbps) in enumerate(speeds.items(), 1)
    ]
    return an_event("inventory_reported", node, inventory={"serial": f"S-{node}", "nics": nics})


def a_found_node(store, name="n1", **fields):
    """Put a discovered node into the store that nobody declared."""
    given = {"zone": "z1", "rack": "r1", "approved": True, **fields}
    with store.write() as tx:
        tx.add_nodes([a_node(name, "commissioning", **given)])


def test_a_declared_mac_gets_an_address_and_a_name(store):
    """In the same transaction, of both families, on the NIC that boots."""
    changes = declare(store, a_site("n1"), NOW)
    assert has(store) == [("p1", "10.0.0.10"), ("p1", "fd00::a")]
    assert {row.nic for row in store.parts(Address, "n1")} == {"n1/02:00:00:00:01:00"}
    assert store.node("n1").fqdn == "n1.z1.example.net"
    assert changes["nodes"]["n1"]["addresses"] == "has 10.0.0.10 on p1, fd00::a on p1"
    assert store.history("n1")[0].detail["addresses"]


def test_a_second_time_changes_nothing(store):
    """Neither an address nor the journal."""
    site = a_site("n1", "n2")
    declare(store, site, NOW)
    before = has(store), has(store, "n2"), store.head()
    assert declare(store, site, NOW) == {}
    assert (has(store), has(store, "n2"), store.head()) == before


def test_a_trial_gives_nothing_away(store):
    """It tells the addresses, and the next who asks gets them."""
    told = declare(store, a_site("n1"), NOW, test=True)
    assert store.count("addresses") == 0
    assert declare(store, a_site("n1"), NOW) == told


def test_discovered_hardware_gets_its_address_by_inventory(store):
    """With the NICs that it has, and a journal entry that says so."""
    declare(store, a_site(), NOW)
    a_found_node(store)
    happen(store, inventory(eno1=1000, eno2=1000))
    assert has(store) == [("p1", "10.0.0.10"), ("p1", "fd00::a")]
    assert {row.nic for row in store.parts(Address, "n1")} == {f"n1/{MAC}"}
    assert store.node("n1").fqdn == "n1.z1.example.net"
    (entry,) = [it for it in store.journal() if it.event == "addresses_settled"]
    assert entry.message == "has 10.0.0.10 on p1, fd00::a on p1"


def test_an_address_outlives_its_nic(store):
    """Another NIC that boots has the same address."""
    declare(store, a_site(), NOW)
    a_found_node(store)
    happen(store, inventory(eno1=1000))
    swapped = inventory(eno1=1000)
    swapped.data["inventory"]["nics"][0]["mac"] = OTHER
    happen(store, swapped)
    assert has(store) == [("p1", "10.0.0.10"), ("p1", "fd00::a")]
    assert {row.nic for row in store.parts(Address, "n1")} == {f"n1/{OTHER}"}


def test_an_inventory_without_nics_costs_no_address(store):
    """What a broken image leaves out is no reason to lose a node."""
    declare(store, a_site(), NOW)
    a_found_node(store)
    happen(store, inventory(eno1=1000))
    before = store.parts(Address, "n1")
    happen(store, inventory())
    assert store.parts(Address, "n1") == before


def test_a_stranger_gets_no_address_before_it_is_let_in(store):
    """It lives from the discovery pool; with the approval it gets what its NICs ask for."""
    declare(store, a_site(networks=[a_network(zone=None)]), NOW)
    with store.write() as tx:
        tx.add_nodes([a_node("s1", "discovering", approved=False)])
        tx.put([Nic(id=f"s1/{MAC}", node="s1", name="pxe", mac=MAC, pxe=True)])
    happen(store, inventory("s1", eno1=1000))
    assert has(store, "s1") == []
    happen(store, an_event("approve", "s1", "operator"))
    assert has(store, "s1") == [("p1", "10.0.0.10"), ("p1", "fd00::a")]


@pytest.mark.parametrize(("state", "event"), [("declared", "retire"), ("problem", "forget")])
def test_a_retired_node_gives_its_addresses_back(store, state, event):
    """And the next node gets them; if it comes back, it gets others."""
    declare(store, a_site(), NOW)
    a_found_node(store)
    happen(store, inventory(eno1=1000))
    with store.write() as tx:
        node = store.node("n1")
        tx.change(tx_nodes(), {"id": "n1"}, state=state, version=node.version + 1)
    happen(store, an_event(event, "n1", "operator"))
    assert (store.node("n1").state, has(store)) == ("retired", [])
    assert "gave back 10.0.0.10 on p1" in store.history("n1")[0].message
    happen(store, an_event("commission", "n1", "operator"))
    assert has(store) == [("p1", "10.0.0.10"), ("p1", "fd00::a")]


def tx_nodes():
    """Return the table of nodes."""
    from racksalt.store.tables import nodes

    return nodes


def test_a_full_range_is_told_and_loses_no_node(store):
    """The node is recorded and goes on; the journal says which range is full and what to do."""
    declare(store, a_site("n1", "n2", networks=[a_network(count=1)]), NOW)
    assert (has(store, "n2"), store.node("n2").state) == ([], "declared")
    assert "no IPv4 address is left in the reservations of p1: widen" in str(
        store.history("n2")[0].detail
    )
    a_found_node(store, "n3")
    (outcome,) = happen(store, inventory("n3", eno1=1000))
    assert outcome.error is None
    assert store.parts(Nic, "n3")
    assert "no IPv6 address is left" in store.history("n3")[0].message


def test_a_wider_range_is_given_out_at_the_next_declaration(store):
    """Those who went without get theirs, also nodes that the files do not name."""
    declare(store, a_site(networks=[a_network(count=1)]), NOW)
    for name in ("n1", "n2"):
        a_found_node(store, name)
        event = inventory(name, eno1=1000)
        event.data["inventory"]["nics"][0]["mac"] = f"02:00:00:00:09:0{name[1]}"
        happen(store, event)
    assert has(store, "n2") == []
    declare(store, a_site(networks=[a_network(count=2)]), NOW)
    assert has(store, "n2") == [("p1", "10.0.0.11"), ("p1", "fd00::b")]


def test_a_declared_address_wins_over_whoever_has_it(store):
    """The other node gets another one, and both are told."""
    declare(store, a_site("n1"), NOW)
    fixed = NodeDeclaration(
        id="n2", rack="r1", macs=(MAC,), addresses={"p1": ("10.0.0.10", "fd00::99")}
    )
    site = a_site("n1", fixed, claims={"10.0.0.10": "n2", "fd00::99": "n2"})
    declare(store, site, NOW)
    assert has(store, "n2") == [("p1", "10.0.0.10"), ("p1", "fd00::99")]
    assert has(store) == [("p1", "10.0.0.11"), ("p1", "fd00::a")]
    assert "10.0.0.11" in store.history("n1")[0].detail["addresses"]
    assert declare(store, site, NOW) == {}


def test_a_declared_address_is_nobody_elses(store):
    """Not even before its own node is there."""
    site = a_site("n1", claims={"10.0.0.10": "n9"})
    declare(store, site, NOW)
    assert has(store)[0] == ("p1", "10.0.0.11")


def test_a_declaration_that_is_not_taken_in_yet_stops_nothing(store):
    """An inventory meanwhile leaves the address with who has it."""
    declare(store, a_site("n1"), NOW)
    fixed = NodeDeclaration(id="n2", rack="r1", macs=(MAC,), addresses={"p1": ("10.0.0.10",)})
    a_found_node(store, "n2")
    happen(store, inventory("n2", eno1=1000), site=a_site("n1", fixed, claims={"10.0.0.10": "n2"}))
    assert has(store)[0] == ("p1", "10.0.0.10")
    assert has(store, "n2")[0] == ("p1", "10.0.0.11")


def test_a_node_that_moves_gets_addresses_where_it_stands(store):
    """Those of the zone that it left are free again."""
    second = Network(
        name="p2",
        purpose="provisioning",
        zone="z2",
        cidr_v4="10.2.0.0/24",
        ranges=(Range(name="a", first="10.2.0.10", last="10.2.0.19", use="reservations"),),
    )
    site = a_site("n1", networks=[a_network(), second])
    declare(store, site, NOW)
    moved = NodeDeclaration(id="n1", rack="r2", macs=("02:00:00:00:01:00",))
    declare(store, a_site(moved, networks=[a_network(), second]), NOW)
    assert has(store) == [("p2", "10.2.0.10")]


def test_a_network_on_a_conduit_gives_an_address_to_who_fits(store):
    """Known by inventory; a bond holds it, so no NIC does. A NIC that fails later costs no address."""
    site = a_site(networks=[a_network(), STORAGE], conduits={"fast": FAST})
    declare(store, site, NOW)
    for name in ("n1", "n2"):
        a_found_node(store, name)
    happen(store, inventory(eno1=1000, ens1=10_000, ens2=10_000), site=site)
    happen(store, inventory("n2", eno9=1000), site=site)
    (row,) = [it for it in store.parts(Address, "n1") if it.network == "storage"]
    assert (row.address, row.nic) == ("10.3.0.10", None)
    assert "storage" not in dict(has(store, "n2"))
    happen(store, inventory(eno1=1000, ens1=10_000), site=site)
    assert ("storage", "10.3.0.10") in has(store)


def test_a_renamed_network_keeps_its_nodes_addresses(store):
    """The old name goes, for its addresses are the new one's."""
    declare(store, a_site("n1", "n2"), NOW)
    changes = declare(store, a_site("n1", "n2", networks=[a_network("prov", count=9)]), NOW)
    assert changes["gone_networks"] == ["p1"]
    assert [it.name for it in store.all_of(Network)] == ["prov"]
    assert has(store, "n2") == [("prov", "10.0.0.11"), ("prov", "fd00::b")]


def test_a_renamed_network_takes_along_who_is_not_let_in_and_no_longer_declared(store):
    """No address stays on a network that is gone, whoever has it: whoever reads the store may rely on that."""
    by_hand = Policy(approve="hand")
    declare(store, replace(a_site("n1", "n9"), policy=by_hand), NOW)
    before = has(store, "n9")
    changes = declare(
        store, replace(a_site("n1", networks=[a_network("prov")]), policy=by_hand), NOW
    )
    assert (len(before), store.node("n9").approved) == (2, False)
    assert has(store, "n9") == [("prov", address) for _, address in before]
    assert "on prov" in changes["nodes"]["n9"]["addresses"]


def test_an_address_on_a_network_that_went_earlier_finds_its_place(store):
    """With the next change of a network: a store that has such a row heals."""
    declare(store, a_site("n1"), NOW)
    with store.write() as tx:
        tx.add_nodes([a_node("n9", "declared", rack="r1", zone="z1", approved=False)])
        lost = {"nic": None, "network": "gone", "address": "10.0.0.12", "family": 4}
        tx.put([Address(id="gone/10.0.0.12", node="n9", **lost)])
    declare(store, a_site("n1", networks=[a_network(count=9)]), NOW)
    assert {network for network, _ in has(store, "n9")} <= {"p1"}


def test_a_network_that_somebody_else_manages_is_left_alone(store):
    """Without a range of reservations nothing is given out."""
    declare(store, a_site("n1", networks=[a_network(ranges=())]), NOW)
    assert (has(store), store.node("n1").fqdn) == ([], "n1.z1.example.net")
