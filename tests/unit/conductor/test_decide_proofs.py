"""What a node's own proof is worth: what it leaves nothing to do for, and that it buys no time again and again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.conductor.decide import decide
from racksalt.conductor.handle import handle
from racksalt.psm.table import ANSWER_S
from tests.support.builders import NOW, a_bmc, a_boot, a_node, a_view, an_event, the_rules

JID = "20260101000000000001"
RULES = the_rules()


def commissioning(**fields):
    """Return a node that was sent into the live environment."""
    given = {"approved": True, "boot": 1, "boot_environment": "live", "stage": "inventory"}
    return a_node(**{"state": "commissioning", "deadline_at": NOW + 900, **given, **fields})


def proven(generation=1, environment="live", key="k"):
    """Return the event of a key that this boot vouches for."""
    data = {"key_sha256": key, "generation": generation, "environment": environment}
    return an_event("key_proven", source="keys", **data)


def decided(node, event, boots=(), now=NOW, rules=RULES):
    """Return what is decided."""
    return decide(a_view(node, boots, now=now), event, rules, JID)


def happen(store, *events, now=NOW, rules=RULES):
    """Handle events in one transaction."""
    with store.write() as tx:
        return handle(tx, events, rules, now)


def pending(store):
    """Return what is still to be done for n1."""
    return [row["name"] for row in store.pending_effects("n1")]


@pytest.fixture
def sent(store):
    """A store whose n1 was sent into commissioning: its old key is revoked, its power cycle waits for its BMC."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", approved=True)])
        tx.put([a_bmc()])
    happen(store, an_event("commission", source="operator"))
    with store.write() as tx:
        tx.effects_done([effect.id for effect in tx.lease("me", NOW, 60.0, 1)])
    assert pending(store) == ["power_cycle"]
    happen(store, an_event("boot_requested", address="10.0.0.9"))
    return store


# ------------------------------------------------------------ a boot that a person began


def test_a_node_that_was_started_by_hand_waits_for_no_dead_bmc(sent):
    """It proves its key: that is accepted next, and the power cycle of the boot that it is up from is over."""
    happen(sent, proven())
    assert pending(sent) == ["accept_key", "ask_agent"]
    with sent.write() as tx:
        assert {effect.name for effect in tx.lease("me", NOW, 60.0, 9)} == {
            "accept_key",
            "ask_agent",
        }


def test_a_stage_is_not_cut_by_a_bmc_that_comes_back(sent):
    """A light agent reported with its boot's token and works: nothing is left that would switch it off."""
    happen(sent, an_event("agent_answered"))
    assert pending(sent) == ["run_stage"]


@pytest.mark.parametrize("source", ["bus", "boot"])
def test_nothing_that_can_be_forged_calls_off_a_power_cycle(sent, source):
    """Neither what the bus says nor a boot request, which anybody can send with a MAC."""
    name = "agent_answered" if source == "bus" else "boot_requested"
    happen(sent, an_event(name, source=source, address="10.0.0.66"))
    happen(sent, an_event("agent_answered", boot=0))
    assert pending(sent) == ["power_cycle"]


def test_a_power_cycle_that_is_cut_short_by_a_proof_loses_no_node(sent):
    """Off by our own hand in the very moment of the proof: it is seen to be off, and started again."""
    with sent.write() as tx:
        (cycle,) = tx.lease("me", NOW, 60.0, 9)
        row = {"id": cycle.id, "not_before": NOW, "attempts": 1, "error": None}
        tx.effects_again([{**row, "progress": {"off_seen": True}}], "me")
    happen(sent, proven())
    happen(sent, an_event("power_lost", source="power", boot=1))
    assert pending(sent) == ["revoke_key", "power_cycle"]
    node = sent.node("n1")
    assert (node.state, node.boot, node.stage_attempt) == ("commissioning", 2, 1)


@pytest.mark.parametrize(
    ("redeemed_at", "boot", "over"), [(None, 4, True), (NOW - 500, 4, False), (None, 5, False)]
)
def test_an_installed_system_calls_off_its_power_cycle_only_by_its_first_proof(
    redeemed_at, boot, over
):
    """Its key may lie in the key store while the node is off: proven again, it says nothing of this boot."""
    node = a_node("n1", "enrolling", boot=boot, boot_environment="local", deadline_at=NOW + 900)
    boots = [
        a_boot(generation=3, environment="local", redeemed_at=redeemed_at, key_sha256="k"),
        a_boot(generation=boot, environment="local", expires_at=NOW - 60),
    ]
    decision = decided(node, proven(3, "local"), boots)
    assert ("power_cycle" in decision.void) is over
    assert "accept_key" in decision.void


# ------------------------------------------------------------ time


def test_a_key_that_is_never_accepted_gets_no_more_time(sent):
    """It is proven again every few seconds: one acceptance is pending, and the deadline passes."""
    for second in range(0, 600, 3):
        happen(sent, proven(), now=NOW + second)
    assert pending(sent) == ["accept_key", "ask_agent"]
    assert sent.node("n1").deadline_at == NOW + ANSWER_S
    assert [node.id for node in sent.overdue(NOW + ANSWER_S + 1)] == ["n1"]


def test_the_first_proof_of_each_boot_gets_its_time():
    """A node that came up late has the usual time to answer, after a boot from its own disk too."""
    late = commissioning(deadline_at=NOW + 5)
    assert decided(late, proven(), [a_boot()]).node.deadline_at == NOW + ANSWER_S
    again = [a_boot(redeemed_at=NOW - 9, key_sha256="k")]
    assert decided(late, proven(), again).node.deadline_at == NOW + 5
    early = commissioning(deadline_at=NOW + 900)
    assert decided(early, proven(), again).node.deadline_at == NOW + ANSWER_S


def test_a_machine_that_starts_again_and_again_is_overdue_all_the_same(store):
    """Each new boot's token is fresh; the deadline of its state is not."""
    rules = the_rules(deadline_factor=5.0)
    with store.write() as tx:
        tx.add_nodes([a_node("n1", approved=True)])
    for second in range(0, 5200, 300):
        happen(store, an_event("boot_requested", address="a"), now=NOW + second, rules=rules)
    assert store.node("n1").boot == 2
    assert [node.id for node in store.overdue(NOW + 5200)] == ["n1"]


def test_a_new_token_is_good_for_one_boot_at_least():
    """The conductor may have been away past the deadline while a machine started again."""
    late = commissioning(deadline_at=NOW - 3000)
    stale = [a_boot(expires_at=NOW - 60)]
    decision = decided(late, an_event("boot_requested", address="a"), stale)
    assert decision.node.boot == late.boot + 1
    assert decision.node.deadline_at == NOW + ANSWER_S


# ------------------------------------------------------------ keys from before


@pytest.mark.parametrize(
    ("node", "event", "effects"),
    [
        (a_node(approved=True), "boot_requested", ["revoke_key"]),
        (
            a_node(state="discovering", boot=1, boot_environment="live", approved=True),
            "inventory_reported",
            ["revoke_old_key", "ask_agent"],
        ),
        (
            a_node(state="discovered", boot=1, boot_environment="live"),
            "approve",
            ["revoke_old_key", "ask_agent"],
        ),
    ],
    ids=lambda it: getattr(it, "state", None),
)
def test_a_key_that_was_accepted_before_racksalt_came_lets_nobody_in(node, event, effects):
    """It would keep the node's own key out, and another machine would answer in its name."""
    decision = decided(node, an_event(event, inventory={}), [a_boot()])
    assert decision.node.state == "commissioning"
    assert [name for name, _ in decision.effects] == effects


@pytest.mark.parametrize("state", ["enrolling", "booting"])
@pytest.mark.parametrize(("redeemed_at", "effects"), [(None, []), (NOW - 500, ["ask_agent"])])
def test_a_system_whose_key_was_accepted_in_an_earlier_boot_is_asked(state, redeemed_at, effects):
    """It proves nothing again, so its boot is when somebody must begin to ask; that alone gets it no more time."""
    node = a_node("n1", state, boot=4, boot_environment="local", deadline_at=NOW + 700)
    boots = [
        a_boot(generation=3, environment="local", redeemed_at=redeemed_at, key_sha256="k"),
        a_boot(generation=4, environment="local", expires_at=NOW - 60),
    ]
    decision = decided(node, an_event("boot_requested", address="a"), boots)
    assert [name for name, _ in decision.effects] == effects
    assert decision.node.deadline_at == NOW + 700


# ------------------------------------------------------------ a stage that is gone

EDITS = {
    "dropped": {"sequences": {"commission": [{"drop": "burn_in"}]}},
    "replaced": {
        "stages": {"our_burn": {}},
        "sequences": {"commission": [{"replace": "burn_in", "with": "our_burn"}]},
    },
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("event", ["stage_succeeded", "stage_failed", "agent_answered"])
def test_a_node_whose_stage_was_taken_out_parks_instead_of_beginning_anew(edit, event):
    """The sequence says no more what comes next: not the first stage, and not one that nothing describes."""
    rules = the_rules(sequences=RULES.sequences.extend(EDITS[edit]))
    job = None if event == "agent_answered" else "j1"
    node = commissioning(stage="burn_in", job=job)
    decision = decided(node, an_event(event, source="jobs"), [a_boot()], rules=rules)
    found = decision.node
    assert (found.state, found.origin, found.stage) == ("problem", "commissioning", "burn_in")
    assert found.reason.startswith("stage 'burn_in' was taken out of sequence 'commission'")
    assert [name for name, _ in decision.effects] == ["revoke_key"]


def test_a_stage_that_is_declared_no_more_is_gone_too():
    """A site's own stage, removed from the files as a whole."""
    node = commissioning(stage="gpu", state="installing", boot_environment="installer", job="j1")
    found = decided(node, an_event("stage_succeeded", source="jobs", jid="j1")).node
    assert (found.state, found.origin) == ("problem", "installing")


@pytest.mark.parametrize("event", ["deadline_passed", "power_lost", "agent_silent", "stage_lost"])
def test_trouble_in_a_stage_that_is_gone_begins_nothing_anew(event):
    """It is tried again as ever, remembers its stage and its tries, and parks when its agent answers."""
    rules = the_rules(sequences=RULES.sequences.extend(EDITS["dropped"]))
    node = commissioning(stage="burn_in", job="j1")
    found = decided(node, an_event(event, source="clock"), [a_boot()], rules=rules).node
    assert (found.state, found.stage, found.stage_attempt) == ("commissioning", "burn_in", 1)
    answered = an_event("agent_answered", source="jobs")
    later = decided(replace(found, job=None), answered, [a_boot()], rules=rules).node
    assert later.state == "problem"


def test_a_job_that_runs_goes_on_though_its_stage_is_gone():
    """An edit cuts nobody's work short."""
    rules = the_rules(sequences=RULES.sequences.extend(EDITS["dropped"]))
    node = commissioning(stage="burn_in", job="j1")
    decision = decided(node, an_event("agent_answered", source="jobs"), [a_boot()], rules=rules)
    assert (decision.node.state, decision.node.job, decision.effects) == (
        "commissioning",
        "j1",
        (),
    )
