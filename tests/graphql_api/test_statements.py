from __future__ import annotations

import traceback
from contextlib import contextmanager

import pytest
from sqlalchemy import event

TOPOLOGY = (
    "{zones{name racks{name nodes{id state power{state} hardware{serial} nics{mac addresses{address"
    " network{name}}} disks{name} bmc{address} allowedCommands}}} networks{name} revision"
    ' nodes(first:100,filter:{state:[DECLARED]}){totalCount nodes{id}} node(by:{id:"n1"}){name}}'
)
HISTORY = "query($n:Int!){nodes(first:$n){nodes{id history(first:2){nodes{seq event toState}}}}}"


def _is_the_tailers_look():
    """Say whether the statement that is being sent is the tailer's look at the journal's head."""
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
    try:
        yield seen
    finally:
        event.remove(rig.store.engine, "before_cursor_execute", note)


def reads(statements):
    """Return the statements but for the transactions around them."""
    return [one for one in statements if not one.startswith("BEGIN")]


def test_the_topology_needs_no_statement_at_all(rig):
    """Everything is answered from memory, filters, look-ups and counts included."""
    rig.ask(TOPOLOGY)
    with counted(rig) as seen:
        assert len(rig.ask(TOPOLOGY)["zones"]) == 2
    assert seen == []


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
    query = "{transitions(first:2){nodes{seq}}}"
    rig.ask(query)
    with counted(rig) as seen:
        assert len(rig.ask(query)["transitions"]["nodes"]) == 2
    assert len(reads(seen)) == 1


def test_a_token_is_looked_up_once_in_a_while(rig):
    """Many requests within the time to live cost one look-up."""
    query = "{revision}"
    rig.ask(query)
    with counted(rig) as seen:
        for _ in range(20):
            rig.ask(query)
    assert len([one for one in seen if "tokens" in one]) <= 1


def test_configuration_needs_no_statement_either(rig):
    """Where a node stands is known; the rest is files."""
    query = '{nodes{nodes{id config(path:"timezone"){value layer}}}}'
    rig.ask(query)
    with counted(rig) as seen:
        found = rig.ask(query)["nodes"]["nodes"]
    assert [node["config"]["value"] for node in found] == ["Europe/Paris", "UTC"] * 2
    assert seen == []
