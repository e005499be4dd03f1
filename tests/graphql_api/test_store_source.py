from __future__ import annotations

import pytest

from graphql_api.snapshot.snapshot import Snapshot
from graphql_api.store_source import StoreSource
from racksalt.conductor.records import write_inventories
from racksalt.model.event import Entry
from racksalt.model.node import Address, Bmc, Hardware, Nic
from racksalt.model.place import Network, Rack, Zone
from racksalt.store import addresses
from tests.support.builders import a_node


def an_entry(seq, node):
    """Return a journal entry."""
    return Entry(
        seq=seq,
        at=float(seq),
        node=node,
        kind="noted",
        event="seen",
        event_id=f"e{seq}",
        from_state="ready",
        to_state="ready",
        stage=None,
        source="clock",
        actor="",
        message="",
    )


def populate(store):
    """Write two nodes and the places around them."""
    with store.write() as tx:
        tx.put_places([Zone(name="z1")])
        tx.put_places([Rack(name="r1", zone="z1")])
        tx.put_places([Network(name="admin")])
        tx.add_nodes([a_node("n1", rack="r1"), a_node("n2")])
        tx.put([Nic(id="n1/0", node="n1", name="eth0", mac="02:00:00:00:00:01")])
        tx.put([Hardware(node="n1", serial="S1")])
        tx.put(
            [
                Bmc(
                    node="n2",
                    protocol="ipmi",
                    address="10.0.0.1",
                    port=623,
                    username="u",
                    secret="s",
                )
            ]
        )
        tx.append([an_entry(1, "n1"), an_entry(2, "n2")])


def test_the_whole_topology_is_read_with_the_journals_head(store):
    """On either database: rows of every kind, and up to which entry they are good."""
    populate(store)
    rows = StoreSource(store).load()
    assert rows.seq == 2
    made = Snapshot(rows, {})
    assert made.nodes["n1"].zone.name == "z1"
    assert made.nodes["n1"].nics[0].mac == "02:00:00:00:00:01"
    assert made.nodes["n2"].bmc.address == "10.0.0.1"


def test_some_nodes_are_read_with_their_parts_alone(store):
    """What changed, and nothing else."""
    populate(store)
    rows = StoreSource(store).of({"n1", "nx"}, {})
    assert [node.id for node in rows.nodes] == ["n1"]
    assert [nic.id for nic in rows.nics] == ["n1/0"]
    assert not rows.bmcs
    assert not rows.zones


def _attributes(thing):
    """Return the attributes of an object with slots, or None."""
    return thing and {name: getattr(thing, name) for name in type(thing).__dataclass_fields__}


def _everything(made):
    """Return what a snapshot says of each node and its parts."""
    return {
        node.id: (
            node.parts_version,
            node.state,
            node.rack and node.rack.name,
            _attributes(node.hardware),
            _attributes(node.bmc),
            [(nic.mac, nic.name) for nic in node.nics],
            [(disk.name, disk.serial) for disk in node.disks],
            [(it.address, it.nic and it.nic.mac) for it in node.addresses],
        )
        for node in made.ordered
    } | {"macs": {mac: node.id for mac, node in made.by_mac.items()}}


GIVEN = Address(
    id="admin/4/10.0.0.9", node="n1", nic=None, network="admin", address="10.0.0.9", family=4
)
MOVED = Nic(id="n2/0", node="n2", name="eth0", mac="02:00:00:00:00:02")
HELD = Address(
    id="admin/4/10.0.0.5", node="n1", nic="n1/0", network="admin", address="10.0.0.5", family=4
)
OTHER_BMC = Bmc(
    node="n1", protocol="redfish", address="10.0.0.2", port=443, username="u", secret="s"
)
INVENTORY = {
    "serial": "S2",
    "nics": [{"mac": "02:00:00:00:00:01", "name": "lan"}],
    "disks": [{"name": "sda"}],
}


@pytest.mark.parametrize(
    "change",
    [
        lambda tx: write_inventories(tx, {"n1": INVENTORY}, {"n1"}),
        lambda tx: addresses.write(tx, [], [HELD]),
        lambda tx: addresses.write(tx, [GIVEN], []),
        lambda tx: tx.put([MOVED]),
        lambda tx: tx.put([Hardware(node="n2", serial="S9")]),
        lambda tx: tx.put([OTHER_BMC]),
    ],
    ids=["inventory", "address", "address gone", "nic", "serial", "bmc"],
)
def test_who_follows_sees_every_change_of_parts_and_reads_no_others(store, change):
    """Whatever writes a part counts it: what was followed is what a fresh load has."""
    populate(store)
    with store.write() as tx:
        addresses.write(tx, [], [GIVEN])
    source = StoreSource(store)
    made = Snapshot(source.load(), {})
    before = _everything(made)
    with store.write() as tx:
        change(tx)
    rows = source.of(["n1", "n2"], made.known(["n1", "n2"]))
    assert len({row.node for row in (*rows.hardware, *rows.nics, *rows.bmcs)}) == 1
    made.apply(rows)
    assert _everything(made) == _everything(Snapshot(source.load(), {})) != before
    rows = source.of(["n1", "n2"], made.known(["n1", "n2"]))
    assert not [*rows.nics, *rows.hardware, *rows.bmcs, *rows.disks, *rows.addresses]


def test_the_head_follows_what_is_committed(store):
    """Asked again and again it costs next to nothing, and still sees each commit."""
    source = StoreSource(store)
    assert [source.head(), source.head()] == [0, 0]
    populate(store)
    assert source.head() == 2
    with store.write() as tx:
        tx.append([an_entry(3, "n1")])
    assert source.head() == 3
    assert [entry.seq for entry in source.journal(1, 10)] == [2, 3]
    assert [entry.seq for entry in source.histories(["n1"], None, 5)["n1"]] == [3, 1]
