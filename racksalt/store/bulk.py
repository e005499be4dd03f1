"""Runs one statement for many rows, at the driver's price.

SQLAlchemy prepares each row of such a statement anew; that was a quarter of what a batch of events cost the writer.
Here the statement is compiled once for its columns, and a row is its values in the driver's order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Dialect, Insert, Update

Row = dict[str, Any]


class _Plan(NamedTuple):
    """A compiled statement, its parameters in the driver's order, and what turns those that a driver does not know."""

    text: str
    order: tuple[str, ...] | None
    processors: tuple[tuple[str, Callable[[Any], Any]], ...]


_PLANS: dict[Hashable, _Plan] = {}


def execute_many(connection: Connection, statement: Insert | Update, rows: Sequence[Row]) -> int:
    """Run ``statement`` for each of ``rows``, which all have the names of the first; return how many it touched.

    ``statement`` is a plain ``insert(table)``, where the database alone has defaults for what the rows leave out, or
    an update that lives as long as the process, for it is known again by its identity.
    """
    names = tuple(rows[0])
    which = statement.table if isinstance(statement, Insert) else statement
    key = (connection.dialect.name, type(statement), which, names)
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = _plan(connection.dialect, statement, names)
    ready = rows
    if plan.processors:
        ready = [row | {name: turn(row[name]) for name, turn in plan.processors} for row in rows]
    parameters: Any = (
        ready if plan.order is None else [tuple(map(r.__getitem__, plan.order)) for r in ready]
    )
    done: CursorResult[Any] = connection.exec_driver_sql(plan.text, parameters)
    return done.rowcount


def _plan(dialect: Dialect, statement: Insert | Update, names: Sequence[str]) -> _Plan:
    columns = list(names) if isinstance(statement, Insert) else None
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns, for_executemany=True)
    turns = (
        (name, bind.type.dialect_impl(dialect).bind_processor(dialect))
        for name, bind in compiled.binds.items()
    )
    order = tuple(compiled.positiontup) if compiled.positional else None
    return _Plan(str(compiled), order, tuple((name, turn) for name, turn in turns if turn))
