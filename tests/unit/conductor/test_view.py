"""What the conductor knows of a node, and what the guards may look at."""

from __future__ import annotations

import pytest

from racksalt.conductor.view import facts, first_stage, next_stage
from tests.support.builders import (
    NOW,
    a_boot,
    a_node,
    a_view,
    an_event,
    some_hardware,
    the_rules,
)

RULES = the_rules()
GPU = {
    "stages": {"gpu": {"when": {"vendor": "Acme"}}},
    "sequences": {"commission": [{"add": "gpu", "before": "inventory"}]},
}


def commissioning(**fields):
    """Return a node in the live environment."""
    given = {"boot": 1, "boot_environment": "live", "stage": "inventory", **fields}
    return a_node(state="commissioning", **given)


def test_the_boot_is_the_one_that_the_node_is_on():
    """Generation and environment must both fit."""
    boots = [a_boot(generation=1, environment="local"), a_boot(generation=2), a_boot()]
    assert a_view(commissioning(), boots).boot == a_boot()
    assert a_view(commissioning(boot=3), boots).boot is None


@pytest.mark.parametrize(
    ("event", "stage"),
    [
        ("stage_succeeded", "firmware"),
        ("stage_failed", "inventory"),
        ("agent_answered", "inventory"),
    ],
)
def test_the_next_stage_depends_on_the_event(event, stage):
    """Only success leads on."""
    assert next_stage(a_view(commissioning()), RULES, event).name == stage


def test_a_node_without_a_stage_stands_before_the_first():
    """And one whose state has no sequence stands before none."""
    assert (
        next_stage(a_view(commissioning(stage=None)), RULES, "agent_answered").name == "inventory"
    )
    assert next_stage(a_view(a_node(state="ready")), RULES, "x") is None
    assert first_stage(a_view(), RULES, "ready") is None


def test_the_longest_deadline_is_that_of_the_longest_stage():
    """Also where the site made it shorter: a node may still be in it."""
    longer = RULES.sequences.extend({"stages": {"erase": {"deadline_s": 90_000}}})
    shorter = RULES.sequences.extend(
        {"stages": {"erase": {"deadline_s": 60}, "wipe": {"deadline_s": 60}}}
    )
    assert RULES.longest_s == 8 * 3600
    assert the_rules(sequences=longer, deadline_factor=2.0).longest_s == 180_000
    assert the_rules(sequences=shorter, deadline_factor=0.1).longest_s == 8 * 3600


def test_stages_follow_hardware():
    """A stage for one vendor runs on its machines once the vendor is known."""
    rules = the_rules(sequences=RULES.sequences.extend(GPU))
    assert first_stage(a_view(), rules, "commissioning").name == "inventory"
    assert first_stage(a_view(hardware=some_hardware()), rules, "commissioning").name == "gpu"


@pytest.mark.parametrize(
    ("boot", "spent", "fresh"),
    [
        ({}, False, True),
        ({"redeemed_at": NOW}, True, True),
        ({"expires_at": NOW}, False, False),
    ],
)
def test_a_boot_is_fresh_or_spent(boot, spent, fresh):
    """A redeemed token is spent; an expired one is not fresh."""
    found = facts(a_view(commissioning(), [a_boot(**boot)]), an_event("boot_requested"), RULES)
    assert (found.boot_spent, found.boot_fresh) == (spent, fresh)


@pytest.mark.parametrize(
    ("event", "stage", "attempt", "left"),
    [
        ("stage_failed", "burn_in", 0, False),
        ("stage_failed", "inventory", 1, True),
        ("stage_failed", "inventory", 2, False),
        ("deadline_passed", "burn_in", 1, True),
        ("deadline_passed", "burn_in", 2, False),
    ],
)
def test_a_failed_stage_uses_its_own_budget_and_all_else_the_states(event, stage, attempt, left):
    """The budget of a stage bounds its failures, that of the state everything else."""
    node = commissioning(stage=stage, stage_attempt=attempt)
    assert facts(a_view(node), an_event(event), RULES).has_retries is left


@pytest.mark.parametrize(
    ("inventory", "conflicts"),
    [
        ({"serial": "SER-n1"}, False),
        ({"serial": " ser-N1 "}, False),
        ({"serial": "OTHER"}, True),
        ({"serial": "To Be Filled By O.E.M."}, False),
        ({"serial": None, "system_uuid": None}, False),
        ({"serial": ["x"]}, False),
        ("not a map", False),
        ({}, False),
    ],
)
def test_another_serial_number_is_a_conflict(inventory, conflicts):
    """What says nothing conflicts with nothing."""
    view = a_view(commissioning(), hardware=some_hardware())
    event = an_event("inventory_reported", inventory=inventory)
    assert facts(view, event, RULES).identity_conflicts is conflicts
