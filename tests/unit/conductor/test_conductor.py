"""A whole conductor over a world in memory: machines get to ready by themselves."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from racksalt.conductor import Conductor
from racksalt.model.errors import StoreError
from racksalt.settings import ConductorSettings
from racksalt.store import Store
from racksalt.wire import state_tag
from tests.support.builders import a_bmc, a_node, an_event, the_rules
from tests.support.fakes import FakeWorld, wait_for
from tests.support.machines import Machines

PACE = ConductorSettings(
    workers=4,
    poll_s=0.02,
    agent_poll_s=0.05,
    jobs_sweep_s=0.05,
    keys_sweep_s=0.1,
    power_sweep_s=0.2,
    start_grace_s=0.1,
)
NAMES = [f"n{number}" for number in range(6)]


@pytest.fixture
def world():
    """A world in real time."""
    return FakeWorld(clock=time.time)


@pytest.fixture
def conductor(store, world):
    """A conductor over six declared nodes with BMCs; not started."""
    with store.write() as tx:
        tx.add_nodes([a_node(name, approved=True, goal="ready", agent="light") for name in NAMES])
        tx.put([a_bmc(name) for name in NAMES])
    found = Conductor(store, the_rules, world.ports, PACE, b"s" * 32)
    yield found
    found.stop()


def test_who_waited_for_the_lock_declares_nobody_dead_who_waited_too(conductor, store):
    """A commit of ten seconds keeps both from saying that they live; what the other holds is not taken from it."""
    conductor.writer.owner = "me"
    with store.write() as tx:
        tx.beat("other", time.time() - 10, lease_s=60, silent_s=6)
    conductor._beaten = time.time() - 11
    conductor._beat()
    assert store.conductors(time.time() - 60) == ["me", "other"]
    conductor._beat()
    assert store.conductors(time.time() - 60) == ["me"], (
        "the next look finds one that is dead indeed"
    )


def commission(conductor, names=NAMES):
    """Send nodes on their way."""
    conductor.handle([an_event("commission", name, "operator", at=time.time()) for name in names])


def states(store):
    """Return the state of every node."""
    return {node.id: node.state for node in store.nodes()}


def test_machines_get_to_ready_by_themselves(conductor, world):
    """Power, boots, stages, enrolment: nobody has to do anything, and the transitions are announced."""
    conductor.start()
    with Machines(conductor, world):
        commission(conductor)
        wait_for(lambda: set(states(conductor.store).values()) == {"ready"}, 30, "the way to ready")
    tags = [tag for tag, _ in world.announcer.published]
    wait_for(
        lambda: (
            state_tag("n1", "ready") in tags or tags.extend(t for t, _ in world.announcer.published)
        )
    )
    assert conductor.store.count("outbox") == 0


def test_without_start_nothing_is_driven(conductor, world):
    """A process that only takes events in switches nothing on."""
    commission(conductor)
    assert conductor.store.count("outbox") == 2 * len(NAMES)
    assert world.power.log == []


def test_the_next_conductor_goes_on_where_the_last_one_was(conductor, world):
    """A conductor that ends leaves nobody waiting: another drives on at once."""
    conductor.start()
    with Machines(conductor, world) as machines:
        commission(conductor)
        wait_for(lambda: any(n.stage == "raid" for n in conductor.store.nodes()), 20, "the middle")
        conductor.stop()
        again = Conductor(conductor.store, the_rules, world.ports, PACE, b"s" * 32)
        machines.conductor = again
        again.start()
        wait_for(lambda: set(states(again.store).values()) == {"ready"}, 30, "the way to ready")
        again.stop()


def test_a_stop_frees_what_was_leased(conductor, world, database_url):
    """Nothing is held by a conductor that is gone."""
    for name in NAMES:
        world.power.of(name).power, world.power.of(name).slow_off = "on", 10_000
    conductor.start()
    commission(conductor)
    wait_for(lambda: len(world.power.log) > 6, what="the first tries")
    conductor.stop()
    other = Store(database_url)
    with other.write() as tx:
        assert len(tx.lease("other", time.time() + 40, 60, 100)) == len(NAMES)
    other.close()


def test_an_event_may_be_handed_in_from_any_loop(conductor):
    """The boot API's loop waits for the commit without blocking."""

    async def submit():
        return await asyncio.gather(
            *(conductor.submit(an_event("x", name, noted="seen")) for name in NAMES)
        )

    assert sorted(outcome.seq for outcome in asyncio.run(submit())) == [1, 2, 3, 4, 5, 6]


def test_a_stopped_conductor_says_so(conductor):
    """Nobody waits for a commit that never comes."""
    conductor.stop()
    with pytest.raises(StoreError):
        conductor.handle_wait(an_event("x", noted="seen"))


def test_a_conductor_without_threads_goes_on_when_there_are_some_again(
    conductor, world, monkeypatch
):
    """One thread that cannot be started ends nothing: the effect is tried again, and all nodes get on."""
    plain, refused = threading.Thread.start, []

    def start(thread):
        if not refused and thread.name.startswith("racksalt-keys_"):
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    conductor.start()
    with Machines(conductor, world):
        commission(conductor, NAMES[:2])
        wait_for(
            lambda: [states(conductor.store)[name] for name in NAMES[:2]] == ["ready"] * 2,
            30,
            "the way to ready",
        )
    assert refused


def test_hints_make_sweeps_look_at_once(store, world):
    """A result, a key or an inbox row that was hinted at is not waited for."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", approved=True, agent="light")])
    slow = ConductorSettings(poll_s=60, jobs_sweep_s=60, keys_sweep_s=60, power_sweep_s=60)
    conductor = Conductor(store, the_rules, world.ports, slow, b"s" * 32)
    conductor.start()
    wait_for(lambda: not conductor._sweeps["work"]._poked.is_set())
    with store.write() as tx:
        tx.inbox_put([an_event("x", "n1", "bus", event_id="hint")])
    wait_for(lambda: conductor.poke("work") or store.count("inbox") == 0, what="the inbox")
    assert store.journal()[0].event_id == "hint"
    conductor.poke("no such sweep")
    conductor.stop()


def test_a_broken_bus_stops_nothing(conductor, world, caplog):
    """Announcing may fail; machines get on."""

    def broken(_tag, _payload):
        raise OSError("no bus")

    world.announcer.publish = broken
    caplog.set_level(logging.CRITICAL)
    conductor.start()
    with Machines(conductor, world):
        commission(conductor, ["n1"])
        wait_for(lambda: states(conductor.store)["n1"] == "ready", 30, "the way to ready")
