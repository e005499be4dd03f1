"""Stages and sequences: what a site may change, and what is refused with the reason."""

from __future__ import annotations

import pytest

from racksalt.model.errors import UnsoundMachineError
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences, Stage
from racksalt.psm.table import MACHINE

BASE = Sequences(STAGES, SEQUENCES, MACHINE)
NOWHERE = {"zone": None, "rack": None, "node": "n1", "vendor": None, "product": None}
GPU = {
    "stages": {"burn_in_gpu": {"deadline_s": 600, "when": {"rack": ["r4"]}}},
    "sequences": {"commission": [{"add": "burn_in_gpu", "after": "burn_in"}]},
}


def names(stages):
    """Return the names of stages."""
    return [stage.name for stage in stages]


def test_a_stage_is_added_for_one_rack():
    """Nodes of the rack run it after burn-in, all others never see it."""
    site = BASE.extend(GPU)
    there, elsewhere = {**NOWHERE, "rack": "r4"}, {**NOWHERE, "rack": "r1"}
    assert names(site.walk("commission", there))[4:6] == ["burn_in", "burn_in_gpu"]
    assert names(site.walk("commission", elsewhere)) == list(SEQUENCES["commission"])
    assert site.following("commission", "burn_in", there).sls == "stages.burn_in_gpu"
    assert site.following("commission", "burn_in", elsewhere).name == "security"
    assert names(BASE.stages.values()) == names(STAGES)


def test_the_walk_is_what_following_gives_step_by_step():
    """A plan shows what will run."""
    for sequence in SEQUENCES:
        stage, walked = None, []
        while found := BASE.following(sequence, stage, NOWHERE):
            walked.append(found.name)
            stage = found.name
        assert walked == names(BASE.walk(sequence, NOWHERE)) == list(SEQUENCES[sequence])


def test_a_stage_that_left_the_sequence_starts_it_anew():
    """A node whose stage was dropped by an edit runs the sequence again rather than skipping work."""
    site = BASE.extend({"sequences": {"commission": [{"drop": "bios"}]}})
    assert site.following("commission", "bios", NOWHERE).name == "inventory"


@pytest.mark.parametrize(
    ("edit", "order"),
    [
        ({"drop": "firmware"}, "inventory bios raid burn_in security"),
        ({"add": "erase"}, "inventory firmware bios raid burn_in security erase"),
        ({"add": "erase", "before": "raid"}, "inventory firmware bios erase raid burn_in security"),
        (
            {"add": "security", "after": "inventory"},
            "inventory security firmware bios raid burn_in",
        ),
        ({"replace": "raid", "with": "erase"}, "inventory firmware bios erase burn_in security"),
    ],
)
def test_sequences_are_edited(edit, order):
    """Add, drop, reorder and replace."""
    assert (
        " ".join(BASE.extend({"sequences": {"commission": [edit]}}).sequences["commission"])
        == order
    )


def test_a_built_in_stage_is_changed_field_by_field():
    """What a site does not say stays as it was."""
    found = BASE.extend({"stages": {"burn_in": {"deadline_s": 60}}}).stages["burn_in"]
    assert (found.deadline_s, found.sls, found.retries) == (60, "stages.burn_in", 0)


def stage(**body):
    """Return additions of one stage that takes part in a sequence."""
    return {"stages": {"s": body}, "sequences": {"commission": [{"add": "s"}]}}


UNSOUND = {
    "unknown anchor": (
        {"sequences": {"commission": [{"add": "erase", "after": "burnin"}]}},
        "sequence 'commission' has no stage 'burnin'",
    ),
    "unknown sequence": ({"sequences": {"comission": []}}, "sequence 'comission' is unknown"),
    "no edit": ({"sequences": {"commission": [{"put": "x"}]}}, "is no edit"),
    "undeclared stage": (
        {"sequences": {"commission": [{"add": "gpu"}]}},
        "stage 'gpu' is not declared",
    ),
    "twice": (
        {"sequences": {"commission": [{"replace": "raid", "with": "bios"}]}},
        "stage 'bios' twice",
    ),
    "empty": ({"sequences": {"release": [{"drop": "erase"}]}}, "'release' would be empty"),
    "local has no agent": (stage(environment="local"), "environment 'local' has no agent"),
    "no time": (stage(deadline_s=0), "deadline_s must be above 0"),
    "negative retries": (stage(retries=-1), "retries must be 0 or more"),
    "no sls": (stage(sls=""), "no sls to apply"),
    "unknown condition": (stage(when={"colour": ["red"]}), "cannot tell nodes by 'colour'"),
    "unknown key": (stage(timeout=5), "unknown keys timeout"),
    "nothing for the others": (
        {"stages": {"erase": {"when": {"rack": "r1"}}}},
        "needs at least one stage without 'when'",
    ),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_an_unsound_addition_is_refused_with_its_reason(case):
    """The message names stage or sequence and what is wrong with it; nothing is changed."""
    additions, message = UNSOUND[case]
    with pytest.raises(UnsoundMachineError) as caught:
        BASE.extend(additions)
    assert message in str(caught.value)


def test_a_sequence_that_the_machine_needs_must_be_there():
    """A busy state without its sequence could do nothing."""
    with pytest.raises(UnsoundMachineError, match="'install' is needed by the machine"):
        Sequences(STAGES, {k: v for k, v in SEQUENCES.items() if k != "install"}, MACHINE)


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ({}, True),
        ({"node": ("n1",)}, True),
        ({"node": ("n2", "n1")}, True),
        ({"node": ("n1",), "zone": ("z1",)}, False),
        ({"vendor": ("Acme",)}, False),
    ],
)
def test_all_conditions_must_hold(when, applies):
    """Each attribute must be one of the values; what is not known fits none."""
    assert Stage(name="s", when=when).applies(NOWHERE) is applies
