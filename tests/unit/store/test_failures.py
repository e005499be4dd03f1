"""What a failed statement means."""

from __future__ import annotations

import traceback

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from racksalt.model.errors import ConflictError, InvalidInputError, StoreError
from racksalt.store.failures import told
from racksalt.store.tables import marks, nics, zones
from tests.support.builders import a_node


def test_a_row_that_contradicts_another_is_a_conflict(store):
    """It would fail again: the caller must not simply retry."""
    with pytest.raises(ConflictError, match="nothing was written"), store.write() as tx:
        tx.insert(zones, [{"name": "z2"}, {"name": "z1"}, {"name": "z1"}])
    assert store.count("zones") == 0


def test_a_part_of_no_node_is_a_conflict(store):
    """A NIC belongs to a node that exists, on both databases."""
    row = {"id": "x/m", "node": "x", "name": "m", "mac": "m", "pxe": False}
    with pytest.raises(ConflictError), store.write() as tx:
        tx.insert(nics, [row])


@pytest.mark.parametrize("value", ["\ud800", object()])
def test_a_value_that_cannot_be_written_is_invalid_input(store, value):
    """Half a surrogate or an object is no JSON."""
    row = {"event_id": "e", "node": "n", "name": "x", "at": 0.0, "source": "bus", "actor": ""}
    with pytest.raises(InvalidInputError, match="JSON"), store.write() as tx:
        tx.insert(store_table("inbox"), [{**row, "data": {"v": value}}])
    assert store.count("inbox") == 0


def store_table(name):
    """Return a table by its name."""
    return marks.metadata.tables[name]


def test_a_value_too_long_is_invalid_input(postgresql_store):
    """PostgreSQL holds columns to their length (SQLite does not care)."""
    with (
        pytest.raises(InvalidInputError, match="does not fit"),
        postgresql_store.write() as tx,
    ):
        tx.insert(zones, [{"name": "z" * 65}])


def test_a_pool_without_a_free_connection_is_trouble_with_the_database():
    """It may be free later: nothing that waits for it ends because of it."""
    with pytest.raises(StoreError, match="no connection is free"), told("reading", "retry"):
        raise PoolTimeoutError


def test_other_exceptions_pass_and_roll_back(store):
    """Whatever is raised inside, nothing stays of the transaction."""
    with pytest.raises(KeyError), store.write() as tx:
        {}[tx.add_nodes([a_node()])]
    assert store.nodes() == []


def test_no_secret_of_the_address_is_in_the_error(postgresql):
    """A database that cannot be reached is named without its password."""
    from racksalt.store import Store

    url = postgresql.url("no_such_database").replace("racksalt@", "racksalt:hidden@")
    with pytest.raises(StoreError, match="cannot open the database") as caught:
        Store(url)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
