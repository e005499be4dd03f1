"""Ten thousand events at once through the real bus: none is lost, each is journalled once. A flood is cut off."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import salt.utils.event
from sqlalchemy import select

from racksalt.adapters.salt_budget import BURST, TOLD_S
from racksalt.lab.rack import Rack
from racksalt.store import tables
from racksalt.wire import event_tag
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
EVENTS, NODES = 10_000, 20


@pytest.fixture
def rack():
    """A master with the conductor; its nodes are declared and rest."""
    root = Path(tempfile.mkdtemp(prefix="rb-", dir="/tmp"))
    with Rack(root) as rack:
        rack.use_nodes([f"b{number}" for number in range(NODES)])
        rack.master.start()
        rack.master.wait_ready()
        yield rack
    shutil.rmtree(root, ignore_errors=True)


def fire(bus, number, name="seen"):
    """Fire one event with an id of its own."""
    data = {"data": {"event_id": f"{name}-{number}"}}
    assert bus.fire_event(data, event_tag(f"b{number % NODES}", name))


def journalled(app, name):
    """Return the ids of all journal entries of one event."""
    with app.store.read() as connection:
        journal = tables.journal
        wanted = select(journal.c.event_id).where(journal.c.event == name)
        return [row.event_id for row in connection.execute(wanted)]


@contextmanager
def heard_bus(rack, app):
    """Give the master's bus once the conductor has journalled a probe that was fired on it."""
    app.operations.declare()
    opts = rack.master.opts
    with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:

        def listening():
            fire(bus, 0, "probe")
            return journalled(app, "probe")

        assert wait_for(listening, 60, every_s=0.2) is not None
        yield bus


def test_a_burst_is_journalled_whole_and_once(rack):
    """The bus's reader never blocks, whatever the database does meanwhile."""
    app = rack.open()
    with heard_bus(rack, app) as bus:
        for number in range(EVENTS):
            fire(bus, number)
    done = wait_for(lambda: len(journalled(app, "seen")) >= EVENTS, 120, every_s=0.5)
    found = journalled(app, "seen")
    assert done is not None, len(found)
    assert len(found) == len(set(found)) == EVENTS
    assert set(found) == {f"bus:b{n % NODES}:seen-{n}" for n in range(EVENTS)}
    assert len(journalled(app, "probe")) == 1
    assert {node["state"] for node in app.operations.list_nodes()} == {"declared"}
    app.close()


def test_a_flood_leaves_a_bounded_number_of_entries_and_one_that_counts_the_rest(rack):
    """About one node or under made-up names: whoever may fire on the bus cannot fill the journal."""
    app = rack.open()
    with heard_bus(rack, app) as bus:
        began = time.monotonic()
        for number in range(3 * BURST):
            fire(bus, number * NODES, "seen")
            bus.fire_event({"data": {"n": number}}, event_tag(f"nobody{number}", "seen"))
    told = wait_for(lambda: journalled(app, "events_left_out"), TOLD_S + 60, every_s=1)
    assert told is not None
    assert len(journalled(app, "seen")) <= BURST + time.monotonic() - began
    (entry,) = [one for one in app.store.history("") if one.event == "events_left_out"]
    assert "about b0" in entry.message
    assert "about names that no node has" in entry.message
    app.close()
