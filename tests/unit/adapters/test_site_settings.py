"""What a stage would refuse is told of the layers' files before any node runs it."""

from __future__ import annotations

from typing import Any

import pytest

from racksalt.adapters.site_files import check, write_site
from racksalt.site.layers import REMOVE
from tests.support.sites import a_site

OURS = {"environment": "live", "sequence": "commission", "after": "burn_in"}


def told(folder, stages: Any, **declared: Any) -> list[tuple[str, str, str, str]]:
    """Return severity, file, key and words of each problem of a site with these settings of stages."""
    write_site(folder, {"rack/r1.sls": {"racksalt": {"stages": stages}}})
    write_site(folder, {"site/stages.yaml": {"stages": declared}} if declared else {})
    return [(it.severity, it.file, it.key, f"{it.message} ({it.hint})") for it in check(folder)]


def test_a_misspelt_key_and_a_number_for_a_version_are_found(tmp_path):
    """With the file, the whole key and what would be right."""
    stages = {"erase": {"disk": ["SER-2"]}, "firmware": {"baseline": {"bios": 1.1}}}
    assert told(a_site(tmp_path), stages) == [
        (
            "error",
            "rack/r1.sls",
            "racksalt:stages:erase:disk",
            "no such key (use disks, verify)",
        ),
        (
            "error",
            "rack/r1.sls",
            "racksalt:stages:firmware:baseline:bios",
            "1.1 is no text (put it in quotes: without them 1.10 is 1.1)",
        ),
    ]


def test_a_stage_that_nobody_has_is_found(tmp_path):
    """What is said to a misspelt stage is said to nobody, and the right one would take its default."""
    where = ("error", "rack/r1.sls", "racksalt:stages:eraze")
    found = told(a_site(tmp_path), {"eraze": {"disks": ["SER-2"]}})
    assert found == [(*where, "no such stage (did you mean erase?)")]


@pytest.mark.parametrize(
    "stages",
    [
        {"erase": REMOVE},
        {"erase": {"disks": REMOVE}, "burn_in": {"cpu_s": REMOVE}},
        {"raid": {"arrays": REMOVE}, "partition": {"disks": {"match": REMOVE}}},
        {"gpu": {"cards": "all"}, "partition": {"root_gb": 40}},
        REMOVE,
        None,
    ],
)
def test_removals_parts_and_stages_of_the_site_are_right(tmp_path, stages):
    """A layer may take away what a lower one says, or say a part of it; and a site's own stages are its own."""
    assert told(a_site(tmp_path), stages, gpu={**OURS, "sls": "stages.gpu"}) == []


def test_a_built_in_stage_with_states_of_the_site_takes_what_it_likes(tmp_path):
    """Whoever gives `burn_in` another SLS says there what its settings are; another deadline changes none."""
    stages = {"burn_in": {"gpu_s": 60}}
    assert told(a_site(tmp_path / "a"), stages, burn_in={"deadline_s": 60})
    assert not told(a_site(tmp_path / "b"), stages, burn_in={"sls": "stages.ours"})
