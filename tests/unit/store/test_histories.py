from __future__ import annotations

import pytest
from sqlalchemy import event

from racksalt.model.event import Entry
from racksalt.store.histories import histories
from tests.support.builders import a_node

NODES = ("n1", "n2", "n3")


def an_entry(seq, node):
    """Return a journal entry."""
    return Entry(
        seq=seq,
        at=float(seq),
        node=node,
        kind="noted",
        event="seen",
        event_id=f"e{seq}",
        from_state="ready",
        to_state="ready",
        stage=None,
        source="clock",
        actor="",
        message="",
    )


@pytest.fixture
def written(store):
    """Two nodes with ten and five entries, mixed; a third with none."""
    with store.write() as tx:
        tx.add_nodes([a_node(name) for name in NODES])
        tx.append([an_entry(seq, "n2" if seq % 3 == 0 else "n1") for seq in range(1, 16)])
    return store


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("before", [None, 1, 7, 16])
def test_each_node_has_the_page_that_it_would_have_alone(written, before, limit):
    """Newest first, older than the cursor, as many as asked: the same as asking for each node by itself."""
    alone = {name: written.history(name, before, limit) for name in NODES}
    found = histories(written, NODES, before, limit)
    assert found == {name: rows for name, rows in alone.items() if rows}


def test_only_the_nodes_asked_for_are_read(written):
    """A node that does not exist, and one without entries, are left out."""
    assert set(histories(written, ["n2", "n3", "nx"], None, 5)) == {"n2"}
    assert histories(written, [], None, 5) == {}


def test_any_number_of_nodes_is_one_statement(written):
    """The number of statements does not grow with the number of nodes."""
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(written.engine, "before_cursor_execute", note)
    for nodes in (NODES[:1], NODES):
        seen.clear()
        histories(written, nodes, None, 3)
        assert len(seen) == 1
    event.remove(written.engine, "before_cursor_execute", note)
