"""Where a node stands, as its switch port says: shown always, taken only for nodes let in that nobody placed."""

from __future__ import annotations

import pytest

from racksalt.conductor.handle import handle
from racksalt.conductor.placing import propose
from racksalt.model.hardware import PlaceProposal
from racksalt.model.node import Nic
from racksalt.model.place import Rack, Zone
from racksalt.model.switch import Switch, SwitchPort
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.store.tables import racks
from tests.support.builders import NOW, a_boot, a_node, an_event, the_rules

PORTS = {
    "Ethernet1/7": SwitchPort(name="Ethernet1/7", position_u=12),
    "Ethernet1/9": SwitchPort(name="Ethernet1/9", rack="r2", position_u=3),
}
SWITCHES = {"tor-r1": Switch(name="tor-r1", rack="r1", ports=PORTS)}


def nic(name="eth0", system="tor-r1", port="Ethernet1/7", **fields):
    """Return an interface that hears a switch."""
    mac = f"02:00:00:00:00:{name[-1]:0>2}"
    lldp = {"lldp_system": system, "lldp_port": port}
    return Nic(id=f"n1/{mac}", node="n1", name=name, mac=mac, **{**lldp, **fields})


@pytest.mark.parametrize("system", ["tor-r1", "TOR-R1", "tor-r1.dc.example.net"])
def test_a_port_tells_rack_and_position(system):
    """The switch is known by its name, however it spells it."""
    found = propose("n1", [nic(system=system)], SWITCHES, NOW)
    assert (found.rack, found.position_u, found.switch) == ("r1", 12, "tor-r1")
    assert (found.port, found.nic, found.obstacle) == ("Ethernet1/7", "eth0", "")


def test_a_port_may_lead_to_another_rack():
    """What the port says counts before what its switch says."""
    found = propose("n1", [nic(port="Ethernet1/9")], SWITCHES, NOW)
    assert (found.rack, found.position_u) == ("r2", 3)


def test_a_port_that_is_not_declared_tells_the_rack_of_its_switch():
    """Half an answer is one."""
    found = propose("n1", [nic(port="Ethernet1/30")], SWITCHES, NOW)
    assert (found.rack, found.position_u) == ("r1", None)


def test_a_declared_chassis_counts_more_than_a_name():
    """A name is easy to have twice."""
    switches = {
        "tor-r1": Switch(name="tor-r1", rack="r1", chassis="02:D0:00:00:00:01", ports=PORTS)
    }
    assert propose("n1", [nic()], switches, NOW) is None
    heard = nic(system="whatever", lldp_chassis="02:d0:00:00:00:01")
    assert propose("n1", [heard], switches, NOW).position_u == 12


@pytest.mark.parametrize("nics", [[], [nic(system=None)], [nic(system="core-1")], [nic(port=None)]])
def test_nothing_is_proposed_without_a_switch_of_the_site(nics):
    """Foreign neighbours place nobody."""
    assert propose("n1", nics, SWITCHES, NOW) is None


def test_interfaces_that_disagree_are_an_obstacle():
    """A wrong cable is told, not followed."""
    found = propose("n1", [nic(pxe=True), nic("eth1", port="Ethernet1/9")], SWITCHES, NOW)
    assert (found.rack, found.position_u) == ("r1", 12)
    assert found.obstacle == "eth0 says r1 U12, eth1 says r2 U3"


@pytest.fixture
def site(store):
    """A store with two racks, and the rules of a site with a switch."""
    with store.write() as tx:
        tx.put_places([Zone(name="z1")])
        tx.put_places([Rack(name="r1", zone="z1"), Rack(name="r2", zone="z1")])
    return store


LLDP = {"system": "tor-r1", "port": "Ethernet1/7"}
MAC = "02:00:00:00:00:01"


def report(store, node, lldp=LLDP, **declared):
    """Let a commissioning or discovering node report that it hears a switch; return the node and its notes."""
    site = Declarations(switches=SWITCHES, **declared)
    with store.write() as tx:
        if not tx.nodes([node.id]):
            tx.add_nodes([node])
            tx.put([a_boot(node.id)])
            tx.put([Nic(id=f"{node.id}/{MAC}", node=node.id, name="pxe", mac=MAC, pxe=True)])
    inventory = {"nics": [{"name": "eth0", "mac": MAC, "lldp": lldp, "pxe": True}]}
    with store.write() as tx:
        event = an_event("inventory_reported", node.id, inventory=inventory)
        handle(tx, [event], the_rules(site=site), NOW)
    notes = [entry.message for entry in store.history(node.id) if entry.event == "place_proposed"]
    return store.node(node.id), notes


def busy(name="n1", **fields):
    """Return a node in the live environment."""
    base = {"approved": True, "boot": 1, "boot_environment": "live", "deadline_at": NOW + 900}
    return a_node(name, fields.pop("state", "commissioning"), **{**base, **fields})


def test_a_node_that_nobody_placed_takes_the_proposed_place(site):
    """Zone, rack and position follow the cable, once, and the journal says why."""
    node, notes = report(site, busy())
    assert (node.zone, node.rack, node.position_u) == ("z1", "r1", 12)
    assert notes == ["eth0 is plugged into tor-r1 Ethernet1/7: placed in r1 U12"]
    assert report(site, node)[1] == notes  # the same again is no news


def test_a_stranger_is_only_told_where_it_seems_to_stand(site):
    """A place brings configuration with it: who sends LLDP must not choose it."""
    node, notes = report(site, busy(approved=False, state="discovering"))
    assert (node.state, node.rack, node.position_u) == ("discovered", None, None)
    assert notes == ["eth0 is plugged into tor-r1 Ethernet1/7: r1 U12 proposed"]
    (kept,) = site.parts(PlaceProposal, "n1")
    assert (kept.rack, kept.position_u, kept.obstacle) == ("r1", 12, "")


def test_a_node_that_somebody_placed_stays_there(site):
    """The cable that says otherwise is journalled."""
    node, notes = report(site, busy(rack="r2", zone="z1", position_u=5))
    assert (node.rack, node.position_u) == ("r2", 5)
    assert "r1 U12 proposed, while it is said to be in r2 U5" in notes[0]


def test_a_place_that_is_taken_is_not_taken_again(site):
    """Also not inside a taller machine."""
    with site.write() as tx:
        tx.add_nodes([a_node("tall", "ready", rack="r1", zone="z1", position_u=11)])
    tall = {"tall": NodeDeclaration(id="tall", rack="r1", position_u=11, height_u=4)}
    node, notes = report(site, busy(), nodes=tall)
    assert node.rack is None
    assert "U12 of r1 is tall's" in notes[0]


def test_a_rack_that_is_not_declared_is_no_place(site):
    """The store knows no such rack."""
    with site.write() as tx:
        tx.remove(racks, name="r1")
    node, notes = report(site, busy())
    assert node.rack is None
    assert "rack r1 is not declared" in notes[0]
