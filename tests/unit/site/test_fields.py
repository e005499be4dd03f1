from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from racksalt.site.fields import Section, parse


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something with one field of each kind."""

    name: str
    size: int
    kind: Literal["big", "small"] = "small"
    tags: tuple[str, ...] = ()
    note: str | None = None


def parsed(body: object) -> tuple[Thing | None, list[str]]:
    """Return the thing and what is wrong with it."""
    where = Section("f.yaml", "things:t", body, [])
    return parse(Thing, where, given={"name": "t"}), [f"{p.key}|{p.hint}" for p in where.problems]


def test_a_map_becomes_a_thing():
    """Fields that are left out have their defaults, given ones come from outside."""
    assert parsed({"size": 3, "tags": ["a"]}) == (Thing(name="t", size=3, tags=("a",)), [])


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, ["things:t:size|add `size:`"]),
        (None, ["things:t:size|add `size:`"]),
        ([], ["things:t|write its fields below it, indented"]),
        ({"size": True}, ["things:t:size|"]),
        ({"size": 1, "note": 7}, ["things:t:note|put it in quotes"]),
        ({"size": 1, "tags": ["a", 7]}, ["things:t:tags:1|put it in quotes"]),
        ({"size": "x", "kind": "tiny"}, ["things:t:size|", "things:t:kind|use big, small"]),
    ],
)
def test_each_field_that_does_not_fit_is_reported(body, problems):
    """A wrong field makes one problem at its own key, and no thing comes of it."""
    assert parsed(body) == (None, problems)


@pytest.mark.parametrize("body", [{"size": 1, "name": "other"}, {"size": 1, "name": []}])
def test_a_field_too_many_is_reported_and_left_out(body):
    """What is fit to be looked at is looked at, so that all mistakes are told at once."""
    assert parsed(body) == (
        Thing(name="t", size=1),
        ["things:t:name|there is size, kind, tags, note"],
    )


def test_a_missing_piece_is_none():
    """A key that is absent or empty has no piece below it."""
    where = Section("f", "k", {"a": {"b": 1}, "c": None}, [])
    assert where.below("c") is None
    assert where.below("d") is None
    inner = where.below("a")
    assert inner
    assert (inner.key, inner.body) == ("k:a", {"b": 1})
    assert inner.with_defaults({"b": 2, "z": 3}).body == {"b": 1, "z": 3}
