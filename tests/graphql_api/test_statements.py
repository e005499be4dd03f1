from __future__ import annotations

import time
import traceback
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
from sqlalchemy import event

from graphql_api.auth import TTL_S
from racksalt.model.node import Address, Disk
from tests.graphql_api.rig import Rig
from tests.support.builders import a_bmc

ASKING = ContextVar("ASKING", default=False)
"""Whether this runs for what a test asks: requests and their threads inherit it, the tailer began before."""
MANY, NICS, RACKS = 1000, 4, 25
TOPOLOGY = (
    "{zones{name racks{name nodes{id state power{state} hardware{serial} nics{mac addresses{address"
    " network{name}}} disks{name} bmc{address} allowedCommands}}} networks{name} revision"
    ' nodes(first:100,filter:{state:[DECLARED]}){totalCount nodes{id}} node(by:{id:"n1"}){name}}'
)
CONFIG = '{nodes{nodes{id config(path:"timezone"){value layer}}}}'
PAGE = "{transitions(first:2){nodes{seq}}}"
HISTORY = "query($n:Int!){nodes(first:$n){nodes{id history(first:2){nodes{seq event toState}}}}}"


def _is_the_tailers_look():
    """Say whether the statement that is being sent is the tailer's look at the journal's head, and no request's."""
    if ASKING.get():
        return False
    callers = (frame.f_code for frame, _ in traceback.walk_stack(None))
    return any(c.co_name == "head" and c.co_filename.endswith("store_source.py") for c in callers)


@contextmanager
def counted(rig):
    """Collect the statements that the database is sent, the tailer's look at the journal's head aside."""
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        if not _is_the_tailers_look():
            seen.append(statement)

    event.listen(rig.store.engine, "before_cursor_execute", note)
    before = ASKING.set(True)
    try:
        yield seen
    finally:
        ASKING.reset(before)
        event.remove(rig.store.engine, "before_cursor_execute", note)


def reads(statements):
    """Return the statements but for the transactions around them, and for the token's look-up.

    That comes once in three seconds, whatever is asked.
    """
    return [one for one in statements if not one.startswith("BEGIN") and "FROM tokens" not in one]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A started application over a site of many nodes, each with several NICs that have an address."""
    racks = {f"r{number}": f"z{1 + number % 2}" for number in range(1, RACKS + 1)}
    nodes = {
        f"n{node}": {
            "macs": [f"02:00:00:{nic:02x}:{node >> 8:02x}:{node & 255:02x}" for nic in range(NICS)]
        }
        for node in range(1, MANY + 1)
    }
    made = Rig(tmp_path_factory.mktemp("crowded"), racks=racks, nodes=nodes)
    try:
        _dress(made.store)
        with made.client:
            yield made
    finally:
        made.site.close()


def _dress(store):
    """Give every NIC an address, and every node a disk and a BMC."""
    found = store.topology()
    addresses = [
        Address(
            id=nic.id,
            node=nic.node,
            nic=nic.id,
            network="admin",
            address=f"10.1.{number >> 8}.{number & 255}",
            family=4,
        )
        for number, nic in enumerate(found["nics"])
    ]
    names = [node.id for node in found["nodes"]]
    with store.write() as tx:
        tx.put(addresses)
        tx.put([Disk(id=f"{name}/sda", node=name, name="sda", size_gb=960) for name in names])
        tx.put([a_bmc(name) for name in names])


def test_a_requests_own_look_at_the_head_is_counted(rig, monkeypatch):
    """Only the tailer may look for nothing; a request that did the same would be seen here."""
    rig.ask("{revision}")
    monkeypatch.setattr(rig.services.budget, "spend", lambda *_: rig.services.source.head())
    with counted(rig) as seen:
        rig.ask("{revision}")
    assert seen


@pytest.mark.parametrize(
    ("query", "variables", "needed"),
    [(TOPOLOGY, {}, 0), (CONFIG, {}, 0), (PAGE, {}, 1), (HISTORY, {"n": 200}, 1)],
    ids=["topology", "configuration", "a page of the journal", "histories"],
)
def test_a_site_of_many_nodes_needs_no_statement_more(rig, crowded, query, variables, needed):
    """The same question to four nodes and to a thousand sends as many statements."""
    sent = []
    for site in (rig, crowded):
        site.ask(query, variables)
        with counted(site) as seen:
            site.ask(query, variables)
        sent.append(len(reads(seen)))
    assert sent == [needed, needed]


def test_the_crowded_site_is_one(crowded):
    """What was asked of it was all there: nodes, NICs and addresses, through zones and racks."""
    zones = crowded.ask(TOPOLOGY)["zones"]
    nodes = [node for zone in zones for rack in zone["racks"] for node in rack["nodes"]]
    nics = [nic for node in nodes for nic in node["nics"]]
    assert (len(nodes), len(nics)) == (MANY, MANY * NICS)
    assert all(len(nic["addresses"]) == 1 for nic in nics)
    told = crowded.ask(HISTORY, {"n": 200})["nodes"]["nodes"]
    assert len([node for node in told if node["history"]["nodes"]]) == 200


def test_the_topology_needs_no_statement_at_all(rig):
    """Everything is answered from memory, filters, look-ups and counts included."""
    rig.ask(TOPOLOGY)
    with counted(rig) as seen:
        assert len(rig.ask(TOPOLOGY)["zones"]) == 2
    assert reads(seen) == []


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_history_needs_one_statement_however_many_nodes(rig, nodes):
    """The histories of all nodes of an answer are read together."""
    rig.ask(HISTORY, {"n": nodes})
    with counted(rig) as seen:
        found = rig.ask(HISTORY, {"n": nodes})["nodes"]["nodes"]
    assert len(found) == nodes
    assert all(node["history"]["nodes"] for node in found)
    assert len(reads(seen)) == 1


def test_a_page_of_the_journal_is_one_statement(rig):
    """Transitions reads its page by sequence number."""
    rig.ask(PAGE)
    with counted(rig) as seen:
        assert len(rig.ask(PAGE)["transitions"]["nodes"]) == 2
    assert len(reads(seen)) == 1


def test_a_token_is_looked_up_once_in_a_while(rig):
    """Many requests within the time to live cost one look-up."""
    query = "{revision}"
    rig.ask(query)
    began = time.monotonic()
    with counted(rig) as seen:
        for _ in range(20):
            rig.ask(query)
    lives = 1 + int((time.monotonic() - began) / TTL_S)
    assert len([one for one in seen if "FROM tokens" in one]) <= lives


def test_configuration_needs_no_statement_either(rig):
    """Where a node stands is known; the rest is files."""
    rig.ask(CONFIG)
    with counted(rig) as seen:
        found = rig.ask(CONFIG)["nodes"]["nodes"]
    assert [node["config"]["value"] for node in found] == ["Europe/Paris", "UTC"] * 2
    assert reads(seen) == []
