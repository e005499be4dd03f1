"""A network that was taken out of the files: it stays until it is forgotten by name."""

from __future__ import annotations

import pytest

from racksalt.adapters.site_files import write_site
from racksalt.conductor.desired import present
from racksalt.conductor.networks import NAMED, forget, undeclared
from racksalt.model.errors import ConflictError, InvalidInputError, NotFoundError
from racksalt.model.node import Address
from racksalt.model.place import Network
from tests.support.builders import a_node
from tests.support.sites import a_site
from tests.support.verbs import verbs_over

FILE = "site/p2.yaml"


def network(number, **place):
    """Return a network to boot on, with addresses to keep."""
    subnet = f"10.{number}.0"
    nodes = {"first": f"{subnet}.10", "last": f"{subnet}.99", "use": "reservations"}
    told = {"cidr_v4": f"{subnet}.0/24", "domain": f"p{number}.test", "ranges": {"nodes": nodes}}
    return {"purpose": "provisioning", **place, **told}


P1, P2 = network(1, zone="z1"), network(2, rack="r1")


@pytest.fixture
def folder(tmp_path):
    """A site with one node in a rack, and two networks that it could boot on."""
    found = a_site(
        tmp_path, racks=("r1", "r2"), networks={"p1": P1}, policy={"approve": "manifest"}
    )
    write_site(found, {FILE: {"networks": {"p2": P2}}})
    return found


@pytest.fixture
def operations(store, folder):
    """The verbs over it, with all taken in."""
    with verbs_over(store, folder) as found:
        yield found


def networks(store):
    """Return the names of the networks that are served."""
    return sorted(it.name for it in store.all_of(Network))


def addresses(store):
    """Return what the node has."""
    return [(it.network, it.address) for it in store.parts(Address, "n1")]


def test_a_network_that_no_file_declares_stays_and_is_told(store, folder, operations):
    """A lost line cuts nobody off; but it can be known."""
    assert undeclared(store, operations.site.declarations) == []
    (folder / FILE).unlink()
    assert operations.declare() == {}
    assert networks(store) == ["p1", "p2"]
    assert undeclared(store, operations.site.declarations) == ["p2"]


@pytest.mark.parametrize("test", [True, False])
def test_a_network_with_nodes_in_it_is_not_forgotten(store, folder, operations, test):
    """They are named, as many as anybody reads, and nothing is written."""
    assert [name for name, _ in addresses(store)] == ["p2"]
    others = [f"x{number:02}" for number in range(NAMED + 2)]
    with store.write() as tx:
        tx.add_nodes([a_node(name) for name in others])
        rows = [(name, f"10.2.0.{200 + n}") for n, name in enumerate(others)]
        tx.put(
            [
                Address(id=f"p2/{text}", node=name, nic=None, network="p2", address=text, family=4)
                for name, text in rows
            ]
        )
    (folder / FILE).unlink()
    before = store.head()
    with pytest.raises(ConflictError, match=r"'p2': n1, x00, .*, x18 and 3 more \(retire them"):
        forget(operations, "p2", test=test)
    assert (networks(store), store.head()) == (["p1", "p2"], before)


def test_a_network_whose_nodes_gave_their_addresses_back_is_forgotten(store, folder, operations):
    """Declared for another rack it loses its nodes, which go to the other network; a trial changes nothing."""
    write_site(folder, {FILE: {"networks": {"p2": {**P2, "rack": "r2"}}}})
    operations.declare()
    assert [name for name, _ in addresses(store)] == ["p1"]
    (folder / FILE).unlink()
    told = forget(operations, "p2", test=True)
    assert (told, networks(store)) == ({"gone_networks": ["p2"]}, ["p1", "p2"])
    assert (forget(operations, "p2"), networks(store)) == (told, ["p1"])
    with pytest.raises(NotFoundError, match="no network 'p2' is known"):
        forget(operations, "p2")


def test_who_could_boot_there_boots_elsewhere_from_then_on(store, folder, operations):
    """What a network gave without an address, a full name and the way to boot, the next one gives."""
    plain = {
        **P2,
        "ranges": {"new": {"first": "10.2.0.10", "last": "10.2.0.99", "use": "discovery"}},
    }
    write_site(folder, {FILE: {"networks": {"p2": plain}}})
    operations.declare()
    assert (addresses(store), store.node("n1").fqdn) == ([], "n1.p2.test")
    (folder / FILE).unlink()
    operations.declare()
    assert store.node("n1").fqdn == "n1.p2.test"
    changes = forget(operations, "p2")
    assert changes["nodes"]["n1"]["fqdn"] == "n1.p1.test"
    assert addresses(store) == [("p1", "10.1.0.10")]


def test_a_network_that_a_file_declares_is_not_forgotten(store, operations):
    """It would come back with the next look at the files."""
    for ask in (forget, lambda it, name: present(it, "gone_networks", name, {})):
        with pytest.raises(InvalidInputError, match=r"'p2' is declared in site/p2\.yaml"):
            ask(operations, "p2")
    assert networks(store) == ["p1", "p2"]


def test_a_salt_state_forgets_a_network_once(store, operations):
    """What a state declared, a state takes away; a second time there is nothing to do."""
    present(operations, "networks", "s1", {"cidr_v4": "10.3.0.0/24"})
    assert present(operations, "gone_networks", "s1", {}, test=True) == {"gone_networks": ["s1"]}
    assert networks(store) == ["p1", "p2", "s1"]
    assert present(operations, "gone_networks", "s1", {}) == {"gone_networks": ["s1"]}
    assert networks(store) == ["p1", "p2"]
    assert present(operations, "gone_networks", "s1", {}) == {}
