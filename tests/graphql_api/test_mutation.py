from __future__ import annotations

import pytest

from tests.graphql_api.rig import LAYERS, NETWORKS, NODES, RACKS
from tests.support import reinstall
from tests.support.sites import a_site

OUTCOME = (
    "__typename ... on CommandOutcome{command dryRun revision accepted{nodeId fromState toState seq node{state}}"
    " refused{nodeId code message hint legal} plan{hash nodes{nodeId reboots disksWiped endsIn"
    " transitions{fromState event toState stage}}}} ... on Problem{code message}"
    " ... on NotFound{ids} ... on Forbidden{requiredScope}"
)
COMMAND = f"mutation($i:NodeCommandInput!){{nodeCommand(input:$i){{{OUTCOME}}}}}"
POWER = f"mutation($i:PowerInput!){{setPower(input:$i){{{OUTCOME}}}}}"


def command(rig, scopes=(), **given):
    """Send nodeCommand; return its result."""
    return rig.ask(COMMAND, {"i": given}, scopes=scopes)["nodeCommand"]


def power(rig, scopes=(), **given):
    """Send setPower; return its result."""
    return rig.ask(POWER, {"i": given}, scopes=scopes)["setPower"]


def test_a_command_is_carried_out_and_seen_in_the_same_answer(fresh):
    """The accepted node is shown in its new state: the answer waits for the snapshot."""
    found = command(fresh, command="COMMISSION", nodes=["n1"])
    assert found["__typename"] == "CommandOutcome"
    accepted = found["accepted"][0]
    assert accepted["nodeId"] == "n1"
    assert accepted["fromState"] == "DECLARED"
    assert accepted["node"]["state"] == accepted["toState"] != "DECLARED"
    assert fresh.store.node("n1").state == accepted["toState"].lower()
    assert found["revision"] >= accepted["seq"]


def as_answered(plan):
    """Return a plan as GraphQL writes it: states are an enumeration, and names have humps."""
    return {
        "hash": plan["hash"],
        "nodes": [
            {
                "nodeId": one["node"],
                "reboots": one["reboots"],
                "disksWiped": one["disks_wiped"],
                "endsIn": one["ends_in"].upper(),
                "transitions": [
                    {
                        "fromState": step["from"].upper(),
                        "event": step["event"],
                        "toState": step["to"].upper(),
                        "stage": step["stage"],
                    }
                    for step in one["transitions"]
                ],
            }
            for one in plan["nodes"]
        ],
    }


def test_a_reinstalls_dry_run_lists_all_that_it_would_do_and_does_nothing(fresh):
    """Transitions, reboots and disks as the other doors tell them; the database keeps every row as it was."""
    reinstall.make_ready(fresh.site, "n1")
    before = reinstall.everything(fresh.store)
    found = command(fresh, command="REINSTALL", nodes=["n1"], dryRun=True)
    assert (found["dryRun"], found["accepted"], found["refused"]) == (True, [], [])
    assert found["plan"] == as_answered(reinstall.the_plan("n1"))
    assert reinstall.everything(fresh.store) == before
    assert fresh.store.node("n1").state == "ready"


def test_a_dry_run_plans_and_changes_nothing(fresh):
    """The plan has transitions and reboots; the store stays as it was."""
    before = fresh.store.head()
    found = command(fresh, command="COMMISSION", nodes=["n1", "n2"], dryRun=True, goal="READY")
    assert found["dryRun"] is True
    assert found["accepted"] == []
    plan = {node["nodeId"]: node for node in found["plan"]["nodes"]}
    assert plan["n1"]["reboots"] >= 1
    assert plan["n1"]["transitions"][0]["fromState"] == "DECLARED"
    assert len(found["plan"]["hash"]) >= 16
    assert fresh.store.head() == before


def test_a_reviewed_plan_is_committed_by_its_hash_and_another_is_a_conflict(fresh):
    """Whoever commits a hash gets that plan or nothing."""
    plan = command(fresh, command="COMMISSION", nodes=["n1"], dryRun=True)["plan"]["hash"]
    wrong = command(fresh, command="COMMISSION", nodes=["n1"], planHash="0" * 16)
    assert wrong["__typename"] == "Conflict"
    assert fresh.store.node("n1").state == "declared"
    assert command(fresh, command="COMMISSION", nodes=["n1"], planHash=plan)["accepted"]


def test_a_refused_node_is_told_what_it_would_take(fresh):
    """Refusals are data, node by node, beside what was accepted."""
    found = command(fresh, command="INSTALL", nodes=["n1"])
    assert found["accepted"] == []
    refused = found["refused"][0]
    assert refused["code"] == "ILLEGAL_EVENT"
    assert "install" in refused["message"]
    assert "COMMISSION" in refused["legal"]
    assert fresh.store.node("n1").state == "declared"


def test_the_same_idempotency_key_has_one_effect(fresh):
    """Sent twice, done once; another caller's key is another key."""
    given = {"command": "COMMISSION", "nodes": ["n1"], "idempotencyKey": "k1"}
    first = command(fresh, **given)
    journal = [entry for entry in fresh.store.journal() if entry.event == "commission"]
    command(fresh, **given)
    again = [entry for entry in fresh.store.journal() if entry.event == "commission"]
    assert first["accepted"]
    assert len(again) == len(journal) == 1


def test_a_key_that_comes_again_commands_no_node_of_later(fresh, tmp_path):
    """A node that fits the filter since then was in no plan: the second answer refuses it, and leaves it alone."""
    given = {"command": "COMMISSION", "filter": {"rack": {"eq": "r1"}}}
    plan = command(fresh, **given, dryRun=True)["plan"]["hash"]
    first = command(fresh, **given, planHash=plan, idempotencyKey="k1")
    moved = {name: {} for name in NODES} | {"n2": {"rack": "r1", "position_u": 20}}
    a_site(tmp_path, racks=RACKS, nodes=moved, layers=LAYERS, networks=NETWORKS)
    fresh.site.operations.declare()
    fresh.until(lambda: fresh.services.snapshot.nodes["n2"].rack.id == "r1")
    again = command(fresh, **given, planHash=plan, idempotencyKey="k1")
    assert [one["nodeId"] for one in again["accepted"]] == ["n1", "n3"]
    assert [(one["nodeId"], one["code"]) for one in again["refused"]] == [("n2", "CONFLICT")]
    assert (first["refused"], fresh.store.node("n2").state) == ([], "declared")


def test_a_key_that_comes_again_is_answered_though_its_filter_fits_nobody_now(fresh):
    """Who was declared then is commissioned now: that is what the first request did."""
    given = {"command": "COMMISSION", "filter": {"state": ["DECLARED"]}}
    plan = command(fresh, **given, dryRun=True)["plan"]["hash"]
    first = command(fresh, **given, planHash=plan, idempotencyKey="k1")
    again = command(fresh, **given, planHash=plan, idempotencyKey="k1")
    assert len(again["accepted"]) == 4
    without = [{**one, "node": None} for one in again["accepted"]]
    assert without == [{**one, "node": None} for one in first["accepted"]]


def test_a_filter_chooses_the_nodes(fresh):
    """What fits the filter at the moment of the command is commanded."""
    found = command(fresh, command="APPROVE", filter={"rack": {"eq": "r1"}})
    assert sorted(one["nodeId"] for one in found["accepted"]) == ["n1", "n3"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"nodes": ["n1"], "filter": {"name": {"eq": "n1"}}},
        {"nodes": []},
        {"filter": {}},
        {"nodes": ["n1"], "idempotencyKey": ""},
        {"nodes": [f"x{n}" for n in range(1001)]},
    ],
    ids=["neither", "both", "no nodes", "empty filter", "empty key", "too many"],
)
def test_an_input_that_makes_no_sense_does_nothing(fresh, given):
    """An empty filter is not every node; nodes and filter exclude each other."""
    before = fresh.store.head()
    assert command(fresh, command="RETIRE", **given)["__typename"] == "Invalid"
    assert fresh.store.head() == before


@pytest.mark.parametrize(
    ("chosen", "path"),
    [
        ({}, "filter"),
        ({"rack": {"prefix": ""}}, "filter.rack.prefix"),
        ({"name": {"contains": ""}}, "filter.name.contains"),
        ({"rack": {"eq": None}}, "filter.rack"),
        ({"state": ["DECLARED"], "rack": {"eq": None}}, "filter.rack"),
        ({"or": [{}]}, "filter.or"),
        ({"and": [{"zone": {"eq": "z1"}}, {}]}, "filter.and"),
        ({"not": {"not": {}}}, "filter.not.not"),
        ({"not": {"id": {"in": []}}}, "filter.not.id.in"),
        ({"not": {"or": []}}, "filter.not.or"),
        ({"memoryMib": {"gte": None}}, "filter.memoryMib"),
    ],
)
def test_a_filter_of_which_a_part_says_nothing_commands_nobody(fresh, chosen, path):
    """A variable that was not set must not turn a rack's command into everybody's; the refusal names the part."""
    before = fresh.store.head()
    query = "mutation($i:NodeCommandInput!){nodeCommand(input:$i){__typename ...on Problem{code message}}}"
    found = fresh.ask(query, {"i": {"command": "RETIRE", "filter": chosen}})["nodeCommand"]
    assert (found["__typename"], found["code"]) == ("Invalid", "INVALID")
    assert found["message"].startswith(f"{path} says nothing")
    assert fresh.store.head() == before


def test_a_filter_may_leave_out_what_it_does_not_ask_for(fresh):
    """Typed clients write null for what is not given, and nested filters that say something are taken."""
    chosen = {
        "rack": None,
        "zone": {"eq": None, "prefix": "z1"},
        "not": {"or": [{"name": {"eq": "n3"}}, {"state": ["READY"]}]},
    }
    found = command(fresh, command="APPROVE", filter=chosen, dryRun=True)
    assert [one["nodeId"] for one in found["plan"]["nodes"]] == ["n1"]


def test_an_unknown_node_stops_the_whole_command(fresh):
    """Nothing is done by halves because of a typing error."""
    found = command(fresh, command="APPROVE", nodes=["n1", "nx"])
    assert found["__typename"] == "NotFound"
    assert found["ids"] == ["nx"]
    assert fresh.store.node("n1").approved == fresh.store.node("n2").approved


def test_writing_needs_its_scope_whatever_the_transport(fresh):
    """topology:read and the other write scope are not enough."""
    before = fresh.store.head()
    for scopes in (("topology:read",), ("power:write", "topology:read")):
        found = command(fresh, scopes, command="RETIRE", nodes=["n1"])
        assert (found["__typename"], found["requiredScope"]) == ("Forbidden", "node:write")
    found = power(fresh, ("node:write",), action="OFF", nodes=["n1"])
    assert (found["__typename"], found["requiredScope"]) == ("Forbidden", "power:write")
    assert fresh.store.head() == before


def test_power_is_commanded_through_the_machine(fresh):
    """SetPower journals a power command; the effect is the conductor's."""
    found = power(fresh, ("power:write", "topology:read"), action="CYCLE", nodes=["n1"])
    assert found["command"] == "POWER_CYCLE"
    assert found["accepted"][0]["nodeId"] == "n1"
    assert fresh.store.awaiting("power_cycle", ["n1", "n2"]) == {"n1"}


def test_the_actor_of_a_command_is_the_tokens_name(fresh):
    """Who did it is in the journal, and shown to those who may audit."""
    command(fresh, command="APPROVE", nodes=["n1"])
    query = '{transitions(first:100,filter:{event:["approve"]}){nodes{event actor node{id}}}}'
    shown = fresh.ask(query)["transitions"]["nodes"][0]
    assert shown == {"event": "approve", "actor": "tester", "node": {"id": "n1"}}
    hidden = fresh.ask(query, scopes=("topology:read",))["transitions"]["nodes"][0]
    assert hidden["actor"] is None


def test_what_was_refused_is_shown_to_auditors_only(fresh):
    """Moves are topology; refusals and notes need audit:read."""
    command(fresh, command="INSTALL", nodes=["n1"])
    query = '{node(by:{id:"n1"}){history(first:10){nodes{kind event}}}}'
    seen = fresh.ask(query)["node"]["history"]["nodes"]
    assert {"kind": "REFUSED", "event": "install"} in seen
    plain = fresh.ask(query, scopes=("topology:read",))["node"]["history"]["nodes"]
    assert all(one["kind"] == "TRANSITION" for one in plain)
