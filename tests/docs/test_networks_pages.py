"""The pages about networks: their examples are sound, and the reference has every field."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import get_args

import pytest
import yaml

from racksalt.model.conduit import Alternative, Bond
from racksalt.model.place import Network, Purpose, RangeUse, Tagging
from racksalt.site.declare import declare
from tests.support import source

HOW_TO = source.Path("docs/how-to/describe-networks.md")
REFERENCE = source.Path("docs/reference/networks.md")
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def test_the_how_tos_site_is_sound():
    """Its pieces, put together as files of one site, have no problem."""
    pieces = [yaml.safe_load(text) for text in EXAMPLE.findall(source.text(HOW_TO))]
    documents = {
        f"site/{number}.yaml": piece
        for number, piece in enumerate(pieces)
        if {"networks", "nodes"} & set(piece)
    }
    declared, problems = declare(documents)
    assert problems == []
    assert set(declared.networks) == {"provisioning-z1", "storage"}


@pytest.mark.parametrize(
    "word",
    [
        *(field.name for cls in (Network, Alternative, Bond) for field in fields(cls)),
        *get_args(Purpose),
        *get_args(RangeUse),
        *get_args(Tagging),
    ],
)
def test_the_reference_names_every_field_and_word(word):
    """Who looks something up finds it."""
    assert word == "name" or f"`{word}`" in source.text(REFERENCE)


def test_the_reference_shows_what_a_node_is_given():
    """With the keys that the plan has."""
    (shown,) = EXAMPLE.findall(source.text(REFERENCE))
    plan = yaml.safe_load(shown)
    assert set(plan) == {"interfaces", "dns", "problems"}
    assert [it["kind"] for it in plan["interfaces"]] == ["nic", "nic", "bond", "vlan"]
    assert json.dumps(plan)
