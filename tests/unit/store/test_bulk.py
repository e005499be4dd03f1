"""Statements for many rows write what SQLAlchemy writes, and leave the caller's rows alone."""

from __future__ import annotations

from copy import deepcopy

import pytest
from sqlalchemy import bindparam, insert, select, update

from racksalt.store import bulk
from racksalt.store import tables as t
from racksalt.store.bulk import execute_many
from tests.support.builders import a_node

FACTS = [
    {"node": "n1", "at": 1.5, "memory": [{"slot": "ä'\"", "size_mib": 2**52}], "pci": []},
    {"node": "n2", "at": 2, "memory": [], "pci": [{"class": None}]},
]
REST = {"firmware": {}, "bmc": {"vendor": "%s ? :x"}, "chassis": {}, "unknown": ["a"]}
NICS = [
    {"id": "n1/0", "node": "n1", "name": "eth0", "mac": "m0", "pxe": True, "speed_mbps": None},
    {"id": "n2/0", "node": "n2", "name": "eth0", "mac": "m1", "pxe": False, "speed_mbps": 10**4},
]


@pytest.mark.parametrize(
    ("table", "rows"),
    [(t.facts, [{**row, **REST} for row in FACTS]), (t.nics, NICS), (t.marks, [{"name": "x", "value": 7}])],
    ids=["json", "booleans", "one row"],
)  # fmt: skip
def test_an_insert_writes_what_sqlalchemy_writes(store, table, rows):
    """On both databases, for texts with quotes and marks, lists, numbers, booleans and nothing."""
    own = deepcopy(rows)
    with store.write() as tx:
        tx.add_nodes([a_node("n1"), a_node("n2")])
    found = []
    for write in (execute_many, lambda connection, how, what: connection.execute(how, what)):
        with store.write() as tx:
            tx.connection.execute(table.delete())
            write(tx.connection, insert(table), rows)
            found.append(tx.connection.execute(select(table).order_by(table.c[0])).all())
    assert found[0] == found[1]
    assert len(found[0]) == len(rows)
    assert rows == own


def test_an_update_tells_how_many_rows_it_found(store):
    """Of three, one is not there."""
    there = (
        update(t.nodes).where(t.nodes.c.id == bindparam("_id")).values(reason=bindparam("reason"))
    )
    with store.write() as tx:
        tx.add_nodes([a_node("n1"), a_node("n2")])
        rows = [{"_id": name, "reason": f"it's {name}"} for name in ("n1", "n2", "n3")]
        assert execute_many(tx.connection, there, rows) == 2
        assert execute_many(tx.connection, there, rows[2:]) == 0
        assert {n.reason for n in tx.nodes(["n1", "n2"]).values()} == {"it's n1", "it's n2"}


def test_no_row_is_sent_back(store):
    """Where the database numbers the rows, nobody asks for the numbers."""
    event = {"event_id": "e", "node": "n1", "name": "x", "at": 1.0, "source": "boot", "actor": ""}
    rows = [{**event, "event_id": name, "data": {"a": [name]}} for name in ("e1", "e2")]
    with store.write() as tx:
        assert execute_many(tx.connection, insert(t.inbox), rows) == 2
        found = tx.connection.execute(select(t.inbox.c.event_id, t.inbox.c.data)).all()
    assert found == [("e1", {"a": ["e1"]}), ("e2", {"a": ["e2"]})]
    assert not [plan for plan in bulk._PLANS.values() if "RETURNING" in plan.text]
