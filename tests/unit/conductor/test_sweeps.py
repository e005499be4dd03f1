"""Looking at the world now and then: everything is found without any event."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from racksalt.conductor.enrolment import KeyCheck
from racksalt.conductor.pace import SHARE
from racksalt.conductor.ports import JobRequest, JobResult
from racksalt.conductor.sweeps import DeadlineSweep, JobSweep, KeySweep, Sweep, job_event
from racksalt.model.errors import AgentUnreachableError, StoreError
from tests.support.builders import NOW, a_node, the_rules
from tests.support.fakes import FakeWorld, wait_for

JID = "20260101000000000001"


@pytest.fixture
def world():
    """A world whose clock stands."""
    return FakeWorld()


@pytest.fixture
def told():
    """What the sweeps told, as (node, event)."""
    return []


def fill(store, *nodes):
    """Write nodes."""
    with store.write() as tx:
        tx.add_nodes(list(nodes))


def tell(told):
    """Return what takes events and keeps their names."""
    return lambda events: told.extend((e.node, e.name) for e in events)


def test_passed_deadlines_are_told_with_what_they_belong_to(sqlite_store, world):
    """The event names boot and deadline, and is the same however often the sweep looks."""
    fill(sqlite_store, a_node("n1", deadline_at=NOW - 1, boot=3), a_node("n2", deadline_at=NOW + 1))
    found = []
    sweep = DeadlineSweep(sqlite_store, world.ports, found.extend, 30, the_rules)
    for _ in range(2):
        sweep()
    assert [e.node for e in found] == ["n1", "n1"]
    assert found[0].data == {"boot": 3, "deadline_at": NOW - 1}
    assert found[0].id == found[1].id


@pytest.mark.parametrize(("since", "excused"), [(NOW - 50, True), (NOW + 5, False)])
def test_a_job_lost_over_our_own_start_is_excused(sqlite_store, world, since, excused):
    """Salt's "Pillar timed out" while the master was away is no fault of the node; later ones count."""
    fill(sqlite_store, a_node("n1", "commissioning", job=JID, job_since=since, boot=1))
    found = []
    sweep = JobSweep(sqlite_store, world.ports, found.extend, lost_s=10)
    world.clock.pass_(60)
    lost = JobResult(jid=JID, node="n1", ok=False, ran=False, message="Pillar timed out")
    world.jobs.results = lambda _wanted: [lost]
    sweep()
    assert [(event.name, bool(event.data.get("excused"))) for event in found] == [
        ("stage_lost", excused)
    ]


def test_a_clock_that_ran_ahead_for_a_moment_suspends_no_deadline(sqlite_store, world, told):
    """Set right again, deadlines wait for the usual grace, not for as long as it was ahead."""
    fill(sqlite_store, a_node("n1", deadline_at=NOW + 50))
    sweep = DeadlineSweep(sqlite_store, world.ports, tell(told), 30, the_rules)
    for step in (31, 86_400, 5, -86_400, 15, 10):
        world.clock.pass_(step)
        sweep()
    assert told == []
    world.clock.pass_(10)
    sweep()
    assert told == [("n1", "deadline_passed")]


def test_a_deadline_that_a_clock_ahead_wrote_is_overdue(sqlite_store, world, told):
    """Set right, nobody waits nine years; the longest deadline of the site is none such."""
    rules = the_rules(deadline_factor=2.0)
    longest = NOW + rules.longest_s
    fill(
        sqlite_store,
        a_node("n1", deadline_at=NOW + 9 * 365 * 86_400),
        a_node("n2", deadline_at=longest),
        a_node("n3", deadline_at=longest + 3000),
    )
    DeadlineSweep(sqlite_store, world.ports, tell(told), 30, lambda: rules)()
    assert told == [("n1", "deadline_passed")]


def test_after_a_sleep_the_world_is_looked_at_first(sqlite_store, world, told):
    """A machine that was paused holds no deadline against anybody before results had time to come in."""
    fill(sqlite_store, a_node("n1", deadline_at=NOW + 50))
    sweep = DeadlineSweep(sqlite_store, world.ports, tell(told), 30, the_rules)
    sweep()
    world.clock.pass_(3600)
    for _ in range(3):
        sweep()
        world.clock.pass_(10)
    assert told == []
    sweep()
    assert told == [("n1", "deadline_passed")]


def running(name, **fields):
    """Return a node that runs a job."""
    given = {"job": JID, "job_since": NOW - 5, "boot": 1, "stage": "raid", **fields}
    return a_node(name, "commissioning", **given)


def submit(world, *nodes):
    """Let agents know their jobs."""
    world.jobs.submit([JobRequest(jid=n.job, node=n.id, stage="raid", sls="s") for n in nodes])


@pytest.mark.parametrize(("ok", "event"), [(True, "stage_succeeded"), (False, "stage_failed")])
def test_results_are_found_in_the_job_cache(sqlite_store, world, ok, event):
    """A result needs no event to be seen, and its event has a stable id."""
    fill(sqlite_store, running("n1"))
    submit(world, running("n1"))
    world.jobs.verdict = lambda job: (ok, "said")
    found = []
    JobSweep(sqlite_store, world.ports, found.extend, 20)()
    (one,) = found
    assert (one.name, one.id) == (event, f"job:{JID}:n1")
    assert one.data == {"jid": JID, "message": "said"}


def test_a_job_that_nobody_knows_is_lost_after_a_while(sqlite_store, world, told):
    """The agent is asked only when the result is overdue."""
    fill(sqlite_store, running("n1"))
    world.jobs.up = {"n1"}
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    sweep()
    world.clock.pass_(30)
    assert told == []
    sweep()
    wait_for(lambda: told == [("n1", "stage_lost")])


def test_a_job_that_is_still_to_be_handed_over_is_not_lost(sqlite_store, world, told):
    """Between decision and hand-over no agent can know it."""
    fill(sqlite_store, running("n1", job_since=NOW - 100))
    row = {"boot": 1, "args": {}, "progress": {}, "attempts": 0, "created_at": NOW, "not_before": 0}
    with sqlite_store.write() as tx:
        tx.add_effects([{"id": 1, "node": "n1", "lane": "agent", "name": "run_stage", **row}])
    JobSweep(sqlite_store, world.ports, tell(told), 20)()
    assert told == []


def test_a_job_that_runs_long_is_asked_about_now_and_then(sqlite_store, world, told):
    """One question per patience, not one per sweep."""
    fill(sqlite_store, running("n1", job_since=NOW - 100))
    asked = []
    world.jobs.outcomes = lambda pairs, timeout_s: (
        asked.append(world.clock.now) or dict.fromkeys(pairs, "running")
    )
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    for looked in range(5):
        sweep()
        wait_for(lambda looked=looked: len(asked) == looked // 2 + 1)
        world.clock.pass_(10)
    assert ([at - NOW for at in asked], told) == ([0, 20, 40], [])


def test_a_silent_agent_is_asked_again_sooner(sqlite_store, world, told):
    """Silence proves nothing; after a restart it does not last."""
    fill(sqlite_store, running("n1", job_since=NOW - 100))
    asked = []
    world.jobs.outcomes = lambda pairs, timeout_s: asked.append(1) or {}
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    sweep()
    wait_for(lambda: asked and sweep._asked[JID] < NOW)
    world.clock.pass_(6)
    sweep()
    wait_for(lambda: len(asked) == 2)
    assert told == []


def test_an_agent_that_stays_silent_is_asked_ever_less_often(sqlite_store, world, told):
    """On a slow machine questions would keep the job from its end; an answer makes it as before."""
    fill(sqlite_store, running("n1", job_since=NOW - 100))
    asked, answer = [], {}
    world.jobs.outcomes = lambda pairs, timeout_s: asked.append(world.clock.now - NOW) or answer
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    sweep._pool.submit = lambda function, *arguments: function(*arguments)
    for _ in range(700):
        sweep()
        world.clock.pass_(1)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[:8] == [5, 5, 5, 5, 10, 20, 40, 80]
    assert set(pauses[8:]) == {160}
    answer[(JID, "n1")] = "running"
    for _ in range(400):
        sweep()
        world.clock.pass_(1)
    assert asked[-1] - asked[-2] == 20


def test_an_agent_that_came_back_is_asked_at_once(sqlite_store, world, told):
    """What it had to say while it was away may be lost."""
    fill(sqlite_store, running("n1", job_since=NOW - 5))
    world.jobs.up = {"n1"}
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    sweep.back(["n1"])
    sweep()
    wait_for(lambda: told == [("n1", "stage_lost")])


def test_a_hint_looks_at_one_job(sqlite_store, world, told):
    """A job that is said to have ended is looked up alone, and soon all of them again."""
    fill(sqlite_store, running("n1"), running("n2", job="20260101000000000002"))
    submit(world, running("n1"), running("n2", job="20260101000000000002"))
    wanted = []
    plain = world.jobs.results
    world.jobs.results = lambda pairs: wanted.append(sorted(pairs)) or plain(pairs)
    sweep = JobSweep(sqlite_store, world.ports, tell(told), 20)
    sweep()
    sweep.hint([JID])
    sweep()
    world.clock.pass_(6)
    sweep.hint([JID])
    sweep()
    assert [len(pairs) for pairs in wanted] == [2, 1, 2]


def test_one_kind_of_agent_that_is_away_hides_no_other(sqlite_store, world, told):
    """Results of light agents are found while the master is down."""
    fill(sqlite_store, running("n1"), running("n2", agent="light"))
    submit(world, running("n2"))
    away = FakeWorld().jobs

    def unreachable(_pairs):
        raise AgentUnreachableError("no master")

    away.results = unreachable
    world.ports.jobs["salt"] = away
    JobSweep(sqlite_store, world.ports, tell(told), 20)()
    assert told == [("n2", "stage_succeeded")]


def test_a_kind_of_agent_that_is_not_driven_here_hides_no_other(sqlite_store, world, told):
    """A conductor without a salt-master goes on with its light agents."""
    fill(sqlite_store, running("n1"), running("n2", agent="light"))
    submit(world, running("n2"))
    ports = replace(world.ports, jobs={"light": world.ports.jobs["light"]})
    JobSweep(sqlite_store, ports, tell(told), 20)()
    assert told == [("n2", "stage_succeeded")]
    with pytest.raises(AgentUnreachableError, match="'salt', only light"):
        ports.jobs_of("salt")


def test_pending_keys_are_checked(sqlite_store, world, told):
    """A key that no boot vouches for is found without any event of Salt's."""
    world.keys.offer("ghost", "KEY")
    sweep = KeySweep(
        sqlite_store, world.ports, tell(told), KeyCheck(sqlite_store, world.clock, b"s" * 32)
    )
    sweep()
    world.clock.pass_(20)
    sweep()
    assert told == [("ghost", "key_refused")]


def test_a_sweep_goes_on_after_an_error_and_comes_when_poked():
    """Whatever goes wrong in one look, there is a next one; a poke does not wait for it."""
    looks = threading.Semaphore(0)
    errors = itertools.cycle([RuntimeError("a fault"), StoreError("a full disk")])

    def look():
        looks.release()
        raise next(errors)

    sweep = Sweep("test", 3600, look)
    sweep.start()
    for _ in range(3):
        assert looks.acquire(timeout=10)
        wait_for(lambda: not sweep._poked.is_set())
        sweep.poke()
    sweep.stop()
    sweep.join(10)
    assert not sweep.is_alive()


def test_a_sweep_may_begin_later():
    """After a start the world is looked at before deadlines are held against anybody."""
    seen = []
    sweep = Sweep("test", 0.01, lambda: seen.append(1), first_s=3600)
    sweep.start()
    sweep.stop()
    sweep.join(10)
    assert seen == []


def test_a_job_that_ran_no_state_is_lost_and_nothing_failed():
    """A master that was away while the minion asked for its pillar must not park a node that has no retries."""
    result = JobResult(jid="1" * 20, node="n1", ok=False, ran=False, message="Pillar timed out")
    assert job_event(result, NOW).name == "stage_lost"
    assert job_event(replace(result, ran=True), NOW).name == "stage_failed"


class _Spent:
    """This thread's processor time: each look takes ``cost_s``."""

    def __init__(self, cost_s):
        self.cost_s, self.now = cost_s, 0.0

    def __call__(self):
        self.now += self.cost_s
        return self.now


@pytest.fixture
def dear(sqlite_store, world):
    """A sweep over two jobs of which a look at everything costs a second, and what it asked for."""
    fill(sqlite_store, running("n1"), running("n2", job="2"))
    asked = []
    world.jobs.results = lambda pairs: asked.append([node for _, node in pairs]) or []
    return JobSweep(sqlite_store, replace(world.ports, spent=_Spent(1.0)), list, 1000), asked


@pytest.mark.parametrize("hinted", [True, False])
def test_dear_looks_at_everything_are_further_apart(world, dear, hinted):
    """What is hinted at is looked up at once all the same, and makes nobody look at everything."""
    sweep, asked = dear
    for _ in range(3):
        sweep()
        sweep.hint([JID] if hinted else [])
        sweep()
        world.clock.pass_(1.0 / SHARE / 2 + 0.5)
    everything, hints = ["n1", "n2"], [["n1"]] if hinted else []
    assert asked == [everything, *hints, *hints, everything, *hints]


def test_a_look_at_everything_that_fails_does_not_keep_hints_from_being_followed(world, dear):
    """It is not repeated at each hint."""
    sweep, asked = dear
    answers = sweep.world.jobs["salt"].results

    def results(pairs):
        answers(pairs)
        if len(pairs) > 1:
            raise ValueError("the other's result cannot be read")
        return []

    world.jobs.results = results
    with pytest.raises(ValueError, match="cannot be read"):
        sweep()
    sweep.hint([JID])
    sweep()
    assert asked == [["n1", "n2"], ["n1"]]


def test_a_clock_that_was_set_back_stops_no_looks(world, dear):
    """Everything is looked at again, and from then on by the new time."""
    sweep, asked = dear
    sweep()
    world.clock.pass_(-3600)
    sweep()
    sweep()
    assert asked == [["n1", "n2"], ["n1", "n2"]]
