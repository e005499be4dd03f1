"""Histories of many nodes in one statement."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from racksalt.model.event import Entry
from racksalt.store.histories import histories
from tests.support.builders import a_node


@pytest.fixture
def busy(store):
    """A store where n1 to n3 have ten entries each, in turn, and n4 none."""
    entries = [
        Entry(
            seq=seq,
            at=float(seq),
            node=f"n{seq % 3 + 1}",
            kind="noted",
            event="x",
            event_id=str(seq),
            from_state="a",
            to_state="a",
            stage=None,
            source="bus",
            actor="",
            message="",
        )
        for seq in range(1, 31)
    ]
    with store.write() as tx:
        tx.add_nodes([a_node(f"n{n}") for n in (1, 2, 3, 4)])
        tx.append(entries)
    return store


def test_each_node_has_its_newest_entries_first(busy):
    """A page is the newest entries of each node, newest first."""
    found = histories(busy, ["n1", "n2", "n4"], None, 3)
    assert {node: [e.seq for e in page] for node, page in found.items()} == {
        "n1": [30, 27, 24],
        "n2": [28, 25, 22],
    }


def test_the_next_page_begins_where_the_last_ended(busy):
    """``before_seq`` leaves out what is not older."""
    found = histories(busy, ["n1"], 24, 2)
    assert [e.seq for e in found["n1"]] == [21, 18]


def test_a_page_larger_than_the_history_has_all_of_it(busy):
    """There is no entry at the end of the page to look for."""
    assert len(histories(busy, ["n3"], None, 100)["n3"]) == 10


def test_any_number_of_nodes_takes_one_statement(busy):
    """The number of statements does not grow with the number of nodes."""
    seen = []
    event.listen(busy.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    histories(busy, ["n1", "n2", "n3", "n4"], None, 5)
    assert len([statement for statement in seen if statement.startswith("SELECT journal")]) <= 1
    assert len([statement for statement in seen if "FROM nodes" in statement]) == 1
