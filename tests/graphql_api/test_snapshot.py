from __future__ import annotations

from dataclasses import replace

import pytest

from graphql_api.snapshot.objects import timestamp
from graphql_api.snapshot.snapshot import Snapshot, UnknownPlaceError
from graphql_api.source import Rows
from racksalt.model.node import Address, Bmc, Hardware, Nic, Node
from racksalt.model.place import Network, Rack, Range, Zone

COMMANDS = {"ready": ["reinstall"]}
LOW = Range(name="low", first="10.0.0.1", last="10.0.0.2", use="reservations")
SIX = Range(name="six", first="fd00::1", last="fd00::ff", use="reservations")
PLACES = {
    "zones": [Zone(name="z2"), Zone(name="z1")],
    "racks": [Rack(name="r2", zone="z2"), Rack(name="r1", zone="z1", height_u=48)],
    "networks": [Network(name="admin", zone="z1", rack="r1", vlan=7, ranges=(LOW, SIX))],
}


def a_node(name, **fields):
    """Return a node row."""
    return Node(id=name, **{"state": "ready", "version": 1, "state_since": 1e9, **fields})


def parts(name, number=1):
    """Return the rows of a node's parts."""
    return {
        "nics": [Nic(id=f"{name}/0", node=name, name="eth0", mac=f"02:00:00:00:00:{number:02x}")],
        "addresses": [
            Address(
                id=f"{name}/a",
                node=name,
                nic=f"{name}/0",
                network="admin",
                address=f"10.0.0.{number}",
                family=4,
            )
        ],
        "hardware": [Hardware(node=name, serial=f"S{number}")],
        "bmcs": [
            Bmc(node=name, protocol="ipmi", address="10.9.9.9", port=623, username="u", secret="s")
        ],
    }


def a_snapshot(*nodes):
    """Return a snapshot of these nodes with their parts."""
    merged = {kind: [] for kind in ("nics", "addresses", "hardware", "bmcs")}
    for number, node in enumerate(nodes, 1):
        for kind, rows in parts(node.id, number).items():
            merged[kind] += rows
    return Snapshot(Rows(seq=7, nodes=nodes, **PLACES, **merged), COMMANDS)


def test_everything_is_linked_both_ways_and_in_order():
    """Zones, racks and nodes stand in order of name, whatever the order of the rows."""
    made = a_snapshot(a_node("n2", rack="r1"), a_node("n1", rack="r1"), a_node("n3", zone="z2"))
    assert list(made.zones) == ["z1", "z2"]
    assert [node.id for node in made.ordered] == ["n1", "n2", "n3"]
    rack = made.racks["r1"]
    assert [node.id for node in rack.nodes] == ["n1", "n2"]
    assert (rack.height_u, rack.zone, rack.node_count) == (48, made.zones["z1"], 2)
    assert made.nodes["n1"].zone is made.zones["z1"]
    assert [node.id for node in made.zones["z2"].nodes] == ["n3"]
    address = made.nodes["n2"].addresses[0]
    assert address.nic is made.nodes["n2"].nics[0]
    assert address.nic.addresses == [address]
    assert made.networks["admin"].address_count == 3


def test_a_changed_node_stays_the_same_object():
    """Who links to the node sees the change; its old keys lead nowhere any more."""
    made = a_snapshot(a_node("n1", rack="r1"), a_node("n2", rack="r1"))
    before = made.nodes["n1"]
    moved = a_node("n1", rack="r2", zone="z2", state="problem", parts_version=1)
    made.apply(Rows(nodes=[moved], **parts("n1", 9)))
    assert made.nodes["n1"] is before
    assert (before.state, before.rack.name, before.zone.name) == ("problem", "r2", "z2")
    assert [node.id for node in made.racks["r1"].nodes] == ["n2"]
    assert made.racks["r2"].nodes == [before]
    assert made.by_mac.get("02:00:00:00:00:01") is None
    assert made.by_mac["02:00:00:00:00:09"] is before
    assert made.by_address.get("10.0.0.1") is None
    assert made.by_serial["s9"] == [before]
    assert "s1" not in made.by_serial
    assert made.networks["admin"].address_count == 2
    assert before.allowed_commands == []


def test_a_node_whose_parts_did_not_change_keeps_them_and_moves():
    """Its row alone is enough: most events of a node concern nothing else."""
    made = a_snapshot(a_node("n1", rack="r1"), a_node("n2", rack="r1"))
    node = made.nodes["n1"]
    nics, addresses = node.nics, node.addresses
    assert made.known(["n1", "nx"]) == {"n1": 0}
    made.apply(Rows(nodes=[a_node("n1", rack="r2", zone="z2", state="problem")]))
    assert (node.state, node.rack.name, node.zone.name) == ("problem", "r2", "z2")
    assert (node.nics, node.addresses, node.hardware.serial) == (nics, addresses, "S1")
    assert (
        [it.id for it in made.racks["r1"].nodes]
        == [it.id for it in made.zones["z1"].nodes]
        == ["n2"]
    )
    assert made.racks["r2"].nodes == made.zones["z2"].nodes == [node]
    assert made.networks["admin"].address_count == 2


def test_parts_that_cannot_be_taken_in_are_asked_for_again():
    """An error in the middle leaves no node that looks whole, and no number that is counted twice."""
    made = a_snapshot(a_node("n1"), a_node("n2"))
    rows = parts("n1", 9)
    bad = replace(rows["addresses"][0], id="n1/b", address="not one")
    for _ in range(2):
        with pytest.raises(ValueError, match="not one"):
            made.apply(
                Rows(
                    nodes=[a_node("n1", parts_version=1)],
                    **{**rows, "addresses": [*rows["addresses"], bad]},
                )
            )
        assert made.known(["n1"]) == {"n1": -1}
    made.apply(Rows(nodes=[a_node("n1", parts_version=1)], **rows))
    assert made.known(["n1"]) == {"n1": 1}
    assert made.networks["admin"].address_count == 2
    assert [it.address_count for it in made.networks["admin"].ranges] == [1, 0]
    assert made.by_serial["s9"] == [made.nodes["n1"]]


def test_a_range_counts_the_addresses_that_nodes_hold():
    """Its own only, in its family, and no longer those of a node that is gone."""
    made = a_snapshot(a_node("n1"), a_node("n2"), a_node("n3"))
    network = made.networks["admin"]
    assert (network.rack, network.tagged, network.mtu) == (made.racks["r1"], True, 1500)
    assert [(it.name, it.address_count) for it in network.ranges] == [("low", 2), ("six", 0)]
    made.remove("n1")
    assert [it.address_count for it in network.ranges] == [1, 0]


def test_an_unknown_place_changes_nothing():
    """A row that names a new rack asks for a new load; the snapshot is as it was."""
    made = a_snapshot(a_node("n1", rack="r1"))
    for change in ({"rack": "r9"}, {"zone": "z9"}):
        with pytest.raises(UnknownPlaceError):
            made.apply(Rows(nodes=[a_node("n1", **change)], **parts("n1")))
    odd = replace(parts("n1")["addresses"][0], network="new")
    with pytest.raises(UnknownPlaceError):
        made.apply(Rows(nodes=[a_node("n1", rack="r1", state="problem")], addresses=[odd]))
    assert made.nodes["n1"].state == "ready"
    assert made.nodes["n1"].rack.name == "r1"


def test_a_place_that_nobody_has_hides_one_row_and_no_other():
    """A load takes every row; what names a place that is not there stands nowhere, now and when it changes."""
    lost = [a_node("n8", rack="r9"), a_node("n9", zone="z9", rack="r1")]
    odd = replace(parts("n9", 9)["addresses"][0], network="gone")
    far = Network(name="far", zone="z8", rack="r8")
    places = {**PLACES, "networks": [*PLACES["networks"], far]}
    rows = {**parts("n1"), "addresses": [*parts("n1")["addresses"], odd]}
    made = Snapshot(Rows(nodes=[a_node("n1", rack="r1"), *lost], **places, **rows), COMMANDS)
    assert made.absent == {
        ("rack", "r9"),
        ("rack", "r8"),
        ("zone", "z9"),
        ("zone", "z8"),
        ("network", "gone"),
    }
    assert [node.id for node in made.ordered] == ["n1", "n8", "n9"]
    assert (made.nodes["n8"].rack, made.nodes["n9"].zone) == (None, made.zones["z1"])
    assert (made.by_address["10.0.0.9"].id, made.nodes["n9"].addresses[0].network) == ("n9", None)
    assert (made.networks["far"].zone, made.networks["far"].rack) == (None, None)
    made.apply(Rows(nodes=[a_node("n8", rack="r9", state="problem")]))
    made.remove("n9")
    assert made.nodes["n8"].state == "problem"
    assert made.racks["r1"].nodes == [made.nodes["n1"]]


def test_a_removed_node_leaves_no_trace():
    """Lists, indices and counts forget it; removing it again is no error."""
    made = a_snapshot(a_node("n1", rack="r1"), a_node("n2", rack="r1"))
    made.remove("n1")
    made.remove("n1")
    assert [node.id for node in made.ordered] == ["n2"]
    assert made.racks["r1"].node_count == made.zones["z1"].node_count == 1
    assert not {"n1"} & {node.id for node in made.by_mac.values()}
    assert made.networks["admin"].address_count == 1


def test_a_moved_mac_belongs_to_its_new_node():
    """A NIC that went into another server is found there, also when the old one is taken up later."""
    made = a_snapshot(a_node("n1"), a_node("n2"))
    made.apply(Rows(nodes=[a_node("n2", parts_version=1)], **parts("n2", 1)))
    assert made.by_mac["02:00:00:00:00:01"].id == "n2"
    made.apply(Rows(nodes=[a_node("n1", parts_version=1)], **parts("n1", 5)))
    assert made.by_mac["02:00:00:00:00:01"].id == "n2"
    assert made.by_mac["02:00:00:00:00:05"].id == "n1"


def test_no_credential_is_loaded():
    """A BMC's user name and the name of its secret are not in memory at all."""
    bmc = a_snapshot(a_node("n1")).nodes["n1"].bmc
    assert {name: getattr(bmc, name) for name in type(bmc).__slots__} == {
        "protocol": "ipmi",
        "address": "10.9.9.9",
        "port": 623,
    }


def test_the_revision_differs_when_the_content_may_differ():
    """Seq alone, and with the generation once something changed without a journal entry."""
    made = a_snapshot(a_node("n1"))
    assert made.revision == "7"
    made.generation = 1
    assert made.revision == "7.1"


def test_times_are_written_in_utc_with_milliseconds():
    """RFC 3339; None stays None."""
    assert timestamp(0.0015) == "1970-01-01T00:00:00.001Z"
    assert timestamp(1e9) == "2001-09-09T01:46:40.000Z"
    assert timestamp(None) is None


def test_describing_a_node_does_not_describe_the_world():
    """Objects link to one another; a node in a log line must be one line."""
    assert len(repr(a_snapshot(a_node("n1", rack="r1")).nodes["n1"])) < 200
