"""A conductor that is killed, again and again, in the middle of everything: the next one goes on."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import open_app
from racksalt.settings import ConductorSettings, Settings
from tests.support.builders import an_event
from tests.support.conductors import conductors, end, fill, point_bmcs, states, unseen_actions
from tests.support.fakes import FakeWorld, wait_for
from tests.support.lab_server import LabServer
from tests.support.machines import Machines
from tests.support.sites import a_site

pytestmark = pytest.mark.daemons
NAMES = [f"n{number:02d}" for number in range(40)]
PACE = ConductorSettings(
    workers=8, agent_poll_s=0.2, jobs_sweep_s=0.2, power_sweep_s=2, start_grace_s=1
)
KILLS_AT = (60, 200, 350, 500)
"""How far the journal has come when a conductor is killed."""
MOVING_S = 10.0


@pytest.fixture
def world():
    """A world in real time, whose servers take a moment to go off and on."""
    found = FakeWorld(clock=time.time)
    for name in NAMES:
        found.power.of(name).slow_off = found.power.of(name).slow_on = 1
    return found


@pytest.mark.timeout(240)
def test_a_conductor_killed_four_times_loses_nobody(tmp_path, world):
    """Every node gets to ready with no command from a person, and moves again within ten seconds of a start."""
    with LabServer(world) as lab:
        settings = Settings(
            database=f"sqlite:///{tmp_path}/racksalt.db",
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
        with Machines(app.conductor, world):
            now = time.time()
            app.conductor.handle([an_event("commission", n, "operator", at=now) for n in NAMES])
            drive(app, file)
        judge(app, lab.log)
        app.close()


def drive(app, file):
    """Start conductors one after the other, and kill each but the last in the middle."""
    for head in (*KILLS_AT, None):
        (process,) = conductors(str(file), 1)
        try:
            before = app.store.head()
            wait_for(lambda b=before: app.store.head() > b, MOVING_S, "a move after the start")
            if head is None:
                wait_for(lambda: states(app.store)["ready"] == len(NAMES), 60, "the way to ready")
                assert end([process]) == [0]
            else:
                wait_for(lambda h=head: app.store.head() > h, 60, "the middle")
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def judge(app, log):
    """Nothing was lost, nothing counted twice, no server was switched without a look."""
    assert app.operations.replay() == dict.fromkeys(NAMES, "ready")
    assert app.store.count("outbox") == 0
    assert unseen_actions(log) == []
    ended = Counter(
        (entry.node, entry.detail["jid"])
        for entry in app.store.journal(limit=1_000_000)
        if entry.event == "stage_succeeded" and entry.kind == "transition"
    )
    assert set(ended.values()) == {1}
    boots = sum(node.boot for node in app.store.nodes())
    starts = sum(what == "on" for _, what, _ in log)
    assert boots <= starts <= boots + len(KILLS_AT) * PACE.workers, (
        "only what was in hand is repeated"
    )
