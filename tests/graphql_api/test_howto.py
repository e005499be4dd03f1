from __future__ import annotations

import re
from dataclasses import asdict

import pytest
from graphql import parse, specified_rules
from strawberry.schema.schema import validate_document

from graphql_api import commands, feed, history, limits, paging
from graphql_api.schema import schema
from tests.support import source

PAGE = source.Path("docs/how-to/query-the-topology.md")
REFERENCE = source.Path("docs/reference/graphql.md")
QUERIES = re.findall(r"```graphql\n(.*?)```", source.text(PAGE), re.DOTALL)


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_of_the_how_to_runs(fresh, query):
    """What the page shows is answered, and finds something."""
    if query.startswith("subscription"):
        assert not validate_document(schema._schema, parse(query), tuple(specified_rules))
        return
    data = fresh.ask(query)
    assert all(value is not None for value in data.values())


def test_the_reference_names_the_limits_that_hold():
    """Each number of the page is the one in the code."""
    text = source.text(REFERENCE).replace(",", "")
    named = asdict(limits.Limits())
    for name in ("depth", "aliases", "repeats", "tokens", "characters", "cost"):
        assert f"{named[name]}" in text, name
    others = (
        named["points_per_minute"],
        named["subscriptions_per_socket"],
        paging.MOST,
        history.MOST,
        commands.MOST,
        feed.BACKLOG,
    )
    assert all(str(number) in text for number in others)
    assert f"{named['answer_bytes'] >> 20} MiB" in text


def test_the_reference_names_every_error_code():
    """A code that a client may meet is explained."""
    codes = set()
    for path in source.under("graphql_api", suffix=".py"):
        codes |= set(re.findall(r'UserError\(\s*"([A-Z_]+)"', source.text(path)))
    text = source.text(REFERENCE)
    assert len(codes) >= 9
    assert not {code for code in codes - {"INVALID"} if f"`{code}`" not in text}
