"""Several conductors over one PostgreSQL: no leader, no event twice, nothing lost when one is killed."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter

import pytest

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import open_app
from racksalt.conductor.handle import handle
from racksalt.settings import ConductorSettings, Settings
from racksalt.store import Store
from tests.support.builders import an_event, the_rules
from tests.support.conductors import conductors, end, fill, point_bmcs, states, unseen_actions
from tests.support.fakes import FakeWorld, wait_for
from tests.support.lab_server import LabServer
from tests.support.machines import Machines
from tests.support.sites import a_site

pytestmark = pytest.mark.daemons
NODES = 200
PACE = ConductorSettings(
    workers=8, agent_poll_s=0.2, jobs_sweep_s=0.2, power_sweep_s=2, start_grace_s=1
)
NAMES = [f"n{number:03d}" for number in range(NODES)]


@pytest.fixture
def url(postgresql, postgresql_template):
    """The address of a fresh database."""
    name = postgresql.create(postgresql_template)
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.mark.timeout(300)
def test_three_conductors_bring_two_hundred_nodes_to_ready_though_one_is_killed(url, tmp_path):
    """Killed -9 in the middle: the others take over what it held, in order, and nothing happens twice."""
    world = FakeWorld(clock=time.time)
    with LabServer(world) as lab:
        settings = Settings(
            database=url,
            secrets=str(tmp_path / "secrets"),
            site=str(a_site(tmp_path, nodes=())),
            simulated=lab.address,
            conductor=PACE,
        )
        file = tmp_path / "racksalt.yaml"
        write_settings(file, settings)
        app = open_app(settings)
        fill(app.store, NAMES)
        point_bmcs(app.store, NAMES, lab.address)
        running = conductors(str(file), 3)
        try:
            with Machines(app.conductor, world):
                now = time.time()
                app.conductor.handle([an_event("commission", n, "operator", at=now) for n in NAMES])
                wait_for(lambda: states(app.store)["enrolling"] > 0, 120, "the first install")
                running[0].send_signal(signal.SIGKILL)
                wait_for(lambda: states(app.store)["ready"] == NODES, 150, "the way to ready")
            assert end(running) == [-signal.SIGKILL, 0, 0]
            judge(app, lab.log)
        finally:
            for process in running:
                process.kill()
                process.communicate()
            app.close()


def judge(app, log):
    """Hold journal, outbox and BMC log against what was promised."""
    assert app.operations.replay() == dict.fromkeys(NAMES, "ready")
    assert app.store.count("outbox") == 0
    entries = app.store.journal(limit=1_000_000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    ended = Counter(
        (entry.node, entry.detail["jid"])
        for entry in entries
        if entry.event == "stage_succeeded" and entry.kind == "transition"
    )
    assert set(ended.values()) == {1}
    assert len(ended) == NODES * 9
    assert unseen_actions(log) == []
    callers = {caller for _, _, caller in log}
    assert len(callers) >= 3, "each conductor had its share"


@pytest.mark.timeout(120)
def test_writers_at_once_keep_the_journal_without_a_gap(database_url):
    """A reader that follows the sequence numbers misses nothing: they are committed in their order."""
    store = Store(database_url)
    fill(store, NAMES)
    stop, faults = threading.Event(), []

    def write(number):
        own = Store(database_url)
        for turn in range(30):
            events = [
                an_event("x", NAMES[(number + turn + k) % NODES], noted="x") for k in range(5)
            ]
            with own.write() as tx:
                handle(tx, events, the_rules(), time.time())
        own.close()

    def follow():
        seen = 0
        while not stop.is_set() or store.head() > seen:
            found = [entry.seq for entry in store.journal(seen, 50)]
            if found != list(range(seen + 1, seen + 1 + len(found))):
                faults.append((seen, found))
            seen = found[-1] if found else seen
            # Without a breath this thread has the interpreter, and the writers 5 ms each in turn.
            time.sleep(0.001)

    reader = threading.Thread(target=follow)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(90)
    stop.set()
    reader.join(30)
    assert (faults, store.head()) == ([], 4 * 30 * 5)
    store.close()
