"""A plan says what will really happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.conductor.handle import handle
from racksalt.conductor.planning import plan_hash, plan_node, refusal
from racksalt.model.errors import IllegalEventError
from racksalt.model.node import Disk
from tests.support.builders import NOW, a_node, a_view, an_event, the_rules

RULES = the_rules()
DISKS = [Disk(id="n1/0", node="n1", name="sda", serial="D1", size_gb=480)]


def planned(state, command, disks=(), rules=RULES, **fields):
    """Return the plan of one command."""
    node = a_node(state=state, **{"approved": True, **fields})
    return plan_node(a_view(node), an_event(command, source="operator"), list(disks), rules)


def test_a_reinstall_lists_transitions_reboots_and_disks():
    """What a person must know before saying yes."""
    plan = planned("ready", "reinstall", DISKS)
    assert [(t["from"], t["to"]) for t in plan.transitions] == [
        ("ready", "installing"),
        ("installing", "installing"),
        ("installing", "installing"),
        ("installing", "enrolling"),
        ("enrolling", "ready"),
    ]
    assert [t["stage"] for t in plan.transitions[:3]] == ["partition", "image", "configure"]
    assert (plan.reboots, plan.ends_in) == (2, "ready")
    assert plan.disks_wiped == ["sda (480 GB, serial D1)"]


def test_disks_in_another_order_are_the_same_plan():
    """An inventory that lists them otherwise makes no conflict of what a person has seen."""
    both = [*DISKS, replace(DISKS[0], name="nvme0n1", serial="D0")]
    one, other = (planned("ready", "reinstall", disks) for disks in (both, both[::-1]))
    assert one.disks_wiped == ["nvme0n1 (480 GB, serial D0)", "sda (480 GB, serial D1)"]
    assert one.as_dict() == other.as_dict()


@pytest.mark.parametrize(
    ("state", "command", "fields", "end", "reboots", "wipes"),
    [
        ("declared", "commission", {"goal": "ready"}, "ready", 3, True),
        ("declared", "commission", {"goal": "commissioned"}, "commissioned", 1, True),
        ("declared", "commission", {"approved": False}, "discovered", 1, False),
        ("ready", "release", {}, "commissioned", 1, True),
        ("ready", "retire", {}, "retired", 1, True),
        ("declared", "retire", {}, "retired", 0, False),
        ("problem", "recover", {"origin": "booting"}, "ready", 1, False),
        ("ready", "power_off", {}, "ready", 0, False),
    ],
)
def test_plans_end_where_they_say(state, command, fields, end, reboots, wipes):
    """Each command's end, number of reboots, and whether disks are written to."""
    plan = planned(state, command, DISKS, **fields)
    assert (plan.ends_in, plan.reboots, bool(plan.disks_wiped)) == (end, reboots, wipes)


def test_disks_that_nobody_knows_may_be_all():
    """A node without inventory is not promised to keep anything."""
    assert planned("ready", "reinstall").disks_wiped == ["every disk (none is known yet)"]


def test_an_illegal_command_has_no_plan():
    """The refusal is plain data with what would be legal."""
    with pytest.raises(IllegalEventError) as caught:
        planned("commissioning", "install")
    told = refusal("n1", caught.value)
    assert (told["node"], told["code"]) == ("n1", "illegal_event")
    assert "boot_requested" in told["legal"]


def test_the_hash_names_one_plan():
    """Another disk is another plan; the same plan has the same hash."""
    first, second = planned("ready", "reinstall", DISKS), planned("ready", "reinstall", DISKS)
    assert plan_hash([first.as_dict()]) == plan_hash([second.as_dict()])
    other = planned("ready", "reinstall", [replace(DISKS[0], serial="D2")])
    assert plan_hash([first.as_dict()]) != plan_hash([other.as_dict()])


CASES = [
    ("declared", "commission", "ready"),
    ("declared", "commission", "commissioned"),
    ("commissioned", "install", "commissioned"),
    ("ready", "reinstall", "ready"),
    ("ready", "release", "ready"),
    ("ready", "retire", "ready"),
    ("retired", "commission", "retired"),
]
GPU = {
    "stages": {"gpu": {"environment": "installer", "when": {"rack": "r4"}}},
    "sequences": {"commission": [{"add": "gpu", "before": "raid"}]},
}


@pytest.mark.parametrize(("state", "command", "goal"), CASES)
@pytest.mark.parametrize(
    "additions", [{}, GPU], ids=["plain", "with a stage in another environment"]
)
def test_what_is_planned_is_what_happens(sqlite_store, state, command, goal, additions):
    """Run for real, the journal has the plan's transitions, and the boots are as many as it said."""
    rules = the_rules(sequences=RULES.sequences.extend(additions))
    node = a_node("n1", state, approved=True, goal=goal, rack="r4")
    order = an_event(command, source="operator")
    plan = plan_node(a_view(node), order, [], rules)
    with sqlite_store.write() as tx:
        tx.add_nodes([node])
    event, done = order, []
    for _ in range(60):
        with sqlite_store.write() as tx:
            (outcome,) = handle(tx, [event], rules, NOW)
        done.append(outcome)
        event = well(outcome.node)
        if event is None:
            break
    moves = [
        (e.from_state, e.to_state, e.stage)
        for e, before in zip(
            [o.entry for o in done], [None, *[o.entry for o in done]], strict=False
        )
        if before is None or (e.to_state, e.stage) != (before.to_state, before.stage)
    ]
    assert moves == [(t["from"], t["to"], t["stage"]) for t in plan.transitions]
    assert sqlite_store.node("n1").boot == plan.reboots
    assert sqlite_store.node("n1").state == plan.ends_in


def well(node):
    """Return what happens next to a node when all goes well; None when it is at rest."""
    if node.job:
        erasure = {"disks": [{"name": "sda"}]} if node.stage == "erase" else None
        return an_event("stage_succeeded", source="jobs", jid=node.job, erasure=erasure)
    if node.deadline_at is None:
        return None
    return an_event("agent_answered", source="jobs")
