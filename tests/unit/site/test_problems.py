from __future__ import annotations

import pytest

from racksalt.model.errors import InvalidInputError
from racksalt.site.problems import SiteProblem, one_of, refuse


def test_a_problem_reads_as_file_key_message_and_remedy():
    """A person can go from the line straight to the place."""
    problem = SiteProblem("site/a.yaml", "nodes:n1:rack", "no rack 'r9'", "there is r1")
    assert str(problem) == "site/a.yaml: nodes:n1:rack: no rack 'r9' (there is r1)"
    assert str(SiteProblem("rack/r1.sls", "", "is not a map")) == "rack/r1.sls: is not a map"


def test_refusing_tells_every_error_and_no_warning():
    """The error's message has them all, its detail has them as data."""
    warning = SiteProblem("a", "k", "odd", severity="warning")
    refuse([warning])
    errors = [SiteProblem("a", f"k{n}", "wrong") for n in range(3)]
    with pytest.raises(InvalidInputError, match="3 problems") as raised:
        refuse([warning, *errors])
    assert [it["key"] for it in raised.value.detail["problems"]] == ["k0", "k1", "k2"]
    assert "odd" not in str(raised.value)


def test_a_flood_of_errors_is_cut_short_in_the_message_only():
    """A thousand lines help nobody; a program gets all of them."""
    with pytest.raises(InvalidInputError, match="and 80 more") as raised:
        refuse([SiteProblem("a", f"k{n}", "wrong") for n in range(100)])
    assert len(raised.value.detail["problems"]) == 100


def test_hints_name_what_is_near_or_what_there_is():
    """A typing error gets its correction, anything else the list."""
    assert one_of("rak", ["rack", "zone"]) == "did you mean rack?"
    assert one_of("xyz", ["rack", "zone"]) == "there is rack, zone"
    assert one_of("xyz", []) == "there is none yet"
    assert one_of("xyz", [str(n) for n in range(20)]).endswith("7, …")
