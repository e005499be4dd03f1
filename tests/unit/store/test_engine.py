"""How a database is opened."""

from __future__ import annotations

import builtins
import subprocess
import sys
import time

import pytest

from racksalt.model.errors import SettingsError, StoreError
from racksalt.store import Store, engine
from racksalt.store.engine import open_engine
from racksalt.store.failures import told

GREEDY = """
import sys, time
from racksalt.store import Store
store = Store(sys.argv[1])
print("writing", flush=True)
while True:
    with store.write():
        time.sleep(0.02)
"""
"""A process that has SQLite's write lock nearly all the time."""


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:hidden@h/d", "'mysql' is not supported"),
        ("postgresql://u:hidden@h/d", "'postgresql' is not supported"),
        ("postgresql+psycopg://u:hidden@h:port/d", "cannot be read as a URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_address_is_refused_without_being_quoted(url, message):
    """A database that racksalt cannot use is a settings error; no password is in its text."""
    with pytest.raises(SettingsError, match=message) as caught:
        open_engine(url)
    assert "hidden" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch):
    """Without psycopg the message says what to install."""
    plain = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] == "psycopg":
            raise ModuleNotFoundError("No module", name="psycopg")
        return plain(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"psycopg.*racksalt\[postgresql\]"):
        open_engine("postgresql+psycopg://u@/d")


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30000)],
)
def test_sqlite_commits_durably_and_readers_never_wait(sqlite_store, pragma, value):
    """A commit is on the disk when it returns (synchronous=FULL), and readers see the state before it (WAL)."""
    with sqlite_store.read() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_a_busy_writer_does_not_starve_another(sqlite_store):
    """Looking at the lock every 100 ms, as SQLite does by itself, would take seconds to find it free."""
    greedy = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", GREEDY, sqlite_store.url],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert greedy.stdout.readline() == "writing\n"
        waits = []
        for _ in range(10):
            before = time.monotonic()
            with sqlite_store.write():
                waits.append(time.monotonic() - before)
    finally:
        greedy.kill()
        greedy.communicate()
    assert sorted(waits)[5] < 1, waits


def test_a_lock_that_is_never_given_back_is_told(sqlite_store, monkeypatch):
    """The error comes after the patience, names the cause, and a later write works."""
    monkeypatch.setattr(engine, "PATIENCE", 0.2)
    other = Store(sqlite_store.url)
    with (
        other.write(),
        pytest.raises(StoreError, match=r"locked.*retry"),
        sqlite_store.write(),
    ):
        pass
    with sqlite_store.write():
        pass
    other.close()


def test_postgresql_commits_durably(postgresql_store):
    """Nothing in a connection switches off the wait for the disk."""
    with postgresql_store.read() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_postgresql_keeps_no_plan_that_reads_a_growing_table_whole(postgresql_store):
    """A plan made while the journal is nearly empty is kept while it grows."""
    asked = "SELECT seq FROM journal WHERE event_id IN ('a', 'b')"
    with postgresql_store.read() as connection:
        connection.exec_driver_sql("ANALYZE journal")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {asked}").scalars())
    assert "Index" in plan, plan


def test_postgresql_compiles_no_plan(postgresql_store):
    """Tables without an index count as dear when read; the statement is still no work for a compiler."""
    with postgresql_store.read() as connection:
        rows = connection.exec_driver_sql("EXPLAIN ANALYZE SELECT cidr_v4, name FROM networks")
        plan = "\n".join(rows.scalars())
    assert "Seq Scan" in plan, plan
    assert "JIT" not in plan, plan


def test_postgresql_lets_no_client_that_is_gone_keep_the_lock(postgresql_store, monkeypatch):
    """A conductor that was cut off in the middle of a commit would keep all others from writing, for hours."""
    monkeypatch.setitem(engine.SESSION, "idle_in_transaction_session_timeout", "1s")
    hung = open_engine(postgresql_store.url)
    connection = hung.connect().execution_options(**{engine.WRITE: True})
    connection.begin()
    connection.exec_driver_sql("SELECT 1")
    began = time.monotonic()
    with postgresql_store.write() as tx:
        tx.head()
    assert 0.5 < time.monotonic() - began < 20
    with pytest.raises(StoreError, match="idle-in-transaction"), told("reading", "retry"):
        connection.exec_driver_sql("SELECT 1")
    connection.invalidate()
    hung.dispose()


def test_postgresql_is_told_how_long_to_wait(postgresql_store):
    """Who waits for the write lock gives up in the end, and says so to whoever waits in turn."""
    with postgresql_store.read() as connection:
        shown = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("idle_in_transaction_session_timeout", "lock_timeout", "jit")
        }
    assert shown == {
        "idle_in_transaction_session_timeout": "1min",
        "lock_timeout": "30s",
        "jit": "off",
    }


def test_what_the_address_says_of_timeouts_holds(postgresql_store):
    """A site that knows better how long its network may be silent is not overruled."""
    url = f"{postgresql_store.url}{'&' if '?' in postgresql_store.url else '?'}connect_timeout=3"
    opened = open_engine(url)
    try:
        with opened.connect() as connection:
            told = connection.connection.driver_connection.info.get_parameters()
    finally:
        opened.dispose()
    assert (told["connect_timeout"], told["keepalives_idle"]) == ("3", "10")
