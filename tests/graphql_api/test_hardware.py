"""Hardware in full: lists by one read for all nodes, the switch at the other end, burn-in beside its peers."""

from __future__ import annotations

import pytest

from racksalt.model.hardware import BurnResult, Facts, PlaceProposal
from tests.graphql_api.test_statements import counted, reads

WHOLE = """query($n: Int!) { nodes(first: $n) { nodes { id
  facts { memoryModules { slot sizeMib } firmware { component version }
    pciDevices { address class } unknown }
  placeProposal { switch port rack positionU obstacle } } } }"""


@pytest.fixture
def known(fresh):
    """A site whose first node was inventoried and burned in."""
    name = fresh.ask("{nodes(first:1){nodes{id}}}")["nodes"]["nodes"][0]["id"]
    with fresh.store.write() as tx:
        tx.put(
            [
                Facts(
                    node=name,
                    at=1.0,
                    memory=[{"slot": "A1", "size_mib": 32768}],
                    firmware={"bios": "2.4"},
                    pci=[{"address": "0000:3b:00.0", "class": "Ethernet controller"}],
                    unknown=["serial"],
                )
            ]
        )
        tx.put(
            [
                PlaceProposal(
                    node=name, at=1.0, switch="tor", port="7", nic="e", rack="r1", position_u=3
                )
            ]
        )
        tx.put(
            [
                BurnResult(
                    id="1",
                    node=name,
                    at=1.0,
                    part="disk:sda",
                    measure="read_mib_s",
                    ok=False,
                    value=5.0,
                    message="slow",
                )
            ]
        )
    return fresh, name


def test_lists_and_proposal_are_told(known):
    """As the node last reported them; null where there is nothing yet."""
    rig, name = known
    nodes = {node["id"]: node for node in rig.ask(WHOLE, {"n": 4})["nodes"]["nodes"]}
    assert nodes[name]["facts"] == {
        "memoryModules": [{"slot": "A1", "sizeMib": 32768}],
        "firmware": [{"component": "bios", "version": "2.4"}],
        "pciDevices": [{"address": "0000:3b:00.0", "class": "Ethernet controller"}],
        "unknown": ["serial"],
    }
    assert nodes[name]["placeProposal"] == {
        "switch": "tor",
        "port": "7",
        "rack": "r1",
        "positionU": 3,
        "obstacle": None,
    }
    other = next(node for node in nodes.values() if node["id"] != name)
    assert (other["facts"], other["placeProposal"]) == (None, None)


@pytest.mark.parametrize("nodes", [1, 4])
def test_they_need_two_statements_however_many_nodes(known, nodes):
    """Both kinds of rows are read once for all nodes of the answer."""
    rig, _ = known
    rig.ask(WHOLE, {"n": nodes})
    with counted(rig) as seen:
        rig.ask(WHOLE, {"n": nodes})
    assert len(reads(seen)) == 2


def test_burn_in_is_listed(known):
    """All nodes, one node, or only what is bad."""
    rig, name = known
    query = "query($n: ID) { burnIn(node: $n, worse: true) { node part measure value ok message standsOut } }"
    (row,) = rig.ask(query)["burnIn"]
    assert row == {
        "node": name,
        "part": "disk:sda",
        "measure": "read_mib_s",
        "value": 5.0,
        "ok": False,
        "message": "slow",
        "standsOut": False,
    }
    assert rig.ask(query, {"n": name})["burnIn"] == [row]
    assert rig.ask(query, {"n": "no-such-node"})["burnIn"] == []
