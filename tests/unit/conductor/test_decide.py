"""One event, one node: what is decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.conductor.decide import LANES, decide
from racksalt.model.errors import IllegalEventError
from racksalt.psm.table import ANSWER_S
from tests.support.builders import NOW, a_boot, a_node, a_view, an_event, some_hardware, the_rules

JID = "20260101000000000001"
RULES = the_rules()


def commissioning(**fields):
    """Return a node in the live environment whose inventory job runs."""
    given = {"approved": True, "boot": 1, "boot_environment": "live", "stage": "inventory"}
    given |= {"job": "j1", "job_since": NOW - 5, "deadline_at": NOW + 100}
    return a_node(**{"state": "commissioning", **given, **fields})


def decided(node, event, boots=(), rules=RULES, **more):
    """Return what is decided."""
    return decide(a_view(node, boots, **more), event, rules, JID)


def names(decision):
    """Return the names of the effects for the outbox."""
    return [name for name, _ in decision.effects]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"boot": 0, "jid": "j1"}, "stale: of boot 0, the node is on boot 1"),
        ({"boot": 2, "jid": "j1"}, "stale: of boot 2"),
        ({"jid": "j0"}, "stale: of job j0, the node runs j1"),
        ({"boot": 1, "jid": None}, "stale: of job None"),
    ],
)
def test_what_belongs_to_another_boot_or_job_is_only_noted(data, message):
    """A late result moves nobody."""
    node = commissioning()
    decision = decided(node, an_event("stage_succeeded", **data))
    assert decision.kind == "noted"
    assert message in decision.message
    assert (decision.node.state, decision.node.job, decision.effects) == (node.state, "j1", ())


def test_a_result_for_a_node_without_a_job_is_stale():
    """Who runs nothing cannot end it."""
    assert decided(commissioning(job=None), an_event("stage_failed", jid="j1")).kind == "noted"


def test_a_deadline_that_was_moved_meanwhile_is_stale():
    """The sweep looked before the progress was written: the new deadline counts."""
    event = an_event("deadline_passed", source="clock", boot=1, deadline_at=NOW - 1)
    assert decided(commissioning(), event).kind == "noted"
    event = an_event("deadline_passed", source="clock", boot=1, deadline_at=NOW + 100)
    assert decided(commissioning(), event).kind == "transition"


@pytest.mark.parametrize("name", ["stage_succeeded", "key_proven", "retire", "deadline_passed"])
def test_the_bus_moves_nobody(name):
    """An accepted minion can forge any event on the bus: it is a hint, whatever it says."""
    node = commissioning()
    decision = decided(node, an_event(name, source="bus", jid="j1", boot=1))
    assert (decision.kind, decision.node) == ("noted", node)


def test_a_refusal_changes_nothing():
    """What was refused elsewhere is journalled with its reason."""
    node = commissioning()
    decision = decided(node, an_event("boot_refused", refused="wrong address"))
    assert (decision.kind, decision.message, decision.node) == ("refused", "wrong address", node)


def test_the_next_stage_here_needs_no_reboot():
    """Consecutive stages of one environment follow one another at once."""
    decision = decided(commissioning(), an_event("stage_succeeded", "n1", "jobs", jid="j1"))
    node = decision.node
    assert (node.stage, node.job, node.boot, node.stage_attempt) == ("firmware", JID, 1, 0)
    assert decision.effects == (
        ("run_stage", {"stage": "firmware", "sls": "stages.firmware", "jid": JID}),
    )
    assert node.deadline_at == NOW + 45 * 60


@pytest.mark.parametrize(
    ("goal", "state", "environment", "effects"),
    [
        ("ready", "installing", "installer", ["revoke_key", "power_cycle"]),
        ("commissioned", "commissioned", "hold", ["revoke_key", "power_off"]),
    ],
)
def test_the_goal_says_what_follows_commissioning(goal, state, environment, effects):
    """The last stage leads on to the install, or to rest."""
    node = commissioning(stage="security", goal=goal)
    decision = decided(node, an_event("stage_succeeded", "n1", "jobs", jid="j1"))
    found = decision.node
    assert (found.state, found.boot_environment, found.job) == (state, environment, None)
    assert names(decision) == effects
    assert decision.void == set(LANES) - {"revoke_key"}


def test_an_install_in_the_same_environment_needs_no_reboot():
    """Where a site installs from the live environment, the first stage starts at once."""
    rules = the_rules()
    stages = {"stages": {n: {"environment": "live"} for n in ("partition", "image", "configure")}}
    rules = the_rules(sequences=rules.sequences.extend(stages))
    node = commissioning(stage="security")
    decision = decided(node, an_event("stage_succeeded", "n1", "jobs", jid="j1"), rules=rules)
    assert (decision.node.state, decision.node.stage, decision.node.boot) == (
        "installing",
        "partition",
        1,
    )
    assert (names(decision), decision.node.job) == (["run_stage"], JID)


@pytest.mark.parametrize(
    ("stage", "attempt", "state"),
    [
        ("inventory", 0, "commissioning"),
        ("inventory", 1, "commissioning"),
        ("inventory", 2, "problem"),
        ("burn_in", 0, "problem"),
    ],
)
def test_a_failed_stage_has_its_own_budget(stage, attempt, state):
    """A stage is tried as often as it says, then the node parks with what the stage said."""
    node = commissioning(stage=stage, stage_attempt=attempt)
    event = an_event("stage_failed", "n1", "jobs", jid="j1", message="disk sda is failing")
    found = decided(node, event).node
    assert found.state == state
    if state == "problem":
        assert found.reason == f"stage {stage}: disk sda is failing"
        assert (found.origin, found.stage, found.job, found.deadline_at) == (
            "commissioning",
            stage,
            None,
            None,
        )
    else:
        assert (found.stage_attempt, found.job) == (attempt + 1, JID)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("deadline_passed", "no progress in 'commissioning' before the deadline after 3 tries"),
        ("power_lost", "the power went off by itself"),
        ("agent_silent", "started again by itself and its agent is silent"),
        ("stage_lost", "the job of stage 'raid' vanished"),
    ],
)
def test_a_problem_has_a_reason_in_words(event, words):
    """Whatever spent the budget, the reason says it."""
    node = commissioning(stage="raid", stage_attempt=2)
    found = decided(node, an_event(event, "n1", "clock", jid="j1")).node
    assert (found.state, found.origin) == ("problem", "commissioning")
    assert words in found.reason


def test_an_imposter_is_parked_and_loses_its_key():
    """Another serial number than the known one is not this node."""
    event = an_event("inventory_reported", inventory={"serial": "OTHER"})
    decision = decided(commissioning(), event, hardware=some_hardware())
    assert (decision.node.state, names(decision)) == ("problem", ["revoke_key"])
    assert "imposter" in decision.node.reason
    assert decision.inventory is None


def test_recovery_goes_back_with_a_new_boot():
    """The node boots again into the state in which the trouble arose, at the same stage's sequence."""
    node = a_node(state="problem", origin="installing", reason="x", boot=4, approved=True)
    decision = decided(node, an_event("recover", source="operator"))
    found = decision.node
    assert (found.state, found.boot, found.boot_environment, found.stage) == (
        "installing",
        5,
        "installer",
        "partition",
    )
    assert (found.origin, found.reason, found.stage_attempt) == (None, None, 0)
    assert names(decision) == ["revoke_key", "power_cycle"]


@pytest.mark.parametrize(
    ("command", "state", "goal"),
    [
        ("reinstall", "ready", "ready"),
        ("release", "ready", "commissioned"),
        ("retire", "ready", "retired"),
        ("install", "commissioned", "ready"),
    ],
)
def test_a_command_sets_the_goal(command, state, goal):
    """What a person asks for is where the node heads."""
    node = a_node(state=state, approved=True, goal="other")
    assert decided(node, an_event(command, source="operator")).node.goal == goal


def test_commissioning_takes_its_goal_from_the_command():
    """A goal that is given counts; without one the node keeps its own."""
    node = a_node(state="commissioned", approved=True, goal="commissioned")
    assert (
        decided(node, an_event("commission", source="operator", goal="ready")).node.goal == "ready"
    )
    assert decided(node, an_event("commission", source="operator")).node.goal == "commissioned"


def test_a_node_does_not_choose_its_own_goal():
    """What comes from the node or its jobs says nothing about where it heads."""
    node = commissioning(stage="security", goal="commissioned")
    event = an_event("stage_succeeded", source="jobs", jid="j1", goal="ready")
    assert decided(node, event).node.state == "commissioned"
    node = commissioning(stage="security", goal="ready", deadline_at=1.0, stage_attempt=2)
    assert decided(node, an_event("stage_lost", goal="retired", jid="j1")).node.goal == "ready"


def test_a_new_boot_has_a_token_with_an_end():
    """A boot is issued for the environment that the first stage needs, and no longer than the site says."""
    decision = decided(a_node(approved=True), an_event("commission", source="operator"))
    (boot,) = decision.boots
    assert (boot.generation, boot.environment, boot.issued_at) == (1, "live", NOW)
    assert boot.expires_at == NOW + RULES.token_ttl_s
    assert (decision.node.boot, decision.node.deadline_at) == (1, NOW + 15 * 60)


def test_a_boot_from_the_own_disk_hands_out_no_token():
    """The installed system has the token of its enrolment; the script of a local boot brings none."""
    node = a_node(
        state="installing", stage="configure", boot=2, boot_environment="installer", job="j1"
    )
    (boot,) = decided(node, an_event("stage_succeeded", "n1", "jobs", jid="j1")).boots
    assert (boot.environment, boot.generation, boot.expires_at) == ("local", 3, boot.issued_at)


def test_the_first_address_that_fetches_the_script_takes_the_boot():
    """Who comes second changes nothing: the token is not for it."""
    boot = a_boot()
    first = decided(commissioning(job=None), an_event("boot_requested", address="10.0.0.1"), [boot])
    assert [(b.taken_by, b.taken_at) for b in first.boots] == [("10.0.0.1", NOW)]
    second = decided(
        commissioning(job=None), an_event("boot_requested", address="10.0.0.2"), list(first.boots)
    )
    assert second.boots == ()


def test_a_machine_that_boots_by_itself_after_its_token_was_used_is_asked():
    """A redeemed token is not handed out again; the agent says whether it really started anew."""
    boot = a_boot(taken_by="10.0.0.1", taken_at=NOW, redeemed_at=NOW)
    decision = decided(commissioning(), an_event("boot_requested", address="10.0.0.1"), [boot])
    assert (names(decision), decision.node.boot, decision.boots) == (["check_agent"], 1, ())


def test_an_expired_boot_is_issued_anew():
    """A machine that comes late gets another boot instead of a dead token."""
    boot = a_boot(expires_at=NOW - 1)
    decision = decided(commissioning(job=None), an_event("boot_requested", address="a"), [boot])
    assert (decision.node.boot, decision.boots[0].taken_by) == (2, "a")
    assert names(decision) == ["revoke_key"]


def test_a_proven_key_redeems_its_boot():
    """The boot remembers which key its token was used for; the key is to be accepted, and the agent asked."""
    event = an_event("key_proven", source="keys", key_sha256="k", generation=1, environment="live")
    decision = decided(commissioning(job=None), event, [a_boot(), a_boot(generation=2)])
    assert [(b.generation, b.key_sha256, b.redeemed_at) for b in decision.boots] == [(1, "k", NOW)]
    assert decision.effects == (("accept_key", {"key_sha256": "k"}), ("ask_agent", {}))
    assert decision.void == {"ask_agent", "check_agent", "accept_key", "power_cycle"}


def test_a_question_to_the_agent_takes_no_stage_from_it():
    """Anybody can ask for a boot script with a MAC: a stage that waits for Salt is handed over all the same."""
    boot = a_boot(redeemed_at=NOW - 9)
    decision = decided(commissioning(), an_event("boot_requested", address="10.9.9.9"), [boot])
    assert (names(decision), decision.node.job) == (["check_agent"], "j1")
    assert "run_stage" not in decision.void
    lost = decided(commissioning(), an_event("stage_lost", source="jobs", jid="j1"))
    assert (names(lost), lost.node.job) == (["ask_agent"], None)
    assert "run_stage" in lost.void, "its job is another one from now on"


@pytest.mark.parametrize(
    ("state", "stage", "recorded"),
    [
        ("commissioning", "burn_in", {"serial": "S", "disks": []}),
        ("installing", "partition", {"serial": "S"}),
        ("releasing", "erase", {"serial": "S"}),
        ("retiring", "erase", {"serial": "S"}),
    ],
)
def test_disks_that_are_written_by_a_plan_stay_those_of_the_plan(state, stage, recorded):
    """A person saw them in the dry run: a disk that is plugged in later is not erased for being there."""
    node = commissioning(state=state, stage=stage, job=None)
    told = an_event("inventory_reported", inventory={"serial": "S", "disks": []})
    assert decided(node, told, [a_boot()]).inventory == recorded


def test_what_is_excused_costs_no_try():
    """However often the conductor is killed in the middle of one stage, the node does not park for it."""
    node = commissioning(stage="burn_in", stage_attempt=99)
    lost = an_event("stage_lost", source="jobs", jid="j1", excused=True)
    again = decided(node, lost)
    assert (again.node.state, again.node.stage_attempt) == ("commissioning", 99)
    assert names(again) == ["ask_agent"]
    assert decided(node, an_event("stage_lost", source="jobs", jid="j1")).node.state == "problem"


def test_a_boots_token_lasts_as_long_as_its_stage_may_take():
    """After an erasure of hours the installer still asks for the first boot's token; a short stage changes nothing."""
    rules = the_rules(
        sequences=RULES.sequences.extend(
            {"sequences": {"install": [{"add": "wipe", "before": "partition"}]}}
        )
    )
    boot = a_boot(environment="installer", redeemed_at=NOW - 9)
    node = commissioning(state="installing", boot_environment="installer", job=None)
    answered = an_event("agent_answered", source="jobs")
    (longer,) = decided(replace(node, stage="wipe"), answered, [boot], rules).boots
    assert longer == replace(boot, expires_at=NOW + 8 * 3600)
    assert decided(replace(node, stage="configure"), answered, [boot], rules).boots == ()
    local = replace(boot, expires_at=boot.issued_at)
    assert decided(replace(node, stage="wipe"), answered, [local], rules).boots == ()


def test_an_agent_whose_key_was_accepted_answers_soon_or_is_started_anew():
    """It is up: a hung one is not waited for as long as a boot takes. A job that runs keeps its time."""
    event = an_event("key_proven", source="keys", key_sha256="k", generation=1, environment="live")
    idle = decided(commissioning(job=None, deadline_at=NOW + 900), event, [a_boot()])
    at_work = decided(commissioning(job="j1", deadline_at=NOW + 9000), event, [a_boot()])
    assert (idle.node.deadline_at, at_work.node.deadline_at) == (NOW + ANSWER_S, NOW + 9000)


def test_a_light_agents_first_answer_redeems_its_boot():
    """Over the boot API the token itself is the proof."""
    decision = decided(commissioning(job=None), an_event("agent_answered"), [a_boot()])
    assert [b.redeemed_at for b in decision.boots] == [NOW]
    assert (
        decided(
            commissioning(job=None), an_event("agent_answered", source="jobs"), [a_boot()]
        ).boots
        == ()
    )


def test_an_agent_that_answers_again_starts_no_second_job():
    """A running job goes on."""
    decision = decided(commissioning(), an_event("agent_answered", source="jobs"))
    assert (decision.node.job, decision.effects) == ("j1", ())


def test_the_installer_gets_a_boot_for_the_systems_enrolment():
    """The token of the installed system belongs to the installer's boot, in the environment ``local``."""
    node = a_node(state="installing", boot=2, boot_environment="installer", stage="image")
    (boot,) = decided(node, an_event("enrolment_requested")).boots
    assert (boot.generation, boot.environment) == (2, "local")
    assert boot.expires_at == NOW + RULES.token_ttl_s


@pytest.mark.parametrize(("vouch", "state"), [(False, "discovered"), (True, "commissioning")])
def test_the_policy_lets_discovered_hardware_in(vouch, state):
    """Without a policy that vouches for it, hardware waits for a person."""
    rules = the_rules(vouch=lambda node, event: vouch)
    node = a_node(state="discovering", boot=1, boot_environment="live")
    event = an_event("inventory_reported", inventory={"serial": "S"})
    decision = decided(node, event, [a_boot()], rules)
    assert (decision.node.state, decision.node.approved) == (state, vouch)
    assert decision.inventory == {"serial": "S"}


def test_deadlines_follow_the_factor():
    """Virtual machines need less patience."""
    rules = the_rules(deadline_factor=0.1)
    decision = decided(
        a_node(approved=True), an_event("commission", source="operator"), rules=rules
    )
    assert decision.node.deadline_at == NOW + 90


@pytest.mark.parametrize(
    ("source", "seen"), [("boot", NOW), ("jobs", NOW), ("power", None), ("operator", None)]
)
def test_only_the_node_itself_is_a_sign_of_its_life(source, seen):
    """What others do to it does not tell that it lives."""
    decision = decided(commissioning(), an_event("x", source=source, noted="seen"))
    assert decision.node.last_seen_at == seen


def test_observed_power_is_kept():
    """What the BMC reports is the node's power, with the time."""
    event = an_event("power_observed", source="power", power="on", noted="power is on")
    found = decided(commissioning(), event).node
    assert (found.power, found.power_observed_at) == ("on", NOW)


def test_an_illegal_command_names_what_is_legal():
    """Nothing is decided, and the error carries the choices."""
    with pytest.raises(IllegalEventError) as caught:
        decided(commissioning(), an_event("reinstall", source="operator"))
    assert "recover" not in caught.value.detail["legal"]


def test_every_decision_raises_the_version_once():
    """The version that is written is one above the one that was read."""
    node = commissioning()
    for event in (an_event("stage_succeeded", source="jobs", jid="j1"), an_event("boot_requested")):
        assert decided(node, event, [a_boot()]).node.version == node.version + 1
