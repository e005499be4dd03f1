"""A machine that may not be the node it says is parked, and no stranger's word parks anybody else."""

from __future__ import annotations

import pytest

from racksalt.boot.identity import Known
from racksalt.conductor.handle import handle
from racksalt.conductor.twins import IMPOSTER, doubt
from racksalt.model.node import Hardware, Nic
from tests.support.builders import NOW, a_boot, a_node, a_view, an_event, the_rules

UUID, OTHER = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"


def reported(node="n1", **inventory):
    """Return the report of an inventory."""
    return an_event("inventory_reported", node, inventory={"nics": [], **inventory})


def stranger(node="n1", **fields):
    """Return a node in its first boot, which nobody let in."""
    return a_node(
        node, "discovering", boot=1, boot_environment="live", deadline_at=NOW + 900, **fields
    )


@pytest.mark.parametrize(
    ("inventory", "told"),
    [
        ({"serial": "SER1", "system_uuid": UUID}, ""),
        ({"serial": "ser-1 ", "system_uuid": UUID.upper()}, ""),
        ({"serial": "SER2", "system_uuid": UUID}, IMPOSTER),
        ({"serial": "SER1", "system_uuid": OTHER}, IMPOSTER),
        ({"serial": "Default string"}, ""),
        ({}, ""),
    ],
)
def test_what_is_on_record_decides_first(inventory, told):
    """Another serial number or UUID than the node's own is an imposter; how it is spelt does not matter."""
    view = a_view(stranger(), hardware=Hardware(node="n1", serial="SER1", system_uuid=UUID))
    assert doubt(view, reported(**inventory)) == told


@pytest.mark.parametrize(
    ("rival", "approved", "parked"),
    [
        (Known(node="n2", uuid=UUID, serial="SER1"), False, True),
        (Known(node="n2", uuid=UUID, serial="SER1"), True, True),
        (Known(node="n2", uuid=UUID, serial="SER2"), False, False),
        (Known(node="n2", uuid=UUID), False, True),
        (Known(node="n2", uuid=UUID), True, False),
        (Known(node="n2", uuid=OTHER, serial="SER1"), False, False),
    ],
)
def test_one_uuid_on_two_nodes_is_told_apart_by_the_serial_or_parked(rival, approved, parked):
    """The same UUID and serial are one machine under two names; without a serial a person must look, once."""
    node = stranger(approved=approved)
    view = a_view(node)
    view = type(view)(node=node, boots=(), hardware=None, now=NOW, rivals=(rival,))
    why = doubt(view, reported(serial="SER1", system_uuid=UUID))
    assert bool(why) is parked
    assert ("n2" in why) is parked


def test_a_node_whose_identity_was_settled_is_not_doubted_again():
    """A machine that turns up later with its marks is the one to be parked, not this node."""
    node = a_node("n1", "commissioning", approved=True)
    rival = Known(node="n2", uuid=UUID, serial="SER1")
    known = Hardware(node="n1", serial="SER1", system_uuid=UUID)
    view = type(a_view())(node=node, boots=(), hardware=known, now=NOW, rivals=(rival,))
    assert doubt(view, reported(serial="SER1", system_uuid=UUID)) == ""


@pytest.fixture
def racks(store):
    """A store with n1, let in and inventoried."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", "ready", approved=True)])
        tx.put([Hardware(node="n1", serial="SER1", system_uuid=UUID)])
        tx.put([Nic(id="n1/a", node="n1", name="eth0", mac="02:00:00:00:00:01")])
    return store


def arrive(store, node, **inventory):
    """Let a machine in its first boot report; return the node then."""
    with store.write() as tx:
        tx.add_nodes([node])
        tx.put([a_boot(node.id)])
    with store.write() as tx:
        handle(tx, [reported(node.id, **inventory)], the_rules(), NOW)
    return store.node(node.id)


def test_a_known_machine_by_an_unknown_nic_is_parked_with_the_name_it_has(racks):
    """It must not become a second node, and be installed anew."""
    found = arrive(racks, stranger("node-9"), serial="SER1", system_uuid=UUID.upper())
    assert found.state == "problem"
    assert "n1 has the same system UUID and serial number" in found.reason
    assert racks.node("n1").state == "ready"
    assert racks.parts(Hardware, "node-9") == []


def test_a_batch_of_boards_with_one_uuid_comes_in_by_its_serials(racks):
    """Makers print one UUID on a whole batch."""
    assert arrive(racks, stranger("node-9"), serial="SER9", system_uuid=UUID).state == "discovered"


def test_a_strangers_claim_keeps_no_declared_machine_out(racks):
    """Who reports the marks of a machine that is still to come parks only itself."""
    claimed = {"serial": "SER7", "system_uuid": OTHER}
    assert arrive(racks, stranger("node-9"), **claimed).state == "discovered"
    declared = stranger("n7", approved=True)
    assert arrive(racks, declared, **claimed).state == "commissioning"
    assert arrive(racks, stranger("node-8"), **claimed).state == "problem"


@pytest.mark.parametrize("uuid", [UUID.replace("1", "5"), UUID.replace("1", "5").upper()])
def test_twins_that_report_at_once_are_told_apart_as_well(racks, uuid):
    """Two reports of one batch: the second finds the first, though neither is written yet."""
    machines = [stranger("node-1"), stranger("node-2"), stranger("n7", approved=True)]
    with racks.write() as tx:
        tx.add_nodes(machines)
        tx.put([a_boot(node.id) for node in machines])
    told = [
        reported(node.id, serial="SER7", system_uuid=one)
        for node, one in zip(machines, (uuid, uuid.lower(), uuid), strict=True)
    ]
    with racks.write() as tx:
        found = {outcome.node.id: outcome.node for outcome in handle(tx, told, the_rules(), NOW)}
    assert found["node-1"].state == "discovered"
    assert found["node-2"].state == "problem"
    assert "node-1 has the same system UUID and serial number" in found["node-2"].reason
    assert found["n7"].state == "commissioning", "a stranger's word keeps no declared machine out"


def test_a_report_that_is_not_taken_in_makes_no_rival(racks):
    """A stale one of the same batch says nothing of anybody."""
    with racks.write() as tx:
        tx.add_nodes([stranger("node-1"), stranger("node-2")])
        tx.put([a_boot("node-1"), a_boot("node-2")])
    marks = {"serial": "SER7", "system_uuid": OTHER, "nics": []}
    stale = an_event("inventory_reported", "node-1", boot=0, inventory=marks)
    with racks.write() as tx:
        *_, last = handle(tx, [stale, reported("node-2", **marks)], the_rules(), NOW)
    assert last.node.state == "discovered"


def test_a_retired_machine_makes_room_for_its_next_life(racks):
    """What was retired is no rival of what comes back under another name."""
    with racks.write() as tx:
        tx.add_nodes([a_node("old", "retired", approved=True)])
        tx.put([Hardware(node="old", serial="SER5", system_uuid=OTHER)])
    assert arrive(racks, stranger("node-5"), serial="SER5", system_uuid=OTHER).state == "discovered"
