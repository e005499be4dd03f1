"""The tables themselves."""

from __future__ import annotations

import pytest
from sqlalchemy import Boolean, Float, ForeignKey

from racksalt.store.tables import metadata


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=str)
def test_instants_are_floats_that_say_so(table):
    """A column of an instant ends in ``_at``, ``_until``, ``_since`` or ``_before`` and is a float."""
    instants = [c for c in table.c if c.name.endswith(("_at", "_until", "_since", "_before"))]
    assert all(isinstance(column.type, Float) for column in instants), table


def test_constraints_have_names_that_migrations_can_use():
    """Every constraint and index has a name from the convention."""
    for table in metadata.sorted_tables:
        assert all(c.name for c in table.constraints if not isinstance(c, ForeignKey)), table
        assert all(index.name.startswith("ix_") for index in table.indexes)


def test_what_identifies_is_unique():
    """A MAC belongs to one NIC, an event id to one journal entry and one inbox row."""
    unique = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for constraint in table.constraints
        for column in getattr(constraint, "columns", ())
        if type(constraint).__name__ == "UniqueConstraint"
    }
    assert {("nics", "mac"), ("journal", "event_id"), ("inbox", "event_id")} <= unique


def test_no_boolean_may_be_unknown():
    """A flag is true or false."""
    columns = [c for table in metadata.sorted_tables for c in table.c]
    assert not [c for c in columns if isinstance(c.type, Boolean) and c.nullable]
