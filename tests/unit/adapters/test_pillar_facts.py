from __future__ import annotations

import pytest

from racksalt.adapters.pillar_facts import facts_from
from racksalt.adapters.site_files import open_site
from racksalt.model.node import Address, Disk, Nic, Node
from racksalt.model.place import Network
from racksalt.site.pillar import pillar_for
from racksalt.store import Store
from racksalt.store.tables import nodes
from tests.support.sites import a_site


@pytest.fixture
def site(tmp_path):
    """A site with name servers and a conduit."""
    folder = a_site(
        tmp_path,
        layers={"zone/z1.sls": {"dns": {"servers": ["10.0.0.53"], "search": ["example.net"]}}},
        conduits={"pair": {"nics": "1g1 1g2", "bond": {"mode": "802.3ad"}}},
    )
    return open_site(folder)


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


def test_a_node_gets_its_place_state_and_addresses(store, site):
    """By network; an address that is on no network of the site is left out."""
    facts = facts_from(store, site)("n1")
    assert facts
    assert (facts.zone, facts.rack, facts.position_u, facts.state) == ("z1", "r1", 1, "ready")
    assert facts.addresses == {"admin": ["10.0.0.1"]}


def test_a_bmcs_address_is_not_among_the_facts(store, site):
    """A node has no business with the network of BMCs."""
    assert "10.9.9.9" not in str(facts_from(store, site)("n1"))


def test_another_nodes_addresses_are_not_given(store, site):
    """What belongs to one node is told to that node only."""
    facts = facts_from(store, site)("n2")
    assert facts
    assert facts.addresses == {}


def test_an_unknown_node_has_no_facts(store, site):
    """The lookup answers None, which gives an empty pillar."""
    assert facts_from(store, site)("n3") is None


def test_a_node_that_is_worked_on_gets_the_disks_of_its_inventory(store, site):
    """They are the plan outside which nothing is written; a node that runs has no use for them."""
    disk = Disk(id="n1/disk0", node="n1", name="sda", serial="S-1", size_gb=480, wwn="0x5000c5")
    with store.write() as tx:
        tx.put([disk])
    assert facts_from(store, site)("n1").disks is None
    with store.write() as tx:
        tx.change(nodes, {"id": "n1"}, state="installing", fqdn="n1.example.net")
    facts = facts_from(store, site)("n1")
    assert facts.disks == [{"name": "sda", "serial": "S-1", "wwn": "0x5000c5", "size_gb": 480}]
    assert facts.fqdn == "n1.example.net"


def test_a_node_gets_its_own_network_configuration(store, site):
    """Bonds, VLANs and addresses from its NICs, the networks that reach it, and its layers' name servers."""
    assert facts_from(store, site)("n1").network is None
    network = Network(
        name="admin", zone="z1", vlan=7, conduit="pair", cidr_v4="10.0.0.0/24", domain="z1.net"
    )
    elsewhere = Network(name="elsewhere", zone="z2", vlan=8, conduit="pair")
    with store.write() as tx:
        tx.put_places([network, elsewhere])
        tx.put(
            [
                Nic(id=f"n1/{n}", node="n1", name=f"eno{n}", mac=f"02::{n}", speed_mbps=1000)
                for n in (1, 2)
            ]
        )
    told = facts_from(store, site)("n1").network
    assert [it["name"] for it in told["interfaces"]] == ["eno1", "eno2", "pair", "vlan7"]
    assert told["interfaces"][-1]["addresses"] == ["10.0.0.1/24"]
    assert told["dns"] == {"servers": ["10.0.0.53"], "search": ["example.net"]}
    assert facts_from(store, site)("n2").network is None
    pillar = pillar_for("n1", site, facts_from(store, site))
    assert pillar["racksalt"]["network"] == told
    assert "network" not in pillar_for("n2", site, facts_from(store, site))["racksalt"]
