from __future__ import annotations

import pytest

from graphql_api.auth import SCOPES
from graphql_api.schema import schema

WRITES = ("node:write", "power:write")
OPEN = {"revision", "viewer", "rateLimit"}
"""What any token may ask."""
NODE = (
    'node{id state hardware{serial} bmc{address} config(path:"timezone"){value} history{nodes{event}}'
    " why{waitsFor} facts{at} zone{nodes{id}}}"
)
OUTCOME = (
    f"__typename ...on CommandOutcome{{accepted{{nodeId toState {NODE}}} refused{{nodeId message {NODE}}}"
    " plan{nodes{nodeId}}} ...on Forbidden{requiredScope}"
)
COMMAND = f"mutation($i:NodeCommandInput!){{nodeCommand(input:$i){{{OUTCOME}}}}}"
POWER = f"mutation($i:PowerInput!){{setPower(input:$i){{{OUTCOME}}}}}"


@pytest.mark.parametrize("dry", [True, False])
def test_who_may_command_and_not_read_is_shown_no_node(fresh, dry):
    """A write scope tells what became of the command; hardware, configuration, history and neighbours are reading."""
    asked = [
        (COMMAND, {"command": "INSTALL"}, "refused"),
        (POWER, {"action": "ON"}, "plan" if dry else "accepted"),
    ]
    for query, given, where in asked:
        answer = fresh.ask(query, {"i": {**given, "nodes": ["n1"], "dryRun": dry}}, scopes=WRITES)
        ((_, found),) = answer.items()
        rows = found["plan"]["nodes"] if where == "plan" else found[where]
        assert [(one["nodeId"], one.get("node")) for one in rows] == [("n1", None)]


def test_who_may_read_too_is_shown_the_node(fresh):
    """With topology:read the answer has the node beside its outcome."""
    given = {"i": {"command": "INSTALL", "nodes": ["n1"], "dryRun": True}}
    found = fresh.ask(COMMAND, given, scopes=("node:write", "topology:read"))["nodeCommand"]
    assert found["refused"][0]["node"]["hardware"]["serial"]


@pytest.mark.parametrize(
    ("query", "given"), [(COMMAND, {"command": "RETIRE"}), (POWER, {"action": "OFF"})]
)
def test_choosing_by_a_filter_is_reading(fresh, query, given):
    """Otherwise a dry run tells which nodes have the serial, the product or the rack that is guessed."""
    chosen = {"i": {**given, "filter": {"product": {"prefix": "X"}}, "dryRun": True}}
    ((_, found),) = fresh.ask(query, chosen, scopes=WRITES).items()
    assert found == {"__typename": "Forbidden", "requiredScope": "topology:read"}
    ((_, found),) = fresh.ask(query, chosen, scopes=(*WRITES, "topology:read")).items()
    assert found["__typename"] == "CommandOutcome"


ARGUMENTS = {"node": '(by:{id:"n1"})', "eraseCertificates": '(node:"n1")'}
SCOPE = {"eraseCertificates": "audit:read"}


@pytest.mark.parametrize("name", sorted(set(schema._schema.query_type.fields) - OPEN))
def test_every_root_needs_its_scope(rig, name):
    """All other scopes together open none of them; a new root that forgets its scope fails here."""
    needed = SCOPE.get(name, "topology:read")
    others = tuple(scope for scope in SCOPES if scope != needed)
    answer = rig.post(f"{{{name}{ARGUMENTS.get(name, '')}{{__typename}}}}", scopes=others)
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN", "requiredScope": needed}


def test_following_needs_its_scope(rig):
    """No event is sent to who may not read the topology, whatever else the token has."""
    others = tuple(scope for scope in SCOPES if scope != "topology:read")
    headers = {**rig.headers(*others), "accept": "text/event-stream"}
    query = "subscription{transitions(since:0){seq node{id}}}"
    told = rig.client.post("/graphql", json={"query": query}, headers=headers).text
    assert '"requiredScope":"topology:read"' in told
    assert '"seq"' not in told
