"""README and tutorial show what the demo really printed."""

from __future__ import annotations

import json
import re

import pytest
from graphql import build_schema, parse, validate

from racksalt.lab.demo import QUERY
from racksalt.psm.sequences import STAGES
from racksalt.psm.table import STATES
from tests.support import source

README = source.text(source.Path("README.md"))
TUTORIAL = source.text(source.Path("docs/tutorial/first-rack.md"))
STEP = re.compile(r"^ +[\d.]+ s  (\w+) +((?!n\d)\w*) *(n\d.*)$", re.MULTILINE)


def _recorded(text: str, name: str) -> str:
    return text.split(f"<!-- recorded:{name} -->\n", 1)[1].split("\n<!-- /recorded", 1)[0]


def _block(text: str, language: str) -> str:
    return text.split(f"```{language}\n", 1)[1].split("\n```", 1)[0]


@pytest.mark.parametrize("text", [README, TUTORIAL], ids=["README", "tutorial"])
def test_the_recorded_walk_is_one_of_this_machine(text):
    """Every state and stage in the recorded output exists; record it anew when they change."""
    steps = STEP.findall(_recorded(text, "demo"))
    assert len(steps) > 10
    assert {state for state, _, _ in steps} <= {state.name for state in STATES}
    assert {stage for _, stage, _ in steps} <= {stage.name for stage in STAGES} | {""}


def test_the_tutorial_shows_every_node_arriving():
    """Seven nodes become ready and the one with the bad disk parks."""
    ready = {
        node
        for state, _, nodes in STEP.findall(_recorded(TUTORIAL, "demo"))
        for node in nodes.split()
        if state == "ready"
    }
    assert ready == {f"n{number}" for number in range(1, 8)}
    assert "n8-bad-disk → stage burn_in" in TUTORIAL


def test_the_query_in_readme_is_the_demos_and_is_valid():
    """What README asks is what the demo asks, and the schema accepts it."""
    query = _block(_recorded(README, "query"), "graphql")
    assert query == QUERY
    schema = build_schema(source.text(source.Path("graphql_api/schema.graphql")))
    assert validate(schema, parse(query)) == []


def test_the_answer_in_readme_fits_its_query():
    """The recorded answer has the fields that were asked for, of every node of the example site."""
    answer = json.loads(_block(_recorded(README, "query"), "json"))
    racks = [rack for zone in answer["zones"] for rack in zone["racks"]]
    nodes = {node["name"]: node["state"] for rack in racks for node in rack["nodes"]}
    assert nodes == {**{f"n{n}": "READY" for n in range(1, 8)}, "n8-bad-disk": "PROBLEM"}


def test_every_graphql_example_in_the_docs_is_valid():
    """A query that somebody copies from a page is accepted by the schema."""
    schema = build_schema(source.text(source.Path("graphql_api/schema.graphql")))
    examples = [
        (page, text)
        for page in source.under("docs", "README.md", suffix=".md")
        for text in re.findall(r"```graphql\n(.*?)```", source.text(page), re.DOTALL)
    ]
    assert examples
    wrong = {f"{page}: {text}": str(validate(schema, parse(text))) for page, text in examples}
    assert set(wrong.values()) == {"[]"}, wrong
