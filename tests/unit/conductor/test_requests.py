"""What is kept of a request, and what is left of it when it comes again."""

from __future__ import annotations

import pytest

from racksalt.conductor.planning import plan_hash
from racksalt.conductor.requests import asked, check_plan, in_order, left, strangers
from racksalt.model.errors import ConflictError

PLANS = [{"node": name, "reboots": 1} for name in ("n2", "n1", "n3")]
REFUSED = {"node": "n4", "code": "illegal_event", "message": "no"}
FIRST = asked("commission", "k1", PLANS, [REFUSED], 5.0)


def test_a_request_keeps_the_hash_of_each_plan_and_of_all():
    """The whole is what a person reviewed, each alone what may still be done."""
    assert FIRST.plan == plan_hash(PLANS)
    assert FIRST.nodes == {plan["node"]: plan_hash([plan]) for plan in PLANS}
    assert (FIRST.refused, FIRST.at) == ([REFUSED], 5.0)


def test_ids_fit_their_column_and_are_one_for_each_command():
    """However long the given one is."""
    ids = {
        asked(command, request, [], [], 0).id
        for command in ("commission", "retire")
        for request in ("k1", "k" * 9999, "k\x00")
    }
    assert len(ids) == 6
    assert {len(one) for one in ids} == {64}


def test_only_the_first_plan_is_taken():
    """Or none, of a caller that names none."""
    check_plan(FIRST, None)
    check_plan(FIRST, FIRST.plan)
    with pytest.raises(ConflictError, match="not beef"):
        check_plan(FIRST, "beef")


def test_what_is_left_has_the_plan_of_then():
    """Of three nodes one is done, one has another plan by now, one is to be done; one that has no plan now is not."""
    now = [PLANS[0], {**PLANS[1], "reboots": 2}]
    going, changed = left(FIRST, now, {"n3"})
    assert going == [PLANS[0]]
    assert [(one["node"], one["code"]) for one in changed] == [("n1", "conflict")]
    assert [one["node"] for one in left(FIRST, [], {"n3"})[1]] == ["n2", "n1"]


def test_nodes_of_later_are_strangers():
    """Those that were refused then are none."""
    assert [one["node"] for one in strangers(FIRST, ["n1", "n4", "n5"])] == ["n5"]


def test_answers_come_in_the_order_of_the_first():
    """Whatever the order in the journal is."""
    told = [{"node": name} for name in ("n3", "n1", "n2")]
    assert [one["node"] for one in in_order(FIRST, told)] == ["n2", "n1", "n3"]
