"""Runs one statement for many rows, at the driver's price.

SQLAlchemy prepares each row of such a statement anew; that was a quarter of what a batch of events cost the writer.
Here the statement is compiled once for its columns, and a row is its values in the driver's order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Dialect, Insert, Update

Row = Mapping[str, Any]


class _Plan(NamedTuple):
    """A compiled statement, its parameters in the driver's order, and how those that need it are turned."""

    text: str
    order: tuple[str, ...] | None
    turned: tuple[tuple[str, Callable[[Any], Any]], ...]


_PLANS: dict[Hashable, _Plan] = {}


def execute_many(connection: Connection, statement: Insert | Update, rows: Sequence[Row]) -> int:
    """Run ``statement`` for each of ``rows``, which all have the names of the first; return how many it touched.

    An insert is of plain columns: no default is worked out for one that the rows leave out, but by the database.
    """
    names = tuple(rows[0])
    own = statement.table if isinstance(statement, Insert) else statement
    key = (connection.dialect.name, type(statement), own, names)
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = _plan(connection.dialect, statement, names)
    ready = [dict(row) for row in rows] if plan.turned else rows
    for name, turn in plan.turned:
        for row in ready:
            row[name] = turn(row[name])  # type: ignore[index]
    told: Any = (
        ready if plan.order is None else [tuple(map(r.__getitem__, plan.order)) for r in ready]
    )
    done: CursorResult[Any] = connection.exec_driver_sql(plan.text, told)
    return done.rowcount


def _plan(dialect: Dialect, statement: Insert | Update, names: Sequence[str]) -> _Plan:
    columns = list(names) if isinstance(statement, Insert) else None
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
    turns = (
        (name, bind.type.dialect_impl(dialect).bind_processor(dialect))
        for name, bind in compiled.binds.items()
    )
    order = tuple(compiled.positiontup) if compiled.positional else None
    return _Plan(str(compiled), order, tuple((name, turn) for name, turn in turns if turn))
