"""Looking at BMCs, which may be slow, dead or wrong."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest

from racksalt.conductor.pace import SHARE
from racksalt.conductor.power_sweep import PowerSweep, share_of
from racksalt.model.errors import BmcUnreachableError
from racksalt.psm.table import MACHINE
from tests.support.builders import NOW, a_bmc, a_node
from tests.support.fakes import FakeWorld, wait_for


@pytest.fixture
def world():
    """A world whose clock stands."""
    return FakeWorld()


@pytest.fixture
def told():
    """What the sweep told, as (node, event)."""
    return []


def fill(store, *nodes):
    """Write nodes, each with a BMC."""
    with store.write() as tx:
        tx.add_nodes(list(nodes))
        tx.put([a_bmc(node.id) for node in nodes])


def begin_to_switch(store, node):
    """Let a power effect of this node be under way."""
    row = {"boot": 0, "args": {}, "progress": {}, "attempts": 0, "created_at": NOW, "not_before": 0}
    with store.write() as tx:
        tx.add_effects([{"id": 1, "node": node, "lane": "power", "name": "power_cycle", **row}])


def tell(told):
    """Return what takes events and keeps their names."""
    return lambda events: told.extend((e.node, e.name) for e in events)


def power_sweep(store, world, told, **named):
    """Return a power sweep of two workers."""
    sweep = PowerSweep(store, world.ports, tell(told), lambda: MACHINE, 2, **named)
    sweep.pause_s = 0.0
    return sweep


def test_power_that_changed_is_told(sqlite_store, world, told):
    """A quiet node that was switched off by hand is seen off, and nothing more."""
    fill(
        sqlite_store,
        a_node("n1", "ready", power="on"),
        a_node("n2", "ready", power="on"),
    )
    world.power.of("n2").power = "on"
    power_sweep(sqlite_store, world, told)()
    assert told == [("n1", "power_observed")]


class Liar:
    """A machine whose BMC says what its script says, and the last of it for ever."""

    error = None

    def __init__(self, *readings):
        self.readings = list(readings)

    def look(self):
        """Return the next reading."""
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


class Busy(Liar):
    """A machine whose BMC costs the thread that asks it a second of processor time."""

    def __init__(self, spent):
        super().__init__("on")
        self.spent = spent

    def look(self):
        """Return the reading."""
        self.spent[threading.get_ident()] += 1.0
        return super().look()


def test_what_the_threads_of_a_sweep_cost_is_its_cost(sqlite_store, world, told):
    """A sweep's share of a processor holds for all that works for it, not for its own thread alone."""
    names = ["n1", "n2", "n3"]
    fill(sqlite_store, *(a_node(name, "ready", power="on") for name in names))
    spent = Counter()
    world.power.machines.update({name: Busy(spent) for name in names})
    sweep = power_sweep(sqlite_store, world, told)
    sweep.world = replace(world.ports, spent=lambda: spent[threading.get_ident()])
    sweep()
    assert (sweep.spent(), spent[threading.get_ident()]) == (3.0, 0.0)
    for passing_s, asked in ((3.0 / SHARE - 1, 3.0), (2, 6.0)):
        world.clock.pass_(passing_s)
        sweep()
        assert sweep.spent() == asked


def test_a_node_that_cannot_be_judged_hides_no_other(sqlite_store, world, told):
    """Rules that cannot be read just then cost one look at one node: those behind it are asked, now and later."""
    names = [f"n{number}" for number in range(9)]
    fill(sqlite_store, *(a_node(name, "ready", power="off") for name in names))
    asked = Counter()

    class Rules:
        """They cannot be read while the first nodes are looked at."""

        def __call__(self):
            asked["rules"] += 1
            if asked["rules"] <= 3:
                raise OSError("too many open files")
            return MACHINE

    sweep = PowerSweep(sqlite_store, world.ports, tell(told), Rules(), 2)
    for expected in (9, 18):
        sweep()
        assert asked["rules"] == expected
    assert not sweep._busy


@pytest.mark.parametrize("refused", [1, 2])
def test_threads_that_cannot_be_started_hide_nobody(
    sqlite_store, world, told, monkeypatch, refused
):
    """Whoever is not asked now is asked by the next sweep: with fewer threads, or none, only it is late."""
    fill(sqlite_store, *(a_node(f"n{number}", "ready", power="off") for number in range(5)))
    sweep = power_sweep(sqlite_store, world, told)
    plain, calls = sweep._quick.submit, []

    def submit(*given):
        calls.append(given)
        if len(calls) > 2 - refused and len(calls) <= 2:
            raise RuntimeError("can't start new thread")
        return plain(*given)

    monkeypatch.setattr(sweep._quick, "submit", submit)
    sweep()
    assert len(world.power.log) == (5 if refused == 1 else 0)
    assert not sweep._busy
    calls.extend([None, None])
    sweep()
    assert len(world.power.log) == (10 if refused == 1 else 5)


def test_power_that_is_lost_in_a_busy_state_is_trouble(sqlite_store, world, told):
    """Nobody switched it off: the node must be started again."""
    fill(sqlite_store, a_node("n1", "installing", power="on", boot=2))
    power_sweep(sqlite_store, world, told)()
    assert told == [("n1", "power_observed"), ("n1", "power_lost")]


def test_a_node_that_is_being_switched_is_left_alone(sqlite_store, world, told):
    """Between off and on of our own doing, off is no news."""
    fill(sqlite_store, a_node("n1", "installing", power="on"))
    begin_to_switch(sqlite_store, "n1")
    power_sweep(sqlite_store, world, told)()
    assert told == []


def test_a_dead_bmc_moves_nobody(sqlite_store, world, told):
    """A BMC that does not answer says nothing about the server, and keeps nobody waiting."""
    fill(
        sqlite_store,
        a_node("n1", "installing", power="on"),
        a_node("n2", "ready"),
    )
    world.power.of("n1").error = BmcUnreachableError("dead")
    power_sweep(sqlite_store, world, told)()
    assert told == [("n2", "power_observed")]


def test_a_single_contrary_reading_is_not_believed(sqlite_store, world, told):
    """Off once and on again is a BMC's error, not a machine's start; nothing is written down."""
    fill(sqlite_store, a_node("n1", "installing", power="on", boot=2))
    world.power.machines["n1"] = Liar("off", "on")
    sweep = power_sweep(sqlite_store, world, told)
    sweep()
    sweep()
    assert told == []


def test_a_bmc_that_contradicts_itself_must_say_it_more_often(sqlite_store, world, told):
    """The oftener it was caught, the more readings in a row it takes."""
    fill(sqlite_store, a_node("n1", "ready", power="on"))
    sweep = power_sweep(sqlite_store, world, told)
    world.power.machines["n1"] = Liar("off", "off", "on")
    sweep()
    world.power.machines["n1"] = Liar("off", "off", "off", "on")
    sweep()
    assert told == []
    world.power.machines["n1"] = Liar("off")
    sweep()
    assert told == [("n1", "power_observed")]


def test_a_contrary_reading_of_our_own_doing_is_no_lie(sqlite_store, world, told, caplog):
    """A machine that is being switched on reads off and on in turn: that says nothing against its BMC."""
    fill(sqlite_store, a_node("n1", "ready", power="on"))
    sweep = power_sweep(sqlite_store, world, told)
    world.power.machines["n1"] = Liar("off", "on")
    sweep._wake.wait = lambda _s: begin_to_switch(sqlite_store, "n1")
    sweep()
    assert told == []
    assert sweep._caught["n1"] == 0
    assert "not believed" not in caplog.text


def test_the_pauses_between_readings_are_shared(sqlite_store, world, told):
    """Many contrary readings at once are read again in rounds: with few threads, nobody waits for others' pauses."""
    fill(sqlite_store, *(a_node(f"n{i}", "ready", power="on") for i in range(9)))
    sweep, pauses = power_sweep(sqlite_store, world, told), []
    sweep._wake.wait = pauses.append
    sweep()
    assert len(told) == 9
    assert len(pauses) == 2


def test_a_machine_whose_agent_answers_is_not_off(sqlite_store, world):
    """However often the BMC says it: that is told, and the node keeps its state and its power."""
    fill(sqlite_store, a_node("n1", "installing", power="on", boot=2))
    world.jobs.up = {"n1"}
    events = []
    sweep = PowerSweep(sqlite_store, world.ports, events.extend, lambda: MACHINE, 2)
    sweep.pause_s = 0.0
    sweep()
    sweep()
    assert {event.name for event in events} == {"power_observed"}
    assert "not believed" in events[0].data["noted"]
    assert "power" not in events[0].data
    assert events[0].id == events[1].id


def test_a_bmc_that_falls_silent_proves_nothing(sqlite_store, world, told):
    """Silence after a contrary reading leaves the node alone."""
    fill(sqlite_store, a_node("n1", "installing", power="on"))
    calls = []

    def once(node, what):
        calls.append(what)
        if len(calls) > 1:
            raise BmcUnreachableError("silent now")

    world.power.on_call = once
    power_sweep(sqlite_store, world, told)()
    assert told == []


def test_a_slow_bmc_holds_up_only_itself(sqlite_store, world, told):
    """Known to be slow, it is asked apart: the sweep ends without it, and it is not asked twice at a time."""
    fill(sqlite_store, *(a_node(f"n{i}", "ready", power="off") for i in range(6)))
    world.power.of("n0").error = BmcUnreachableError("dead")
    sweep = power_sweep(sqlite_store, world, told)
    sweep()
    world.power.of("n0").error = None
    gate, begun = threading.Event(), threading.Event()

    def hold(node, what):
        if node == "n0":
            begun.set()
            gate.wait(20)

    world.power.on_call = hold
    try:
        for _ in range(3):
            sweep()
        assert begun.wait(10)
        assert world.power.calls("n5") == ["observe"] * 4
        assert world.power.calls("n0") == ["observe"]
    finally:
        gate.set()
    wait_for(lambda: not sweep._busy)
    sweep()
    assert len(world.power.calls("n0")) >= 3


def test_of_several_conductors_each_asks_its_share(sqlite_store, world, told):
    """Together they ask every BMC once."""
    nodes = [a_node(f"n{i}", "ready", power="off") for i in range(40)]
    fill(sqlite_store, *nodes)
    names = ["a", "b", "c"]
    for one in names:
        power_sweep(sqlite_store, world, told, owner=lambda one=one: (one, names))()
    assert sorted(node for node, _ in world.power.log) == sorted(node.id for node in nodes)


def test_a_conductor_that_leaves_moves_only_what_was_its_own():
    """The others keep theirs, and with them their sessions; a conductor alone asks all."""
    nodes = [f"n{i}" for i in range(300)]
    before = {one: share_of(one, ["a", "b", "c"], nodes) for one in "abc"}
    after = {one: share_of(one, ["a", "b"], nodes) for one in "ab"}
    assert before["a"] <= after["a"]
    assert before["b"] <= after["b"]
    assert after["a"] | after["b"] == set(nodes)
    assert min(map(len, before.values())) > 60
    assert share_of("a", [], nodes) == set(nodes)


def test_living_conductors_are_known_to_one_another(sqlite_store):
    """By their beat; one that left or fell silent is not counted."""
    with sqlite_store.write() as tx:
        for name, at in (("a", NOW), ("b", NOW), ("c", NOW - 60)):
            tx.beat(name, at, lease_s=60, silent_s=1000)
        tx.leave("b")
    assert sqlite_store.conductors(NOW - 6) == ["a"]
