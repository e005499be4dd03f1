"""Effects in threads: one at a time per node and lane, and lanes that never wait for one another."""

from __future__ import annotations

import threading

import pytest

from racksalt.conductor import dispatch
from racksalt.conductor.dispatch import MOST_HELD, STALE_S, Dispatcher
from racksalt.conductor.writer import Result
from racksalt.model.errors import AgentUnreachableError
from tests.support.builders import a_node, a_task, an_effect
from tests.support.fakes import FakeWorld, wait_for


class Effects:
    """Effects that wait until they are let go, and keep who ran together."""

    def __init__(self, monkeypatch):
        self.running, self.done, self.most = [], [], 0
        self.gates, self.lock = {}, threading.Lock()
        monkeypatch.setattr(dispatch, "EFFECTS", dict.fromkeys(dispatch.EFFECTS, self.perform))

    def perform(self, _world, tasks, _now):
        """Run until the gate of the effect's name opens."""
        names = [(task.effect.node, task.effect.name) for task in tasks]
        with self.lock:
            self.running += names
            self.most = max(self.most, len(self.running))
        assert self.gate(names[0][1]).wait(20)
        with self.lock:
            for name in names:
                self.running.remove(name)
                self.done.append(name)
        return [Result(effect=task.effect) for task in tasks]

    def gate(self, name):
        """Return the gate of all effects of this name."""
        return self.gates.setdefault(name, threading.Event())

    def open(self):
        """Let everything go."""
        for name in dispatch.EFFECTS:
            self.gate(name).set()


def of(node, name):
    """Return a task of a node: its effect and its row."""
    return a_task(an_effect(name, node), a_node(node, boot=1))


@pytest.fixture
def effects(monkeypatch):
    """Effects under the test's control."""
    found = Effects(monkeypatch)
    yield found
    found.open()


@pytest.fixture
def dispatcher(effects):
    """A dispatcher with four workers a lane; ``finished`` keeps the results."""
    results, world = [], FakeWorld()
    found = Dispatcher(world.ports, 4, results.extend)
    found.results, found.clock, found.suspects = results, world.clock, world.power.suspects
    yield found
    effects.open()
    found.stop()


def test_one_node_and_lane_is_never_worked_on_twice_at_once(dispatcher, effects):
    """The second effect waits for the first, and then runs."""
    first, second = a_task(name="power_off"), a_task(name="power_on")
    dispatcher.leased([first])
    wait_for(lambda: effects.running)
    dispatcher.leased([second])
    effects.gate("power_on").set()
    assert effects.running == [("n1", "power_off")]
    effects.open()
    wait_for(lambda: len(dispatcher.results) == 2)
    assert effects.done == [("n1", "power_off"), ("n1", "power_on")]
    assert effects.most == 1


def test_slow_bmcs_never_hold_up_agents(dispatcher, effects):
    """All workers of the power lane are stuck, and stages start all the same."""
    dispatcher.leased([of(f"n{n}", "power_off") for n in range(9)])
    wait_for(lambda: len(effects.running) == 4)
    effects.gate("ask_agent").set()
    dispatcher.leased([a_task(name="ask_agent")])
    wait_for(lambda: dispatcher.results)
    assert effects.done == [("n1", "ask_agent")]


def test_an_effect_that_is_leased_again_while_it_waits_runs_once(dispatcher, effects):
    """A lease that ends in the queue does not double the work."""
    task = a_task(name="power_off")
    dispatcher.leased([task])
    dispatcher.leased([task])
    effects.open()
    wait_for(lambda: dispatcher.results)
    dispatcher.stop()
    assert effects.done == [("n1", "power_off")]


@pytest.mark.parametrize(
    ("name", "boot", "runs"),
    [
        ("power_cycle", 1, False),
        ("run_stage", 1, False),
        ("revoke_key", 1, True),
        ("power_cycle", 2, True),
    ],
)
def test_what_belongs_to_an_older_boot_is_done_with(dispatcher, effects, name, boot, runs):
    """A node that was sent into another boot is not cycled for the old one; its old key still goes."""
    effects.open()
    dispatcher.leased([a_task(name=name, boot=boot, node=a_node(boot=2))])
    wait_for(lambda: dispatcher.results)
    assert bool(effects.done) is runs


def test_agents_of_one_kind_are_asked_together(dispatcher, effects):
    """One question for all of them; each BMC is another conversation."""
    tasks = [a_task(name="ask_agent", node=a_node(f"n{n}", boot=1)) for n in range(5)]
    groups = dispatch._groups(
        [*tasks, a_task(name="power_on"), a_task(name="power_on", node=a_node("n2", boot=1))]
    )
    assert sorted(len(group) for group in groups) in ([1, 5], [1, 1, 5], [2, 5])
    light = [a_task(name="ask_agent", node=a_node("n9", agent="light", boot=1))]
    assert len(dispatch._groups([*tasks, *light])) == 2


def test_an_effect_that_raises_is_tried_again(monkeypatch):
    """Neither our own faults nor an absent master end an effect."""
    results, world = [], FakeWorld()
    for error, words in (
        (RuntimeError("bug"), "RuntimeError: bug"),
        (AgentUnreachableError("away"), "away"),
    ):

        def raising(*_arguments, error=error):
            raise error

        monkeypatch.setattr(dispatch, "EFFECTS", {"run_stage": raising})
        found = Dispatcher(world.ports, 1, results.extend)
        found.leased([a_task(name="run_stage", attempts=1)])
        wait_for(lambda: results)
        found.stop()
        result = results.pop()
        assert (result.again_after_s, result.error) == (1.0, words)


def test_what_became_void_in_the_queue_is_not_done(effects):
    """After a long wait the outbox is asked: an effect that was deleted meanwhile must not happen."""
    results, world = [], FakeWorld()
    wanted = set()
    found = Dispatcher(world.ports, 1, results.extend, lambda ids: wanted & set(ids))
    first, void, kept = (of(node, "power_off") for node in ("n1", "n2", "n3"))
    wanted |= {kept.effect.id}
    found.leased([first])
    wait_for(lambda: effects.running)
    found.leased([void, kept])
    world.clock.pass_(STALE_S + 1)
    effects.open()
    wait_for(lambda: len(effects.done) == 2)
    found.stop()
    assert effects.done == [("n1", "power_off"), ("n3", "power_off")]
    assert found.room() == MOST_HELD


def test_a_wish_that_waited_for_an_older_one_is_looked_up_before_it_is_done(effects):
    """Power cycle, off, on: while the BMC is busy with the first, the third took the second's place."""
    results, world, wanted = [], FakeWorld(), set()
    found = Dispatcher(world.ports, 1, results.extend, lambda ids: wanted & set(ids))
    cycle, off, on = (a_task(name=name) for name in ("power_cycle", "power_off", "power_on"))
    found.leased([cycle])
    wait_for(lambda: effects.running)
    found.leased([off])
    world.clock.pass_(STALE_S + 1)
    wanted |= {on.effect.id}
    found.leased([on])
    effects.open()
    wait_for(lambda: len(effects.done) == 2)
    found.stop()
    assert [name for _, name in effects.done] == ["power_cycle", "power_on"]
    assert found.room() == MOST_HELD


def test_dead_bmcs_never_hold_up_keys(dispatcher, effects):
    """All workers of power are stuck, and a healthy node's proven key is accepted all the same."""
    dispatcher.leased([of(f"n{n}", "power_off") for n in range(9)])
    wait_for(lambda: len(effects.running) == 4)
    effects.gate("accept_key").set()
    dispatcher.leased([of("n77", "accept_key")])
    wait_for(lambda: dispatcher.results)
    assert [name for _, name in effects.done] == ["accept_key"]


def test_dead_bmcs_never_hold_up_the_power_of_others(dispatcher, effects):
    """All that may cost a time-out waits apart: a node whose BMC is well is switched on at once."""
    dead = [f"n{n}" for n in range(9)]
    dispatcher.suspects.update(dead)
    dispatcher.leased([of(node, "power_off") for node in dead])
    wait_for(lambda: len(effects.running) == 2)
    effects.gate("power_on").set()
    dispatcher.leased([of("n77", "power_on")])
    wait_for(lambda: dispatcher.results)
    assert effects.done == [("n77", "power_on")]


def refuse(monkeypatch, name, times=1):
    """Let the next threads with such a name not be started; return what is left of them."""
    plain, left = threading.Thread.start, [name] * times

    def start(thread):
        if left and thread.name.startswith(name):
            left.pop()
            raise RuntimeError("can't start new thread")
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return left


def test_a_thread_that_cannot_be_started_costs_one_try(dispatcher, effects, monkeypatch):
    """What could not be begun is put back, held by nobody, and done once when it comes again; the rest goes on."""
    left = refuse(monkeypatch, "racksalt-power")
    effects.open()
    task = of("n1", "power_off")
    dispatcher.leased([task, of("n2", "ask_agent")])
    wait_for(lambda: len(dispatcher.results) == 2)
    (failed,) = [r for r in dispatcher.results if r.effect == task.effect]
    assert (failed.again_after_s, left) == (0.5, [])
    assert "can't start new thread" in failed.error
    assert dispatcher.held() == []
    dispatcher.leased([task, of("n3", "power_on")])
    wait_for(lambda: len(dispatcher.results) == 4)
    assert sorted(effects.done) == [("n1", "power_off"), ("n2", "ask_agent"), ("n3", "power_on")]


def test_what_waited_for_one_that_could_not_be_begun_is_begun(dispatcher, effects, monkeypatch):
    """Keys cannot be asked just now: what waited in the same lane of the node runs."""
    dispatcher.leased([of("n1", "power_off")])
    wait_for(lambda: effects.running)
    dispatcher.leased([of("n1", "revoke_key")])
    dispatcher.leased([of("n1", "power_on")])
    refuse(monkeypatch, "racksalt-keys")
    effects.open()
    wait_for(lambda: len(dispatcher.results) == 3)
    assert effects.done == [("n1", "power_off"), ("n1", "power_on")]
    assert [r.effect.name for r in dispatcher.results if r.error] == ["revoke_key"]


def test_what_a_thread_took_all_the_same_is_not_put_back(dispatcher, effects, monkeypatch):
    """A pool that cannot start one more thread keeps the work for those that it has."""
    pool = dispatcher._pools["power"]
    plain = pool.submit

    def submit(*given):
        plain(*given)
        wait_for(lambda: effects.running)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "submit", submit)
    dispatcher.leased([of("n1", "power_off")])
    assert len(dispatcher.held()) == 1
    effects.open()
    wait_for(lambda: dispatcher.results)
    dispatcher.stop()
    assert [result.error for result in dispatcher.results] == [None]
    assert effects.done == [("n1", "power_off")]


def test_each_is_judged_by_its_own_time(effects):
    """Of a group, one waited for long and one just came: an older look at the outbox did not see the second."""
    results, world, looks = [], FakeWorld(), []
    found = Dispatcher(world.ports, 4, results.extend, lambda ids: looks.append(ids) or ids)
    found.leased([of("n1", "ask_agent"), of("n2", "ask_agent")])
    wait_for(lambda: len(effects.running) == 2)
    old, new = of("n1", "run_stage"), of("n2", "run_stage")
    found.leased([old])
    world.clock.pass_(STALE_S + 0.5)
    found._still_wanted(world.clock())
    world.clock.pass_(STALE_S - 1)
    found.leased([new])
    effects.open()
    wait_for(lambda: len(results) == 4)
    found.stop()
    assert {node for node, name in effects.done if name == "run_stage"} == {"n1", "n2"}
    assert len(looks) == 1


def test_a_stopped_dispatcher_begins_nothing(dispatcher, effects):
    """What was leased too late stays in the outbox for the next conductor."""
    effects.open()
    dispatcher.stop()
    dispatcher.leased([a_task(name="power_off")])
    assert (effects.done, dispatcher.results) == ([], [])
