"""Addresses under concurrency and in numbers: none is given out twice, and many taken ones cost nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from racksalt.conductor.declare import declare
from racksalt.conductor.handle import handle
from racksalt.model.node import Address
from racksalt.model.place import Network, Range
from racksalt.site.schema import Declarations
from racksalt.store import Store
from tests.support.builders import NOW, a_node, an_event, the_rules

WRITERS, EACH = 6, 20
NETWORK = Network(
    name="p1",
    purpose="provisioning",
    cidr_v4="10.0.0.0/16",
    cidr_v6="fd00::/64",
    ranges=(
        Range(name="a", first="10.0.1.0", last="10.0.255.254", use="reservations"),
        Range(name="b", first="fd00::1", last="fd00::ffff", use="reservations"),
    ),
)
SITE = Declarations(networks={"p1": NETWORK})


def found(number, turn=0):
    """Return the inventory of the node with this number."""
    mac = f"02:00:00:{turn:02x}:{number // 256:02x}:{number % 256:02x}"
    nics = [{"name": "eno1", "mac": mac, "speed_mbps": 1000, "pxe": True}]
    return an_event("inventory_reported", f"n{number}", inventory={"nics": nics})


def nodes(numbers):
    """Return nodes that were let in."""
    return [a_node(f"n{number}", "commissioning", approved=True) for number in numbers]


@pytest.mark.daemons
@pytest.mark.timeout(120)
def test_conductors_at_once_never_give_one_address_twice(database_url):
    """Several writers, each with a store of its own as several conductors have; every node gets its own addresses."""
    store = Store(database_url)
    declare(store, SITE, NOW)
    with store.write() as tx:
        tx.add_nodes(nodes(range(WRITERS * EACH)))
    faults, begin = [], threading.Barrier(WRITERS)

    def write(writer):
        own = Store(database_url)
        begin.wait(30)
        try:
            for number in range(writer * EACH, (writer + 1) * EACH, 2):
                with own.write() as tx:
                    handle(tx, [found(number), found(number + 1)], the_rules(), time.time())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must tell it
            faults.append(error)
        finally:
            own.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join(100)
    rows = store.all_of(Address)
    store.close()
    assert faults == []
    assert len(rows) == WRITERS * EACH * 2
    assert max(Counter(row.address for row in rows).values()) == 1
    assert set(Counter(row.node for row in rows).values()) == {2}


def test_one_more_node_among_ten_thousand_addresses_costs_milliseconds(store):
    """The time for a node does not grow with the addresses that others have."""
    declare(store, SITE, NOW)
    with store.write() as tx:
        tx.add_nodes(nodes(range(10_040)))
    few = _seconds(store, range(20))
    with store.write() as tx:
        rows = [
            Address(
                id=f"p1/10.0.{1 + n // 256}.{n % 256}",
                node=f"n{n + 40}",
                nic=None,
                network="p1",
                address=f"10.0.{1 + n // 256}.{n % 256}",
                family=4,
            )
            for n in range(20, 10_000)
        ]
        tx.put(rows)
    many = _seconds(store, range(20, 40))
    taken = {row.address for row in store.all_of(Address) if row.family == 4}
    assert len(taken) == 9980 + 40
    assert many < few * 5 + 0.05, (few, many)


def _seconds(store, numbers):
    """Return the median time of one inventory."""
    times = []
    for number in numbers:
        begun = time.perf_counter()
        with store.write() as tx:
            handle(tx, [found(number)], the_rules(), NOW)
        times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) // 2]
