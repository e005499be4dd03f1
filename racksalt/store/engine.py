"""Opens a database the way racksalt needs it: durable commits, one writer at a time, readers never blocked."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, OperationalError

from racksalt.model.errors import InvalidInputError, SettingsError

WRITE = "racksalt_write"
"""Execution option of a connection whose transaction will write."""
APPEND_LOCK = 0x7261636B
"""Key of the PostgreSQL advisory lock that puts journal rows in the order in which they are committed."""
PATIENCE = 30.0
"""Seconds until somebody who waits for SQLite's lock gives up."""
LOOK = 0.001
"""Seconds between two looks at SQLite's write lock."""
REACH: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""When PostgreSQL's client takes the server for gone (seconds, the last milliseconds): by themselves, hours later."""
SESSION = {
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25s",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "30s",
    "enable_seqscan": "off",
    "jit": "off",
}
"""Settings of each session. A client that is gone without a word must not keep the write lock from all others: the
server looks whether it is there, and ends a transaction in which nothing happens. Who waits for the lock gives up in
time to tell whoever waits in turn.

A prepared statement keeps its plan. One that was made for nearly empty tables reads them whole, also when the journal
has grown, until statistics are collected: whatever grows and is asked for has an index. What has none is read whole all
the same, but counts as so dear that the server would compile each such plan to machine code."""


def open_engine(url: str) -> Engine:
    """Return an engine for ``sqlite:///…`` or ``postgresql+psycopg://…``.

    Raises:
        SettingsError: another database, or a URL that cannot be parsed.
    """
    if not url.startswith(("sqlite:", "postgresql+psycopg:")):
        raise SettingsError(
            f"database: {url.split(':', 1)[0]!r} is not supported",
            "use sqlite:///path or postgresql+psycopg://…",
        )
    options: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": orjson.loads,
    }
    if url.startswith("postgresql"):
        asked = url.partition("?")[2]
        reach = {name: value for name, value in REACH.items() if f"{name}=" not in asked}
        pool = {"pool_size": 10, "max_overflow": 10, "pool_pre_ping": True}
        engine = _engine(url, connect_args=reach, **pool, **options)
        event.listen(engine, "connect", _tune_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    if url.removeprefix("sqlite:").strip("/") in ("", ":memory:"):
        raise SettingsError("database: names no file", "use sqlite:///path")
    engine = _engine(url, connect_args={"check_same_thread": False, "timeout": PATIENCE}, **options)
    event.listen(engine, "connect", _tune_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _dumps(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise InvalidInputError(f"cannot be written as JSON: {error}") from None


def _engine(url: str, **options: Any) -> Engine:
    try:
        return create_engine(url, **options)
    except (ArgumentError, ValueError):
        # The driver's own message may quote the URL, and with it a password.
        raise SettingsError(
            "database: cannot be read as a URL",
            "use sqlite:///path or postgresql+psycopg://user@host/name",
        ) from None
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"database: the driver {error.name!r} is not installed",
            "pip install 'racksalt[postgresql]'",
        ) from None


def _tune_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself; ``_begin_sqlite`` does, and says whether it will write.
    connection.isolation_level = None
    # Changing the mode of a new file is refused at once while another process looks at it.
    _insist(connection, "PRAGMA journal_mode=WAL")
    for pragma in (
        "synchronous=FULL",
        "foreign_keys=ON",
        "wal_autocheckpoint=4000",
        "cache_size=-16384",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        # A transaction that is left open sees the database as it was, for ever.
        return
    if options.get(WRITE):
        _insist(connection.connection.driver_connection, "BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")


def _insist(connection: Any, statement: str) -> None:
    """Run a statement that needs a lock of SQLite's, looking at the lock often enough to get a turn.

    SQLite's own wait grows to 100 ms between two looks: against a process that writes all the time, or several,
    somebody starves.

    Raises:
        sqlalchemy.exc.OperationalError: somebody kept the lock for ``PATIENCE`` seconds.
    """
    until = time.monotonic() + PATIENCE
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as error:
                if not _busy(error) or time.monotonic() > until:
                    raise OperationalError(statement, None, error) from error
            else:
                return
            time.sleep(LOOK)
    finally:
        connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}")


def _busy(error: sqlite3.OperationalError) -> bool:
    # Python 3.10 gives no ``sqlite_errorcode``.
    return str(error) == "database is locked"


def _tune_postgresql(connection: Any, _record: Any) -> None:
    for name, value in SESSION.items():
        connection.execute(f"SET {name} = '{value}'")
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(WRITE):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPEND_LOCK})")
