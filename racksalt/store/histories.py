"""Reads the history of many nodes in one statement."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, func, select

from racksalt.model.event import Entry
from racksalt.store import tables as t
from racksalt.store.rows import query, reader
from racksalt.store.store import Store

_EVER = 2**62


def histories(
    store: Store, nodes: Sequence[str], before_seq: int | None, limit: int
) -> dict[str, list[Entry]]:
    """Return each node's newest ``limit`` entries older than ``before_seq``, newest first; one statement for all.

    Nodes that do not exist or have no such entries are left out.
    """
    oldest = (
        # The last entry of the page, found by the index on (node, seq): nothing older is read.
        select(t.journal.c.seq)
        .where(t.journal.c.node == t.nodes.c.id, t.journal.c.seq < bindparam("before"))
        .order_by(t.journal.c.seq.desc())
        .limit(1)
        .offset(bindparam("skip"))
        .correlate(t.nodes)
        .scalar_subquery()
    )
    # The page's journal rows are read under another name, so that the subquery keeps its own.
    journal = t.journal.alias("page")
    wanted = (
        select(*(journal.c[column.name] for column in query(Entry).selected_columns))
        .select_from(t.nodes)
        .join(
            journal,
            and_(
                journal.c.node == t.nodes.c.id,
                journal.c.seq < bindparam("before"),
                journal.c.seq >= func.coalesce(oldest, 0),
            ),
        )
        .where(t.nodes.c.id.in_(bindparam("ids", expanding=True)))
        .order_by(journal.c.node, journal.c.seq.desc())
    )
    given = {"ids": list(nodes), "before": before_seq or _EVER, "skip": limit - 1}
    found: dict[str, list[Entry]] = {}
    with store.read() as connection:
        for entry in reader(Entry)(connection.execute(wanted, given)):
            found.setdefault(entry.node, []).append(entry)
    return found
