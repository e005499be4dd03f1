"""Rows and nouns."""

from __future__ import annotations

from dataclasses import fields

import pytest

from racksalt.model.event import Event
from racksalt.store.rows import MADE, NOUNS, query, reader, values
from tests.support.builders import a_node


@pytest.mark.parametrize("noun", NOUNS)
def test_each_field_of_a_noun_is_a_column(noun):
    """A noun and its table have the same fields, so nothing is lost on the way; the others are made of them."""
    made = MADE.get(noun, {}).keys()
    assert {field.name for field in fields(noun)} == set(NOUNS[noun].c.keys()) - made


def test_a_noun_comes_back_as_it_was(store):
    """What is written and read again is equal, with every type kept."""
    node = a_node(approved=True, position_u=3, deadline_at=1.5, reason="a 'quoted' \U0001f600 text")
    with store.write() as tx:
        tx.add_nodes([node])
    with store.read() as connection:
        assert reader(type(node))(connection.execute(query(type(node)))) == [node]


def test_an_event_comes_back_from_the_inbox(store):
    """Nested data survives the inbox."""
    event = Event(
        id="e1", node="n1", name="x", at=1.25, source="bus", data={"a": [1, {"b": None}], "ü": "ß"}
    )
    with store.write() as tx:
        tx.inbox_put([event])
    with store.write() as tx:
        assert tx.inbox_take(5) == [event]


def test_values_are_the_columns_by_name():
    """``values`` gives what a row takes."""
    assert values(a_node("n7"))["id"] == "n7"
