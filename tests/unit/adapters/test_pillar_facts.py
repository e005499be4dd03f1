from __future__ import annotations

import pytest

from racksalt.adapters.pillar_facts import facts_from
from racksalt.model.node import Address, Disk, Node
from racksalt.store import Store
from racksalt.store.tables import nodes


@pytest.fixture
def store(tmp_path):
    """A store with two nodes, one of which has addresses."""
    opened = Store(f"sqlite:///{tmp_path}/racksalt.db")
    nodes = [
        Node(
            id=f"n{number}",
            state="ready",
            version=1,
            state_since=1.0,
            zone="z1",
            rack="r1",
            position_u=number,
        )
        for number in (1, 2)
    ]
    kinds = [
        ("10.0.0.1", "admin", "reservation"),
        ("10.9.9.9", "admin", "bmc"),
        ("fd00::1", None, "lease"),
    ]
    with opened.write() as tx:
        tx.add_nodes(nodes)
        tx.put(
            [
                Address(
                    id=f"a{number}",
                    node="n1",
                    nic=None,
                    network=network,
                    address=address,
                    family=6 if ":" in address else 4,
                    kind=kind,
                )
                for number, (address, network, kind) in enumerate(kinds)
            ]
        )
    yield opened
    opened.close()


def test_a_node_gets_its_place_state_and_addresses(store):
    """By network; an address that is on no network of the site is left out."""
    facts = facts_from(store)("n1")
    assert facts
    assert (facts.zone, facts.rack, facts.position_u, facts.state) == ("z1", "r1", 1, "ready")
    assert facts.addresses == {"admin": ["10.0.0.1"]}


def test_a_bmcs_address_is_not_among_the_facts(store):
    """A node has no business with the network of BMCs."""
    assert "10.9.9.9" not in str(facts_from(store)("n1"))


def test_another_nodes_addresses_are_not_given(store):
    """What belongs to one node is told to that node only."""
    facts = facts_from(store)("n2")
    assert facts
    assert facts.addresses == {}


def test_an_unknown_node_has_no_facts(store):
    """The lookup answers None, which gives an empty pillar."""
    assert facts_from(store)("n3") is None


def test_a_node_that_is_worked_on_gets_the_disks_of_its_inventory(store):
    """They are the plan outside which nothing is written; a node that runs has no use for them."""
    disk = Disk(id="n1/disk0", node="n1", name="sda", serial="S-1", size_gb=480, wwn="0x5000c5")
    with store.write() as tx:
        tx.put([disk])
    assert facts_from(store)("n1").disks is None
    with store.write() as tx:
        tx.change(nodes, {"id": "n1"}, state="installing", fqdn="n1.example.net")
    facts = facts_from(store)("n1")
    assert facts.disks == [{"name": "sda", "serial": "S-1", "wwn": "0x5000c5", "size_gb": 480}]
    assert facts.fqdn == "n1.example.net"
