"""What of a declaration another node has: out of use it gives it up, in use it keeps it."""

from __future__ import annotations

import pytest

from racksalt.conductor.declare import declare
from racksalt.model.errors import InvalidInputError
from racksalt.model.node import Bmc, Nic
from racksalt.model.place import Rack, Zone
from racksalt.site.schema import Declarations, NodeDeclaration, Policy
from racksalt.store.tables import nodes as node_table
from tests.support.builders import NOW, a_bmc, a_node

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")


def a_site(*nodes, **more):
    """Return declarations of one rack and these nodes."""
    given = {
        "zones": {"z1": Zone(name="z1")},
        "racks": {"r1": Rack(name="r1", zone="z1")},
        "nodes": {node.id: node for node in nodes},
        "policy": Policy(approve="manifest"),
    }
    return Declarations(**{**given, **more})


def declared(name="n1", address="10.0.0.1", macs=MACS, **fields):
    """Return the declaration of a node with MACs and, unless ``address`` is None, a real BMC."""
    bmc = a_bmc(name, protocol="ipmi", address=address, port=623) if address else None
    return NodeDeclaration(id=name, rack="r1", macs=macs, **{"bmc": bmc, **fields})


def in_state(store, name, state):
    """Put a node into a state, without the way there."""
    with store.write() as tx:
        tx.change(node_table, {"id": name}, state=state)


def bmc_of(store, name):
    """Return the address of a node's BMC, None without one."""
    return next((row.address for row in store.parts(Bmc, name)), None)


def macs_of(store, name):
    """Return a node's MACs."""
    return {nic.mac for nic in store.parts(Nic, name)}


@pytest.mark.parametrize("state", ["declared", "ready", "problem", "retiring"])
@pytest.mark.parametrize("address", ["10.0.0.1", "BMC1.example.net"])
def test_a_renamed_node_does_not_get_the_bmc_of_the_machine_in_use(store, state, address):
    """Two nodes with one BMC are one machine, and a command to either cuts its power: the change and journal say so."""
    declare(store, a_site(declared(address=address.lower())), NOW)
    in_state(store, "n1", state)
    changes = declare(store, a_site(declared("web1", address)), NOW)
    assert (bmc_of(store, "web1"), bmc_of(store, "n1")) == (None, address.lower())
    told = changes["nodes"]["web1"]["bmc_refused"]
    assert "is the BMC of n1" in told
    assert "name n1 back" in told
    assert told in store.history("web1")[0].message


@pytest.mark.parametrize(
    ("address", "other"), [("fd00::1", "FD00:0:0::1"), ("bmc1.example.net", "BMC1.example.net.")]
)
def test_another_spelling_does_not_get_the_bmc_of_the_machine_in_use(store, address, other):
    """One address has many."""
    declare(store, a_site(declared(address=address)), NOW)
    in_state(store, "n1", "ready")
    changes = declare(store, a_site(declared("n8", other)), NOW)
    assert "is the BMC of n1" in changes["nodes"]["n8"]["bmc_refused"]
    assert (bmc_of(store, "n8"), bmc_of(store, "n1")) == (None, address)


def test_a_known_node_keeps_its_own_bmc_where_the_new_one_is_anothers(store):
    """A slip of the pen in an address costs nobody a BMC."""
    declare(store, a_site(declared(), declared("n2", "10.0.0.2", macs=())), NOW)
    version = store.node("n2").version
    changes = declare(store, a_site(declared("n2", "10.0.0.1", macs=())), NOW)
    assert list(changes["nodes"]["n2"]) == ["bmc_refused"]
    assert (bmc_of(store, "n1"), bmc_of(store, "n2")) == ("10.0.0.1", "10.0.0.2")
    assert store.node("n2").version == version


def test_a_bmc_that_one_declaration_moves_leaves_its_old_node(store):
    """Also without another one for that node, and both ways at once; a second time changes nothing."""
    declare(store, a_site(declared(), declared("n2", "10.0.0.2", macs=())), NOW)
    moved = a_site(declared(address=None), declared("n2", "10.0.0.1", macs=()))
    changes = declare(store, moved, NOW)
    assert (bmc_of(store, "n1"), bmc_of(store, "n2")) == (None, "10.0.0.1")
    assert changes["nodes"]["n1"] == {"bmc": "ipmi 10.0.0.1:623 is n2's now"}
    assert store.history("n1")[0].message == "declared: bmc"
    assert declare(store, moved, NOW) == {}
    declare(store, a_site(declared(address="10.0.0.3"), declared("n2", "10.0.0.1", macs=())), NOW)
    declare(store, a_site(declared(), declared("n2", "10.0.0.3", macs=())), NOW)
    assert (bmc_of(store, "n1"), bmc_of(store, "n2")) == ("10.0.0.1", "10.0.0.3")


def test_a_retired_node_gives_up_its_bmc_and_macs(store):
    """It counts against nobody: the machine is whole under its new name, and the old one's journal says where it is."""
    declare(store, a_site(declared()), NOW)
    in_state(store, "n1", "retired")
    changes = declare(store, a_site(declared("web1")), NOW)
    assert (bmc_of(store, "n1"), bmc_of(store, "web1")) == (None, "10.0.0.1")
    assert (macs_of(store, "n1"), macs_of(store, "web1")) == (set(), set(MACS))
    assert set(changes["nodes"]["n1"]) == {"bmc", "macs"}
    assert f"{MACS[0]} is web1's now" in store.history("n1")[0].detail["macs"]
    assert declare(store, a_site(declared("web1")), NOW) == {}


def test_a_machine_that_waits_for_its_old_name_gets_all_once_that_is_retired(store):
    """What was refused before is taken in by the next declaration."""
    declare(store, a_site(declared()), NOW)
    in_state(store, "n1", "ready")
    declare(store, a_site(declared("web1")), NOW)
    assert macs_of(store, "web1") == set()
    in_state(store, "n1", "retired")
    declare(store, a_site(declared("web1")), NOW)
    assert (bmc_of(store, "web1"), macs_of(store, "web1")) == ("10.0.0.1", set(MACS))


def test_a_retired_node_keeps_what_the_files_still_give_it(store):
    """A part of the site, such as a Salt state, takes nothing from a node that the files declare; it is refused."""
    whole = a_site(declared())
    declare(store, whole, NOW)
    in_state(store, "n1", "retired")
    before = store.head()
    with pytest.raises(InvalidInputError, match="is the BMC of n1"):
        declare(store, a_site(declared("web1")), NOW, around=whole)
    declare(store, a_site(declared("web1", None)), NOW, around=whole)
    assert (macs_of(store, "n1"), macs_of(store, "web1")) == (set(MACS), set())
    assert store.head() == before + 1


def test_one_simulated_bmc_answers_for_many(store):
    """A lab has one address for all its nodes."""
    nodes = [declared(f"n{n}", macs=(), bmc=a_bmc(f"n{n}")) for n in (1, 2)]
    declare(store, a_site(nodes[0]), NOW)
    assert "bmc_refused" not in declare(store, a_site(*nodes), NOW)["nodes"]["n2"]
    assert bmc_of(store, "n1") == bmc_of(store, "n2") == "127.0.0.1"


def test_a_machine_in_use_keeps_its_macs(store):
    """Let in and not retired: another declaration of its MACs takes none."""
    with store.write() as tx:
        tx.add_nodes([a_node("n9", "ready", approved=True)])
        tx.put([Nic(id="n9/x", node="n9", name="pxe", mac=MACS[0], pxe=True)])
    declare(store, a_site(declared()), NOW)
    assert (macs_of(store, "n9"), macs_of(store, "n1")) == ({MACS[0]}, {MACS[1]})
