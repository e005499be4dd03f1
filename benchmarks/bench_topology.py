"""The topology of 1,000 nodes with 4 NICs and addresses: processor time of the GraphQL answer against plain SQL.

The yardstick reads the same rows with five plain SQL statements (driver only, no objects), nests them in dictionaries
and encodes them with orjson: what a hand-written endpoint would do at best. Both sides do one answer in turn, in one
process, so that whatever else the machine does falls on both; the ratio of the medians is what counts.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from benchmarks import Figure, size
from graphql_api import execution
from graphql_api.app import commands_of
from graphql_api.auth import SCOPES, Caller
from graphql_api.limits import Limits
from graphql_api.schema import schema
from graphql_api.services import Services
from graphql_api.store_source import StoreSource
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Rack, Zone
from racksalt.psm.table import MACHINE
from racksalt.store import Store

NODES = size("NODES", 1000)
NICS, ROUNDS = 4, 40
BUDGET = Limits(points_per_minute=10**12)
"""More points than a real caller has: the same token asks a hundred times a second here."""
TOPOLOGY = "{zones{name racks{name nodes{id state nics{name mac addresses{address family}}}}}}"
ONE = (
    "query($m:Mac!){node(by:{mac:$m}){id name state rack{name} nics{name mac addresses{address}}}}"
)
PAGE = "{nodes(first:50){totalCount nodes{id state rack{name} zone{name} power{state}}}}"
FAMILIES = {4: "V4", 6: "V6"}


def _populate(store: Store) -> None:
    names = [f"n{n:05}" for n in range(NODES)]
    pairs = [(n, name, k) for n, name in enumerate(names) for k in range(NICS)]
    with store.write() as tx:
        tx.put_places([Zone(name=f"z{n}") for n in range(5)])
        tx.put_places([Rack(name=f"r{n:03}", zone=f"z{n % 5}") for n in range(50)])
        tx.put_places([Network(name="admin", cidr_v4="10.0.0.0/8")])
        tx.add_nodes([_node(n, name) for n, name in enumerate(names)])
        tx.put([Nic(id=f"{m}/{k}", node=m, name=f"eth{k}", mac=_mac(n, k)) for n, m, k in pairs])
        tx.put([_address(n, name, k) for n, name, k in pairs])


def _node(number: int, name: str) -> Node:
    rack = number % 50
    return Node(
        id=name,
        state="ready",
        version=1,
        state_since=1e9,
        rack=f"r{rack:03}",
        zone=f"z{rack % 5}",
    )


def _mac(number: int, nic: int) -> str:
    return f"02:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}:{nic:02x}"


def _address(number: int, name: str, nic: int) -> Address:
    text = f"10.{nic}.{number >> 8}.{number & 255}"
    key = f"{name}/{nic}"
    return Address(id=key, node=name, nic=key, network="admin", address=text, family=4)


def plain(database: sqlite3.Connection) -> bytes:
    """Answer the topology with SQL, dictionaries and orjson."""
    addresses: dict[str, list[Any]] = {}
    for nic, address, family in database.execute(
        "SELECT nic, address, family FROM addresses ORDER BY family, address"
    ):
        shown = {"address": address, "family": FAMILIES[family]}
        addresses.setdefault(nic, []).append(shown)
    nics: dict[str, list[Any]] = {}
    for key, node, name, mac in database.execute(
        "SELECT id, node, name, mac FROM nics ORDER BY node, name"
    ):
        shown = {"name": name, "mac": mac, "addresses": addresses.get(key, [])}
        nics.setdefault(node, []).append(shown)
    nodes: dict[str, list[Any]] = {}
    for node, state, rack in database.execute("SELECT id, state, rack FROM nodes ORDER BY id"):
        shown = {"id": node, "state": state.upper(), "nics": nics.get(node, [])}
        nodes.setdefault(rack, []).append(shown)
    racks: dict[str, list[Any]] = {}
    for name, zone in database.execute("SELECT name, zone FROM racks ORDER BY name"):
        racks.setdefault(zone, []).append({"name": name, "nodes": nodes.get(name, [])})
    zones = [
        {"name": name, "racks": racks.get(name, [])}
        for (name,) in database.execute("SELECT name FROM zones ORDER BY name")
    ]
    return orjson.dumps({"data": {"zones": zones}})


def _spent(answer: Callable[[], object]) -> float:
    began = time.process_time()
    answer()
    return (time.process_time() - began) * 1000


class _Asked:
    """Asks the way the endpoint does: document, cost, execution, encoding."""

    def __init__(self, services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self._services = services
        self._loop = loop
        self._caller = Caller("bench", "bench", frozenset(SCOPES))

    def __call__(self, query: str, **variables: Any) -> bytes:
        async def answer() -> bytes:
            request = execution.Request(query, variables=variables)
            planned = execution.plan(self._services, request)
            context = execution.admit(self._services, self._caller, planned)
            return (await execution.run(self._services, context, planned)).body

        return self._loop.run_until_complete(answer())


def _figures(ask: _Asked, database: sqlite3.Connection) -> list[Figure]:
    given, expected = orjson.loads(ask(TOPOLOGY)), orjson.loads(plain(database))
    if given["data"] != expected["data"]:
        raise AssertionError("the two sides do not answer the same")
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(_spent(lambda: ask(TOPOLOGY)))
        theirs.append(_spent(lambda: plain(database)))
    ratio = statistics.median(ours) / statistics.median(theirs)
    ask(ONE, m=_mac(1, 1))
    one = statistics.median(_spent(lambda: ask(ONE, m=_mac(7, 2))) for _ in range(400))
    ask(PAGE)
    page = statistics.median(_spent(lambda: ask(PAGE)) for _ in range(400))
    execution.COMPILED = False
    core = min(_spent(lambda: ask(TOPOLOGY)) for _ in range(3))
    execution.COMPILED = True
    return [
        Figure("topology: GraphQL / plain SQL + orjson", ratio, "x", "<= 1"),
        Figure("topology: GraphQL", statistics.median(ours), "CPU-ms"),
        Figure("topology: plain SQL + orjson", statistics.median(theirs), "CPU-ms"),
        Figure("topology: GraphQL without plans", core, "CPU-ms"),
        Figure("topology: size of the answer", len(ask(TOPOLOGY)) / 1000, "kB"),
        Figure("one node by MAC", one, "CPU-ms", "<= 1"),
        Figure("page of 50 nodes", page, "CPU-ms", "<= 1"),
    ]


def measure() -> list[Figure]:
    """Measure the topology query."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "racksalt.db"
        store = Store(f"sqlite:///{path}")
        _populate(store)
        loop = asyncio.new_event_loop()
        services = Services(StoreSource(store), None, commands_of(MACHINE), schema, BUDGET)
        began = time.process_time()
        loop.run_until_complete(services.start())
        load = (time.process_time() - began) * 1000
        database = sqlite3.connect(path)
        try:
            figures = _figures(_Asked(services, loop), database)
        finally:
            loop.run_until_complete(services.stop())
            loop.close()
            database.close()
            store.close()
    return [*figures, Figure("loading the snapshot", load, "CPU-ms", "<= 3000")]
