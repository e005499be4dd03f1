"""A site's stages, as the machine takes them; told by the check of the site's folder, like all that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from racksalt.adapters.site_files import check, write_site
from tests.support.sites import a_site


def told(folder, **sections: Any) -> list[tuple[str, str, str]]:
    """Return file, key and words of each error of a site with these sections."""
    write_site(folder, {"site/stages.yaml": sections})
    found = [it for it in check(folder) if it.severity == "error"]
    return [(it.file, it.key, f"{it.message} ({it.hint})") for it in found]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"after": "burn_inn"}, "burn_inn"),
        ({"after": "burn_in", "environment": "local"}, "burn_in_gpu"),
    ],
)
def test_a_stage_that_makes_no_sound_machine_is_found_before_it_is_used(tmp_path, stage, words):
    """Who checks the files hears what the conductor would refuse, and where it is written."""
    body = {"environment": "live", "sls": "stages.burn_in_gpu", **stage}
    folder = a_site(tmp_path)
    assert told(folder) == []
    ((file, key, said),) = told(folder, stages={"burn_in_gpu": body})
    assert file == "site/stages.yaml"
    assert words in f"{key} {said}"


def test_a_stage_that_would_never_run_is_found(tmp_path):
    """A new stage without a place does nothing at all: its file, its name and how to place it are told."""
    folder = a_site(tmp_path)
    stages = {"burn_in_gpu": {"retries": 0}, "motd": {"sequence": "install", "after": "image"}}
    ((file, key, said),) = told(folder, stages=stages)
    assert (file, key) == ("site/stages.yaml", "stages:burn_in_gpu")
    assert "is in no sequence" in said
    assert "give `after` or `before`, or an `add` below `sequences`" in said


@pytest.mark.parametrize(
    "edit",
    [
        {"add": "burn_in_gpu"},
        {"add": "burn_in_gpu", "before": "raid"},
        {"replace": "raid", "with": "burn_in_gpu"},
    ],
)
def test_a_change_of_a_sequence_places_a_stage_too(tmp_path, edit):
    """A stage that only ``sequences`` places runs, and is no mistake."""
    folder = a_site(tmp_path)
    sections = {"stages": {"burn_in_gpu": {}}, "sequences": {"commission": [edit]}}
    assert told(folder, **sections) == []


@pytest.mark.parametrize("name", ["burn_in", "wipe"])
def test_fields_of_a_built_in_stage_need_no_place(tmp_path, name):
    """It is where it was; ``wipe``, which is in no sequence, may be made ready for the day when it is."""
    assert told(a_site(tmp_path), stages={name: {"deadline_s": 60}}) == []


@pytest.mark.parametrize("name", ["burn_in", "wipe", "burn_in_gpu"])
def test_a_sequence_without_a_neighbour_is_a_mistake(tmp_path, name):
    """It says where a stage should be, and places it nowhere: nobody writes that and means nothing."""
    ((_, key, said),) = told(a_site(tmp_path), stages={name: {"sequence": "install"}})
    assert key == f"stages:{name}:sequence"
    assert "`after` or `before`" in said
