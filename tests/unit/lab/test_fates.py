"""Fates: what a machine's name says."""

from __future__ import annotations

import pytest

from racksalt.lab.fates import FATES, GOOD, fate_of


def test_the_end_of_the_name_decides():
    """A fate is found behind a hyphen or as the whole name; any other name is good."""
    for fate in FATES:
        assert fate_of(f"r1n1-{fate.name}") is fate
        assert fate_of(fate.name) is fate
        assert fate_of(f"{fate.name}-7") is GOOD
    assert fate_of("r1n1") is GOOD


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.name)
def test_every_fate_changes_something_and_says_what(fate):
    """No fate is a mere name, and each has a sentence."""
    fields = set(type(fate).__slots__) - {"name", "meaning"}
    assert any(getattr(fate, name) != getattr(GOOD, name) for name in fields)
    assert fate.meaning.endswith(".")


def test_no_fate_hides_behind_another():
    """No name ends in another fate's name, or the first in the table would win."""
    names = [fate.name for fate in FATES]
    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if a != b and a.endswith("-" + b)]
