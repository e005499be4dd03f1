from __future__ import annotations

from typing import Any

import pytest

from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.site.declare import declare

GPU = {"environment": "live", "deadline_s": 3600, "when": {"rack": "r1"}, "after": "burn_in"}


def additions(**sections: Any) -> dict[str, Any]:
    """Return what the sections add, which must be without problems."""
    racks = {"zones": ["z1"], "racks": {"r1": {"zone": "z1"}}}
    declared, problems = declare({"site/stages.yaml": sections, "site/racks.yaml": racks})
    assert not problems, list(map(str, problems))
    return declared.additions


def problems(**sections: Any) -> list[str]:
    """Return the key of each problem in the sections, on a site with one rack."""
    site = {"zones": ["z1"], "racks": {"r1": {"zone": "z1"}}, **sections}
    return [it.key for it in declare({"site/stages.yaml": site})[1]]


def test_a_stage_with_a_place_adds_itself_to_the_sequence():
    """``after`` or ``before`` in a stage is an edit of the commission sequence, or of the one it names."""
    assert additions(stages={"burn_in_gpu": GPU}) == {
        "stages": {
            "burn_in_gpu": {"environment": "live", "deadline_s": 3600, "when": {"rack": "r1"}}
        },
        "sequences": {"commission": [{"add": "burn_in_gpu", "after": "burn_in"}]},
    }
    early = additions(stages={"motd": {"sequence": "install", "before": "configure"}})
    assert early["sequences"] == {"install": [{"add": "motd", "before": "configure"}]}


def test_the_machine_takes_what_the_site_adds():
    """The additions are exactly what ``Sequences.extend`` understands, and only the rack's nodes run the stage."""
    built_in = Sequences(STAGES, SEQUENCES, MACHINE)
    added = built_in.extend(
        additions(stages={"burn_in_gpu": GPU}, sequences={"commission": [{"drop": "firmware"}]})
    )
    there = [stage.name for stage in added.walk("commission", {"rack": "r1"})]
    elsewhere = [stage.name for stage in added.walk("commission", {"rack": "r2"})]
    assert there == ["inventory", "bios", "raid", "burn_in", "burn_in_gpu", "security"]
    assert elsewhere == ["inventory", "bios", "raid", "burn_in", "security"]


def test_a_built_in_stage_can_be_changed_in_part():
    """Only the fields that are given are handed on."""
    assert additions(stages={"burn_in": {"deadline_s": 60}}) == {
        "stages": {"burn_in": {"deadline_s": 60}}
    }


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        ({"environment": "local"}, "environment"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"retries": -1}, "retries"),
        ({"after": "a", "before": "b"}, "before"),
        ({"sequence": "install"}, "sequence"),
        ({"when": {"rak": "r1"}}, "when:rak"),
        ({"when": {"rack": 5}}, "when"),
        ({"when": {"rack": ["r9"]}}, "when:rack"),
        ({"deadline": 5}, "deadline"),
    ],
)
def test_a_stage_that_makes_no_sense_is_reported(stage, key):
    """The problem stands at the field to mend."""
    assert all(it.startswith(f"stages:gpu:{key}") for it in problems(stages={"gpu": stage}))
    assert problems(stages={"gpu": stage})


def test_a_stage_needs_a_legal_name():
    """It becomes the name of an SLS file."""
    assert problems(stages={"Burn In": GPU}) == ["stages:Burn In"]


@pytest.mark.parametrize(
    ("edits", "key"),
    [
        ({}, "sequences:commission"),
        (["drop bios"], "sequences:commission:0"),
        ([{"drop": "a", "add": "b"}], "sequences:commission:0"),
        ([{"drop": "a", "after": "b"}], "sequences:commission:0:after"),
        ([{"add": "a", "after": "b", "before": "c"}], "sequences:commission:0"),
        ([{"replace": "a"}], "sequences:commission:0:with"),
        ([{"drop": "a"}, {"drop": 5}], "sequences:commission:1"),
    ],
)
def test_a_change_of_a_sequence_that_is_none_is_reported(edits, key):
    """Each change has one verb and what goes with it."""
    assert problems(sequences={"commission": edits}) == [key]
