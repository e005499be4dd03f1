"""Reads of the boot API."""

from __future__ import annotations

import pytest

from racksalt.model.node import Boot, Hardware, Nic, Node
from racksalt.store import Store
from racksalt.store.boot_reads import marks, nodes_with_boots


@pytest.fixture
def store(tmp_path):
    """Give a store with n1 (two NICs, hardware), n2 (one NIC) and n3 (nothing but a boot)."""
    found = Store(f"sqlite:///{tmp_path}/racksalt.db")
    with found.write() as tx:
        tx.add_nodes(
            [Node(id=f"n{i}", state="declared", version=0, state_since=0.0) for i in (1, 2, 3)]
        )
        tx.put(
            [
                Nic(id=f"{node}/{mac}", node=node, name=mac, mac=mac)
                for node, mac in (("n1", "m1"), ("n1", "m2"), ("n2", "m3"))
            ]
        )
        tx.put([Hardware(node="n1", serial="S1", system_uuid="U1")])
        tx.put(
            [
                Boot(node="n3", generation=g, environment="live", issued_at=0.0, expires_at=1.0)
                for g in (1, 2)
            ]
        )
    yield found
    found.close()


@pytest.mark.parametrize(
    ("macs", "uuids", "serials", "nodes"),
    [
        (["m2"], [], [], ["n1"]),
        ([], ["U1"], [], ["n1"]),
        ([], [], ["S1"], ["n1"]),
        ([], [], ["s-1", " S 1 "], ["n1"]),
        ([], [], ["--"], []),
        (["m3"], ["U1"], ["S9"], ["n1", "n2"]),
        (["m9"], [], [], []),
        ([], [], [], []),
    ],
)
def test_any_shared_mark_finds_the_node(store, macs, uuids, serials, nodes):
    """A node is found by any of its MACs, its UUID or its serial number."""
    assert [found.node for found in marks(store, macs, uuids, serials)] == nodes


def test_serial_numbers_are_looked_up_by_an_index(store):
    """A machine's boot must not read all nodes' hardware."""
    with store.read() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT node FROM hardware WHERE serial_key IN ('s1', 's2')"
        )
        assert "USING INDEX ix_hardware_serial_key" in str(plan.all())


def test_a_found_node_comes_with_all_its_marks(store):
    """All MACs come along, not only the one that was asked for."""
    (found,) = marks(store, ["m1"], [], [])
    assert found.macs == {"m1", "m2"}
    assert (found.system_uuid, found.serial) == ("U1", "S1")


def test_nodes_come_with_their_boots(store):
    """Each node that exists has all its boots; others are left out."""
    found = nodes_with_boots(store, ["n1", "n3", "n9"])
    assert set(found) == {"n1", "n3"}
    assert found["n1"][1] == ()
    assert sorted(boot.generation for boot in found["n3"][1]) == [1, 2]
