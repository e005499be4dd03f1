"""The site's declarations in the store: taken once, followed, never taken away."""

from __future__ import annotations

import pytest

from racksalt.conductor.declare import declare
from racksalt.model.node import Bmc, Hardware, Nic
from racksalt.model.place import Network, Rack, Zone
from racksalt.site.schema import Declarations, NodeDeclaration, Policy
from tests.support.builders import NOW, a_bmc, a_node

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def a_site(*nodes, **more):
    """Return declarations of two zones and racks, and of these nodes."""
    return Declarations(
        zones={"z1": Zone(name="z1"), "z2": Zone(name="z2")},
        racks={"r1": Rack(name="r1", zone="z1"), "r2": Rack(name="r2", zone="z2")},
        networks={"admin": Network(name="admin", cidr_v4="10.0.0.0/24")},
        nodes={node.id: node for node in nodes},
        **more,
    )


def declared(name="n1", **fields):
    """Return the declaration of a node with serial, MACs and BMC."""
    given = {"rack": "r1", "position_u": 3, "serial": "S1", "macs": MACS, "bmc": a_bmc(name)}
    return NodeDeclaration(id=name, **{**given, **fields})


def test_what_is_declared_is_there(store):
    """Places, nodes and their parts, and a journal entry for each node."""
    changes = declare(store, a_site(declared()), NOW)
    node = store.node("n1")
    assert (node.state, node.rack, node.zone, node.position_u) == ("declared", "r1", "z1", 3)
    assert [nic.mac for nic in store.parts(Nic, "n1")] == list(MACS)
    assert store.parts(Hardware, "n1")[0].serial == "S1"
    assert store.parts(Bmc, "n1") == [a_bmc()]
    assert changes["zones"] == ["z1", "z2"]
    assert changes["nodes"]["n1"]["state"] == "declared"
    (entry,) = store.journal()
    assert (entry.kind, entry.event, entry.source) == ("noted", "declared", "site")


def test_a_second_time_changes_nothing(store):
    """Declaring is idempotent: no change, no entry."""
    declare(store, a_site(declared()), NOW)
    assert declare(store, a_site(declared()), NOW) == {}
    assert store.head() == 1


def test_a_trial_tells_and_changes_nothing(store):
    """``test`` gives the same answer and leaves the store as it was."""
    told = declare(store, a_site(declared()), NOW, test=True)
    assert (store.count("nodes"), store.count("zones"), store.head()) == (0, 0, 0)
    assert declare(store, a_site(declared()), NOW) == told
    moved = a_site(declared(rack="r2", bmc=a_bmc(port=5)))
    told = declare(store, moved, NOW, test=True)
    assert told == {"nodes": {"n1": {"zone": "z2", "rack": "r2", "bmc": "simulated 127.0.0.1:5"}}}
    assert store.node("n1").rack == "r1"


def test_changes_are_followed(store):
    """A node that is moved, or gets another BMC, is changed and noted."""
    declare(store, a_site(declared()), NOW)
    declare(store, a_site(declared(rack="r2", bmc=a_bmc(port=5), fqdn="n1.example.net")), NOW)
    node = store.node("n1")
    assert (node.rack, node.zone, node.fqdn, node.version) == ("r2", "z2", "n1.example.net", 2)
    assert store.parts(Bmc, "n1")[0].port == 5
    assert store.history("n1")[0].message == "declared: bmc, fqdn, rack, zone"


def test_a_corrected_mac_is_taken_while_the_node_was_not_seen(store):
    """A typing mistake in a MAC is mended by mending the file."""
    declare(store, a_site(declared(macs=MACS[:1])), NOW)
    assert declare(store, a_site(declared()), NOW) == {"nodes": {"n1": {"macs": [MACS[1]]}}}
    assert declare(store, a_site(declared()), NOW) == {}
    assert {nic.mac for nic in store.parts(Nic, "n1")} == set(MACS)


def test_what_inventory_found_is_not_declared_away(store):
    """The NICs of a node that was seen are those that it has."""
    declare(store, a_site(declared(macs=MACS[:1])), NOW)
    with store.write() as tx:
        tx.update_nodes([(a_node("n1", "ready", rack="r1", zone="z1", position_u=3, version=2), 1)])
    assert declare(store, a_site(declared()), NOW) == {}


def test_a_node_that_is_no_longer_declared_stays(store):
    """A mistake in a file must not lose a machine."""
    declare(store, a_site(declared("n1"), declared("n2", serial="S2", macs=())), NOW)
    assert declare(store, a_site(declared("n2", serial="S2", macs=())), NOW) == {}
    assert len(store.nodes()) == 2


def test_a_mac_that_another_node_has_is_left_with_it(store):
    """The same MAC in two declarations belongs to the first."""
    declare(store, a_site(declared("n1")), NOW)
    declare(store, a_site(declared("n1"), declared("n2", serial="S2")), NOW)
    assert store.parts(Nic, "n2") == []


@pytest.mark.parametrize(
    ("approve", "approved"), [("hand", False), ("manifest", True), ("auto", True)]
)
def test_the_policy_says_whether_a_declaration_approves(store, approve, approved):
    """By hand, a declared node waits for a person too."""
    policy = Policy(approve=approve, goal="ready")
    declare(store, a_site(declared(), policy=policy), NOW)
    assert (store.node("n1").approved, store.node("n1").goal) == (approved, "ready")


def test_an_empty_site_is_fine(store):
    """Nothing declared, nothing changed."""
    assert declare(store, Declarations(), NOW) == {}


def test_a_replaced_board_is_taken_from_the_files(store):
    """A new serial number in the files replaces the old board's, whose UUID would park the new one."""
    declare(store, a_site(declared(serial="OLD")), NOW)
    with store.write() as tx:
        uuid = "4c4c4544-0042-3510-8052-b4c04f4a4d32"
        tx.put([Hardware(node="n1", serial="OLD", system_uuid=uuid)])
    changes = declare(store, a_site(declared(serial="NEW")), NOW)
    assert changes["nodes"]["n1"] == {"serial": "NEW"}
    (found,) = store.parts(Hardware, "n1")
    assert (found.serial, found.system_uuid) == ("NEW", None)
    assert declare(store, a_site(declared(serial="NEW")), NOW) == {}


@pytest.mark.parametrize("spelt", ["ABC 123-X", "abc123x", "ABC123X "])
def test_another_spelling_of_a_serial_number_is_no_other_board(store, spelt):
    """What inventory found of the board stays: spaces, hyphens and case are of the label, not of the number."""
    declare(store, a_site(declared(serial=spelt)), NOW)
    found = Hardware(node="n1", serial="ABC123X", vendor="Acme", memory_mib=1024)
    with store.write() as tx:
        tx.put([found])
    assert declare(store, a_site(declared(serial=spelt)), NOW) == {}
    assert store.parts(Hardware, "n1") == [found]


def test_a_stranger_keeps_no_declared_mac(store):
    """What nobody approved cannot hold on to the MAC of a machine that the files declare."""
    with store.write() as tx:
        tx.add_nodes([a_node("ghost", "discovered", approved=False)])
        tx.put([Nic(id="ghost/x", node="ghost", name="pxe", mac=MACS[0], pxe=True)])
    declare(store, a_site(declared()), NOW)
    assert {nic.mac for nic in store.parts(Nic, "n1")} == set(MACS)
    assert store.parts(Nic, "ghost") == []
    assert store.node("ghost").parts_version == 2
