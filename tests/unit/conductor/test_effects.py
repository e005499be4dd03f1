"""What each effect does to the world, and what a try that was cut short leaves for the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.boot.tokens import key_sha256
from racksalt.conductor.effects import EFFECTS, backoff
from racksalt.model.errors import (
    AgentUnreachableError,
    BmcRefusedError,
    BmcSuspendedError,
    BmcUnreachableError,
)
from tests.support.builders import NOW, a_node, a_task, again
from tests.support.fakes import FakeWorld


@pytest.fixture
def world():
    """A world in which nothing has happened yet."""
    return FakeWorld()


def perform(world, task):
    """Carry out one effect once; return its result."""
    (result,) = EFFECTS[task.effect.name](world.ports, [task], NOW)
    return result


def finish(world, task, tries=50):
    """Carry out an effect until it is done; return the last result."""
    for _ in range(tries):
        result = perform(world, task)
        if result.again_after_s is None:
            return result
        task = again(task, result)
    pytest.fail("never done")


ACTIONS = ("on", "off")


def unobserved(calls):
    """Return the actions that were not preceded by a look since the last action."""
    looked, found = False, []
    for what in calls:
        if what == "observe":
            looked = True
        elif what in ACTIONS:
            if not looked:
                found.append(what)
            looked = False
    return found


def test_a_cycle_goes_off_seen_off_on_seen_on(world):
    """The state is observed before and after, and the network comes first."""
    world.power.of("n1").power = "on"
    result = finish(world, a_task())
    assert world.power.calls("n1") == [
        "observe",
        "off",
        "observe",
        "observe",
        "boot network",
        "on",
        "observe",
    ]
    (event,) = result.events
    assert (event.name, event.data["power"]) == ("power_observed", "on")


def test_a_cycle_of_a_server_that_is_off_only_switches_on(world):
    """What is off need not be switched off."""
    finish(world, a_task())
    assert "off" not in world.power.calls("n1")


@pytest.mark.parametrize("name", ["power_on", "power_off", "power_cycle"])
@pytest.mark.parametrize("start", ["on", "off"])
@pytest.mark.parametrize("slow", [0, 1, 4])
def test_slow_servers_are_waited_for(world, name, start, slow):
    """However long a server takes, it ends in the wanted state and every action follows a look."""
    machine = world.power.of("n1")
    machine.power, machine.slow_off, machine.slow_on = start, slow, slow
    finish(world, a_task(name=name))
    assert machine.look() == ("off" if name == "power_off" else "on")
    assert unobserved(world.power.calls("n1")) == []


@pytest.mark.parametrize("start", ["on", "off"])
@pytest.mark.parametrize("cut_after", range(1, 7))
def test_a_try_that_was_cut_short_is_repeated_with_a_look_first(world, start, cut_after):
    """Killed after any exchange with the BMC, the next try looks, and ends with the server on."""

    class Killed(BaseException):
        """The process ends here."""

    machine, calls = world.power.of("n1"), []
    machine.power = start

    def count(_node, what):
        calls.append(what)
        if len(calls) == cut_after + 1:
            raise Killed

    world.power.on_call = count
    saved = a_task()
    try:
        for _ in range(5):
            result = perform(world, saved)
            if result.again_after_s is None:
                break
            saved = again(saved, result)
    except Killed:
        world.power.on_call = lambda node, what: None
        finish(world, saved)
    assert machine.look() == "on"
    assert unobserved(world.power.calls("n1")) == []
    second = world.power.calls("n1")[cut_after:]
    assert not second or second[0] == "observe" or len(calls) <= cut_after


def test_a_crash_after_switching_on_starts_the_server_no_second_time(world):
    """That it was seen off is written down before: what is on now was switched on by this effect."""
    machine = world.power.of("n1")
    machine.power = "on"
    task = a_task()
    saved = again(task, perform(world, task))
    perform(world, saved)
    finish(world, saved)
    assert world.power.calls("n1").count("off") == 1


def test_a_stranger_who_asks_for_the_boot_script_cancels_no_power_cycle(world):
    """Only what the BMC says counts: the server is switched off and on."""
    world.power.of("n1").power = "on"
    finish(world, a_task())
    assert [c for c in world.power.calls("n1") if c in ACTIONS] == ["off", "on"]


def test_a_wish_for_a_node_at_rest_is_given_up(world):
    """Hours later nobody wants it any more: the journal says that it was not done."""
    world.power.of("n1").error = BmcUnreachableError("no answer from the BMC")
    task = a_task(name="power_off", node=a_node("n1", "ready", boot=1))
    for _ in range(20):
        result = perform(world, task)
        if result.again_after_s is None:
            break
        task = again(task, result)
    (event,) = result.events
    assert (event.name, "given up" in event.data["noted"]) == ("effect_failed", True)


def test_an_unreachable_bmc_is_tried_again_later(world):
    """A blip moves no node: the effect stays, with its error and its progress, and waits longer each time."""
    world.power.of("n1").error = BmcUnreachableError("no answer from the BMC")
    waits = []
    task = a_task(progress={"started": True})
    for _ in range(3):
        result = perform(world, task)
        waits.append(result.again_after_s)
        assert (result.events, result.error, result.progress) == (
            (),
            "no answer from the BMC",
            {"started": True},
        )
        task = again(task, result)
    assert waits == [0.5, 1.0, 2.0]


def test_an_open_breaker_says_when_to_come_back(world):
    """The wait is at least that of the circuit breaker."""
    world.power.of("n1").error = BmcSuspendedError("breaker", retry_after_s=17.5)
    assert perform(world, a_task()).again_after_s == 17.5


def test_a_bmc_that_says_no_parks_the_node(world):
    """Wrong credentials do not mend by waiting: the node learns it at once."""
    world.power.of("n1").error = BmcRefusedError("wrong password")
    result = perform(world, a_task(node=a_node(boot=1, deadline_at=NOW + 60)))
    (event,) = result.events
    assert (result.again_after_s, event.name, event.data["message"]) == (
        None,
        "effect_failed",
        "wrong password",
    )


def test_a_node_without_a_bmc_is_a_case_for_a_person(world):
    """A person can switch it, busy as it is: it is noted what to do, and the deadline bounds how long for."""
    node = a_node(boot=1, deadline_at=NOW + 60)
    result = perform(world, a_task(bmc=False, node=node))
    (event,) = result.events
    assert (event.name, result.again_after_s) == ("effect_failed", None)
    assert "has no BMC; switch it by hand" in event.data["noted"]


@pytest.mark.parametrize("why", ["wrong password", "has no BMC"])
def test_a_node_at_rest_has_it_noted_why_its_power_did_not_change(world, why):
    """It accepts no failure of an effect, and stays; whoever asked for the power finds the reason in its history."""
    if why == "wrong password":
        world.power.of("n1").error = BmcRefusedError(why)
    task = a_task(
        name="power_off", node=a_node(state="retired"), bmc=None if "word" in why else False
    )
    result = perform(world, task)
    assert result.again_after_s is None
    assert why in result.events[0].data["noted"]


def test_backoff_grows_to_half_a_minute():
    """0.5, 1, 2 … 30 seconds."""
    assert [backoff(n) for n in (0, 1, 2, 5, 6, 50)] == [0.5, 1, 2, 16, 30, 30]


def accept(sha):
    """Return the effect that accepts one key."""
    return a_task(name="accept_key", args={"key_sha256": sha})


def test_only_the_proven_key_is_accepted(world):
    """Another pending key of the same name stays pending."""
    world.keys.offer("n1", "THE KEY")
    world.keys.offer("n1", "ANOTHER")
    assert perform(world, accept(key_sha256("THE KEY"))).again_after_s is None
    assert [(k.public_key, k.accepted) for k in world.keys.get("n1")] == [
        ("ANOTHER", False),
        ("THE KEY", True),
    ]


def test_accepting_twice_is_accepting_once(world):
    """After a crash the key is found accepted, and nothing is done."""
    world.keys.offer("n1", "THE KEY")
    for _ in range(2):
        assert perform(world, accept(key_sha256("THE KEY"))).again_after_s is None
    assert [what for what, *_ in world.keys.log] == ["accept"]


def test_a_key_that_was_exchanged_is_never_accepted(world):
    """The proof was for another key: the effect waits, with its reason."""
    world.keys.offer("n1", "ANOTHER")
    result = perform(world, accept(key_sha256("THE KEY")))
    assert (result.again_after_s, result.error) == (0.5, "the proven key is not pending")
    assert world.keys.log == []


def test_revoking_takes_all_keys_and_no_other_nodes(world):
    """Accepted or pending, they are gone; without any there is no harm."""
    world.keys.offer("n1", "A")
    world.keys.offer("n2", "B")
    perform(world, a_task(name="revoke_key"))
    perform(world, a_task(name="revoke_key"))
    assert [key.node for key in world.keys.held] == ["n2"]


def test_only_a_key_that_was_accepted_earlier_is_revoked_for_a_machine_that_is_let_in(world):
    """Its own key waits since it booted: it is not thrown away, unless an older one keeps it out."""
    world.keys.offer("n1", "ITS OWN")
    for _ in range(2):
        assert perform(world, a_task(name="revoke_old_key")).again_after_s is None
    assert [key.public_key for key in world.keys.held] == ["ITS OWN"]
    world.keys.offer("n1", "OLD")
    world.keys.accept(world.keys.held[-1])
    perform(world, a_task(name="revoke_old_key"))
    assert world.keys.held == []


def test_agents_are_asked_all_at_once(world):
    """Who answers has answered, who does not is asked again; a question of an earlier boot counts for nobody."""
    asked = []
    plain = world.jobs.answering
    world.jobs.answering = lambda since, timeout_s: asked.append(since) or plain(since, timeout_s)
    world.jobs.up = {"n2"}
    tasks = [a_task(name="ask_agent", node=a_node(n, "enrolling", boot=1)) for n in ("n1", "n2")]
    tasks = [replace(t, effect=replace(t.effect, node=t.node.id)) for t in tasks]
    silent, alive = EFFECTS["ask_agent"](world.ports, tasks, NOW)
    assert asked == [{task.effect.node: task.effect.created_at for task in tasks}]
    assert (silent.again_after_s, silent.events) == (world.ports.agent_poll_s, ())
    assert (alive.again_after_s, alive.events[0].name, alive.events[0].source) == (
        None,
        "agent_answered",
        "jobs",
    )


def test_a_check_that_is_answered_is_over(world):
    """The agent runs: whoever asked for the boot script, the node did not start again."""
    world.jobs.up = {"n1"}
    result = perform(world, a_task(name="check_agent"))
    assert (result.again_after_s, result.events[0].name) == (None, "agent_answered")


def test_an_agent_must_be_silent_for_a_while_to_count_as_gone(world):
    """One unanswered question proves nothing: a loaded agent may miss it."""
    task, waits = a_task(name="check_agent"), []
    while (result := perform(world, task)).again_after_s is not None:
        waits.append(result.again_after_s)
        task = again(task, result)
    assert sum(waits) >= 25
    assert result.events[0].name == "agent_silent"


def test_a_stage_is_handed_over_under_its_job_id(world):
    """The job id was chosen when it was decided: handing it over twice runs it once."""
    task = a_task(name="run_stage", args={"stage": "raid", "sls": "stages.raid", "jid": "7" * 20})
    perform(world, task)
    perform(world, task)
    (job,) = world.jobs.submitted
    assert (job.jid, job.node, job.sls) == ("7" * 20, "n1", "stages.raid")


def test_a_stage_that_says_nothing_keeps_no_other_nodes_waiting(world):
    """It fails alone: its node is told of it, the rest of its group is handed over."""
    full = {"stage": "raid", "sls": "stages.raid", "jid": "7" * 20}
    tasks = [
        a_task(name="run_stage", node=a_node(name, "commissioning", boot=1, deadline_at=NOW + 60))
        for name in ("n1", "n2")
    ]
    tasks = [
        replace(t, effect=replace(t.effect, node=t.node.id, args=args))
        for t, args in zip(tasks, ({}, full), strict=True)
    ]
    bad, good = EFFECTS["run_stage"](world.ports, tasks, NOW)
    assert [job.node for job in world.jobs.submitted] == ["n2"]
    assert (bad.again_after_s, bad.events[0].name) == (None, "effect_failed")
    assert "nothing says which stage" in bad.events[0].data["message"]
    assert (good.again_after_s, good.events) == (None, ())


def test_a_master_that_takes_no_jobs_is_an_error_to_repeat(world):
    """The effect does not count as done."""

    def unreachable(_requests):
        raise AgentUnreachableError("no master")

    world.jobs.submit = unreachable
    with pytest.raises(AgentUnreachableError):
        perform(world, a_task(name="run_stage", args={"stage": "s", "sls": "s", "jid": "1" * 20}))


def test_a_repeated_try_tells_the_same_event(world):
    """The id of what an effect leads to is that of the effect and its try."""
    world.jobs.up = {"n1"}
    task = a_task(name="check_agent")
    first, second = perform(world, task), perform(world, task)
    assert first.events[0].id == second.events[0].id
