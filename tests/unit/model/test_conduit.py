"""The pattern language of conduits: speed, sign, position."""

from __future__ import annotations

import pytest

from racksalt.model.conduit import (
    Alternative,
    Expected,
    choose,
    in_order,
    parse_pattern,
    parse_speed,
    pick,
    told_speed,
)
from racksalt.model.errors import InvalidInputError

MIXED = [
    Expected("enp5s0f10", 10_000),
    Expected("enp5s0f2", 10_000),
    Expected("eno1", 1000),
    Expected("eno2", 1000),
    Expected("ens9", 25_000),
    Expected("enx1", None),
]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1g1", "eno1"),
        ("1g2", "eno2"),
        ("1g3", None),
        ("10g1", "enp5s0f2"),
        ("10g2", "enp5s0f10"),
        ("25g1", "ens9"),
        ("1000m2", "eno2"),
        ("+10g3", "ens9"),
        ("10g+3", "ens9"),
        ("+10g4", None),
        ("-10g4", "enp5s0f10"),
        ("?10g3", "ens9"),
        ("?10g4", "eno1"),
        ("?40g1", "ens9"),
        ("?100m1", "eno1"),
        ("any1", "eno1"),
        ("any6", "enx1"),
        ("any7", None),
        ("40g1", None),
    ],
)
def test_a_pattern_means_a_nic_by_speed_and_position(text, name):
    """Positions count the NICs that fit, in the order of their names, numbers by value."""
    found = pick(parse_pattern(text), in_order(MIXED))
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    "text", ["", "eth0", "10g", "g1", "1g0", "+any1", "+1g-2", "1t1", "10G1", "1g1x", "1g 1", "-1"]
)
def test_what_is_no_pattern_is_refused_with_an_example(text):
    """The message quotes what was written, the hint shows what to write."""
    with pytest.raises(InvalidInputError) as caught:
        parse_pattern(text)
    assert repr(text) in caught.value.message
    assert "10g1" in caught.value.hint


def test_an_alternative_says_which_pattern_fails_and_what_there_is():
    """`why` a conduit does not match names the pattern and the machine's NICs."""
    none, why = choose(Alternative(nics=("10g1", "10g3")), MIXED)
    assert none == []
    assert why.startswith("10g3: only 2 of the NICs fit (eno1 1g, eno2 1g, enp5s0f2 10g")
    assert choose(Alternative(nics=("40g1",)), [])[1] == "40g1: no NIC fits (none)"
    found, why = choose(Alternative(nics=("10g1", "10g2")), MIXED)
    assert ([nic.name for nic in found], why) == (["enp5s0f2", "enp5s0f10"], "")


def test_one_nic_is_not_taken_twice():
    """Two patterns of one alternative that mean the same NIC do not match."""
    assert "earlier pattern" in choose(Alternative(nics=("25g1", "+25g1")), MIXED)[1]


@pytest.mark.parametrize(("text", "mbps"), [("10g", 10_000), ("2.5g", 2500), ("100m", 100)])
def test_speeds_are_read_and_told_alike(text, mbps):
    """What is told is what can be written."""
    assert (parse_speed(text), told_speed(mbps)) == (mbps, text)


@pytest.mark.parametrize("text", ["10", "+10g", "any", "", "fast", "g"])
def test_what_is_no_speed_is_refused(text):
    """With an example."""
    with pytest.raises(InvalidInputError, match=r"is no speed|no pattern"):
        parse_speed(text)
