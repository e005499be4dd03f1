"""Between the bus and the inbox: nothing is lost while memory lasts, nothing blocks the reader."""

from __future__ import annotations

import threading

import pytest

from racksalt.adapters import salt_bus
from racksalt.adapters.salt_budget import BURST, Budget
from racksalt.adapters.salt_bus import BusReader, SaltAnnouncer
from racksalt.model.errors import StoreError
from tests.support.fakes import wait_for
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture

JID = "20261123000102000007"


def event(number):
    """Return a node event as the bus gives it."""
    return {"tag": "racksalt/node/n1/event/moved", "data": {"data": {"event_id": str(number)}}}


RETURNED = {"tag": f"salt/job/{JID}/ret/n1", "data": {"id": "n1"}}


@pytest.fixture
def reader():
    """Make readers whose writing end runs and whose reading end is the test."""
    threads = []

    def make(sink, **more):
        made = BusReader({}, sink, **more)
        threads.append((made, threading.Thread(target=made._write)))
        threads[-1][1].start()
        return made

    yield make
    for made, thread in threads:
        made._stop.set()
        made._more.set()
        thread.join(10)
        assert not thread.is_alive()


def test_hints_arrive_in_order_and_in_batches(reader):
    """A burst takes few transactions, and the order is kept."""
    batches = []
    go = threading.Event()

    def sink(batch):
        go.wait(5)
        batches.append([hint.id for hint in batch])

    reading = reader(sink)
    for number in range(2000):
        reading._take(event(number))
    go.set()
    wait_for(lambda: reading.written == 2000)
    assert [one for batch in batches for one in batch] == [f"bus:n1:{n}" for n in range(2000)]
    assert len(batches) < 10


def test_what_is_over_the_budget_does_not_wait_in_memory(reader):
    """A flood while the database is away is cut off before the queue."""
    go = threading.Event()
    budget = Budget(lambda: 0.0)
    reading = reader(lambda _: go.wait(10), admits=budget.admits)
    for number in range(BURST + 500):
        reading._take(event(number))
    assert len(reading._queue) <= BURST
    go.set()
    wait_for(lambda: reading.written == BURST)


def test_a_batch_is_handed_in_until_it_is_taken(reader):
    """A locked database or a full disk delays hints; it does not lose them."""
    taken, tries = [], []

    def sink(batch):
        tries.append(len(batch))
        if len(tries) < 4:
            raise StoreError("database is locked")
        taken.extend(batch)

    reading = reader(sink)
    reading._take(event(1))
    wait_for(lambda: reading.written == 1)
    assert len(tries) == 4
    assert [hint.id for hint in taken] == ["bus:n1:1"]


def test_an_event_that_makes_no_sense_stops_nothing(reader, caplog):
    """The reader goes on with the next one."""
    told = []
    reading = reader(told.extend)
    reading._take({"tag": None, "data": {}})
    reading._take(event(1))
    wait_for(lambda: told)
    assert "makes no sense" in caplog.text


def test_memory_is_bounded(reader, monkeypatch, caplog):
    """Beyond the bound the newest hints are dropped, counted and told."""
    monkeypatch.setattr(salt_bus, "CAPACITY", 10)
    blocked = threading.Event()

    def sink(batch):
        blocked.wait(10)

    reading = reader(sink)
    for number in range(50):
        reading._take(event(number))
    dropped = reading.dropped
    blocked.set()
    wait_for(lambda: reading.written + dropped == 50)
    assert 0 < dropped <= 40
    assert "were dropped" in caplog.text


def test_a_return_is_told_when_it_can_be_found(reader):
    """Salt fires the event before it stores the return; the hint waits for the store."""
    stored, told = threading.Event(), []
    reading = reader(told.extend, stored=lambda jid, node: stored.is_set())
    reading._take(RETURNED)
    reading._take(event(1))
    wait_for(lambda: told)
    assert [hint.kind for hint in told] == ["event"]
    stored.set()
    wait_for(lambda: len(told) == 2)
    assert told[1].data == {"jid": JID}


def test_a_return_that_is_never_stored_is_told_all_the_same(reader, monkeypatch):
    """The hint is held back for a bounded time only, and a failing job cache does not hold it."""
    monkeypatch.setattr(salt_bus, "_STORED_WITHIN_S", 0.1)
    told = []
    reading = reader(told.extend, stored=lambda jid, node: False)
    reading._take(RETURNED)
    wait_for(lambda: told)

    def fails(jid, node):
        raise OSError

    again = []
    reading = reader(again.extend, stored=fails)
    reading._take(RETURNED)
    wait_for(lambda: again)


def test_returns_of_jobs_that_no_node_runs_are_dropped_unseen(reader):
    """Any minion can fire them without end: they cost one question for a batch, and no file is looked at."""
    looked, asked, told = [], [], []

    def running(jids):
        asked.append(len(jids))
        return {(JID, "n1")}

    go = threading.Event()
    reading = reader(
        lambda batch: go.wait(5) and told.extend(batch),
        stored=lambda jid, node: looked.append((jid, node)) or True,
        running=running,
    )
    reading._take(event(0))
    for number in range(300):
        reading._take({"tag": f"salt/job/{number:020d}/ret/n1", "data": {}})
        reading._take({"tag": f"salt/job/{JID}/ret/n2", "data": {}})
        reading._take(RETURNED)
    reading._take(event(1))
    go.set()
    wait_for(lambda: [hint.name for hint in told].count("moved") == 2)
    wait_for(lambda: [hint.kind for hint in told].count("returned") >= 1)
    assert set(looked) == {(JID, "n1")}
    assert len(looked) <= len(asked) <= 4


def test_a_database_that_is_away_drops_no_return(reader):
    """What cannot be sorted out is handed on."""
    told = []

    def running(jids):
        raise StoreError("locked")

    reading = reader(told.extend, stored=lambda *_: True, running=running)
    reading._take(RETURNED)
    wait_for(lambda: told)


def test_announcing_without_a_bus_is_no_error(tmp_path, caplog):
    """A transition that cannot be published is told in the log, and nothing else happens."""
    opts = {"sock_dir": str(tmp_path), "ipc_mode": "ipc"}
    announcer = SaltAnnouncer(opts)
    announcer.publish("racksalt/node/n1/state/ready", {"seq": 1})
    announcer.close()
    assert "was not announced" in caplog.text
