"""Durable transitions per second through the machine alone: no network, no agents, a real database.

64 submitters hand in events of 1,000 nodes and wait for each commit, as the boot API does. What the
disk itself can do is measured in the same run: commits of one row, and of a hundred.
"""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import Figure, size
from racksalt.conductor.view import Rules
from racksalt.conductor.writer import Writer
from racksalt.model.event import Event
from racksalt.model.node import Node
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.store import Store

NODES, SUBMITTERS, BATCH = size("NODES", 1000), 64, 256
COMMITS_S = size("COMMITS_MS", 1500) / 1000
RULES = Rules(
    machine=MACHINE,
    sequences=Sequences(STAGES, SEQUENCES, MACHINE),
    vouch=lambda _node, _event: False,
    token_ttl_s=3600,
    deadline_factor=1.0,
)
STAGE_ENDS = sum(len(SEQUENCES[name]) for name in ("commission", "install"))


def measure() -> list[Figure]:
    """Return the figures for SQLite, and for PostgreSQL where its binaries are."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="racksalt-bench-") as folder:
        limits = (_sqlite_commits(Path(folder), 1), _sqlite_commits(Path(folder), 100))
        figures += _figures("SQLite", f"sqlite:///{folder}/racksalt.db", *limits)
    figures += _postgresql()
    return figures


def _figures(kind: str, url: str, single: float, hundred: float) -> list[Figure]:
    store = Store(url)
    try:
        with store.write() as tx:
            tx.add_nodes([_node(f"n{number}") for number in range(NODES)])
        seconds, cpu_s, waits = _walk(store)
        count = store.count("journal")
    finally:
        store.close()
    rate = count / seconds
    return [
        Figure(f"{kind}: transitions", rate, "1/s", "aim 1,000"),
        Figure(f"{kind}: CPU per transition", cpu_s / count * 1000, "ms", "submitters included"),
        Figure(f"{kind}: event to commit, p50", waits[len(waits) // 2] * 1000, "ms"),
        Figure(f"{kind}: event to commit, p99", waits[len(waits) * 99 // 100] * 1000, "ms"),
        Figure(f"{kind}: durable commits of 1 row", single, "1/s", "the disk's own limit"),
        Figure(f"{kind}: rows in durable commits of 100", hundred, "1/s", "the disk's own limit"),
        Figure(f"{kind}: transitions per single commit", rate / single, "x"),
        Figure(f"{kind}: transitions per row of 100", rate / hundred, "x"),
    ]


def _node(name: str) -> Node:
    return Node(id=name, state="declared", version=1, state_since=0.0, approved=True, goal="ready")


def _walk(store: Store) -> tuple[float, float, list[float]]:
    """Take every node from declared to ready; return seconds, CPU seconds and the waits in order."""
    writer = Writer(store, lambda: RULES, time.time, batch=BATCH)
    waits: list[float] = []
    threads = [
        threading.Thread(target=_submit, args=(writer, number, waits))
        for number in range(SUBMITTERS)
    ]
    begun, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    writer.stop()
    states = {node.state for node in store.nodes()}
    if states != {"ready"}:
        raise RuntimeError(f"nodes ended in {states}")
    return seconds, cpu_s, sorted(waits)


def _submit(writer: Writer, first: int, waits: list[float]) -> None:
    for number in range(first, NODES, SUBMITTERS):
        name, job = f"n{number}", None
        for step, (event, needs_job) in enumerate(_life()):
            begun = time.perf_counter()
            data = {"jid": job, "address": "10.0.0.1"} if needs_job else {"address": "10.0.0.1"}
            outcome = writer.put(
                Event(
                    id=f"{name}:{step}",
                    node=name,
                    name=event,
                    at=time.time(),
                    source="operator" if event == "commission" else "boot",
                    data=data,
                )
            ).result()
            waits.append(time.perf_counter() - begun)
            job = outcome.node.job if outcome.node else None


def _life() -> Iterator[tuple[str, bool]]:
    """Yield what happens to a node from declared to ready, and whether it belongs to a job."""
    yield "commission", False
    for sequence in ("commission", "install"):
        yield "boot_requested", False
        yield "agent_answered", False
        for _ in SEQUENCES[sequence]:
            yield "stage_succeeded", True
    yield "boot_requested", False
    yield "agent_answered", False


def _sqlite_commits(folder: Path, rows: int) -> float:
    """Return how many rows a second SQLite writes durably, ``rows`` to a commit."""
    connection = sqlite3.connect(folder / f"limit{rows}.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE limits (id INTEGER PRIMARY KEY, data TEXT)")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO limits (data) VALUES (?)", [("x" * 200,)] * rows)
        connection.execute("COMMIT")

    rate = _rate(commit) * rows
    connection.close()
    return rate


def _rate(commit: Callable[[], None]) -> float:
    end, count, begun = time.perf_counter() + COMMITS_S, 0, time.perf_counter()
    while time.perf_counter() < end:
        commit()
        count += 1
    return count / (time.perf_counter() - begun)


def _postgresql() -> list[Figure]:
    # The tests know how to start a server; without its binaries there is nothing to measure.
    from tests.support.postgresql import NoPostgresqlError, a_server  # noqa: PLC0415

    try:
        with a_server(durable=True) as server:
            limits = tuple(_postgresql_commits(server.url(server.create()), n) for n in (1, 100))
            return _figures("PostgreSQL", server.url(server.create()), *limits)
    except NoPostgresqlError as error:
        print(f"  PostgreSQL is left out: {error}")
        return []


def _postgresql_commits(url: str, rows: int) -> float:
    import psycopg  # noqa: PLC0415  only where there is a PostgreSQL

    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE TABLE limits (id BIGSERIAL PRIMARY KEY, data TEXT)")
        statement = "INSERT INTO limits (data) SELECT repeat('x', 200) FROM generate_series(1, %s)"
        return _rate(lambda: connection.execute(statement, (rows,)) and None) * rows
