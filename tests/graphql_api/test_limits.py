from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from graphql import build_schema, get_introspection_query, parse

from graphql_api import limits, lookup
from graphql_api.cost import Reckoner, fanouts
from graphql_api.limits import Budget, Limits
from graphql_api.problems import UserError
from graphql_api.schema import schema
from graphql_api.snapshot.snapshot import Snapshot
from graphql_api.source import Rows
from racksalt.model.node import Node
from racksalt.model.place import Rack, Zone

DEEP = "{racks{nodes{" + "nodes{rack{" * 7 + "name" + "}}" * 7 + "}}}"
MANY_ALIASES = "{" + " ".join(f"a{n}: revision" for n in range(31)) + "}"
MANY_TOKENS = "{" + " ".join(f'node(by:{{id:"n{n}"}}){{id}}' for n in range(600)) + "}"
REPEATS = "{racks{nodes{" + "name " * 31 + "}}}"
SPREADS = "query{" + "...F " * 31 + "} fragment F on Query{revision}"
CYCLE = "{...A} fragment A on Query{...B} fragment B on Query{...A}"
FRAGMENT_BOMB = (
    "{zones{...F0}} "
    + " ".join(
        f"fragment F{n} on Zone{{racks{{zone{{...F{n + 1}}}}} nodes{{zone{{...F{n + 1}}}}}}}"
        for n in range(4)
    )
    + " fragment F4 on Zone{name}"
)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (DEEP, "14"),
        (MANY_ALIASES, "30"),
        (MANY_TOKENS, "4000"),
        (REPEATS, "30"),
        (SPREADS, "30"),
        ("{" + "a" * 40_000 + "}", "32768"),
        ("{racks{nodes" + "{rack{nodes" * 600 + "{id}" + "}}" * 600 + "}}", "14"),
        (" ".join(f"query Q{n}{{revision}}" for n in range(11)), "10"),
    ],
)
def test_a_document_over_a_limit_is_refused_and_told_the_limit(rig, query, names):
    """Depth, aliases, tokens, repetitions, characters, operations: on by default, refused before validation."""
    answer = rig.post(query, operationName="Q0" if "Q0" in query else None)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "LIMIT"
    assert names in answer["errors"][0]["message"]


def test_a_document_at_the_limit_passes(rig):
    """The limits are limits, not one less."""
    query = "{" + " ".join(f"a{n}: revision" for n in range(30)) + "}"
    assert len(rig.ask(query)) == 30


def test_a_cycle_of_fragments_is_refused(rig):
    """A fragment that spreads itself ends nowhere."""
    answer = rig.post(CYCLE)
    assert "Cannot spread fragment" in answer["errors"][0]["message"]


@pytest.mark.parametrize("query", [CYCLE, FRAGMENT_BOMB, REPEATS, DEEP, MANY_TOKENS])
def test_a_hostile_document_is_looked_at_quickly(query):
    """No document costs more than a moment, because each selection set is walked once."""
    began = time.process_time()
    with suppress(UserError):
        limits.check(parse(query), Limits())
    assert time.process_time() - began < 1.0


def a_site(racks, nodes_per_rack):
    """Return a snapshot of one zone."""
    return Snapshot(
        Rows(
            zones=[Zone(name="z")],
            racks=[Rack(name=f"r{n}", zone="z") for n in range(racks)],
            nodes=[
                Node(id=f"n{n}-{k}", state="ready", version=1, state_since=0.0, rack=f"r{n}")
                for n in range(racks)
                for k in range(nodes_per_rack)
            ],
        ),
        {},
    )


def points(snapshot, query, variables=None, *, audit=True):
    """Return what a query would cost over a snapshot."""
    document = parse(query)
    fragments = {one.name.value: one for one in document.definitions[1:]}
    fans = fanouts(snapshot)
    reckoner = Reckoner(schema._schema, fragments, fans, variables or {}, audit=audit)
    return reckoner.operation(document.definitions[0])


AMPLIFIED = [
    "{racks(first:1000){nodes{nodes{rack{nodes{rack{nodes{id}}}}}}}}",
    "{zones{nodes{zone{nodes{id}}}}}",
    "{nodes(first:1000){nodes{zone{racks{nodes{id}}}}}}",
    '{node(by:{id:"n0-0"}){rack{nodes{rack{nodes{rack{nodes{rack{nodes{rack{nodes{id}}}}}}}}}}}}',
    "query($n:Int!){nodes(first:$n){edges{node{rack{nodes{rack{nodes{id}}}}}}}}",
    FRAGMENT_BOMB,
]


@pytest.mark.parametrize("query", AMPLIFIED)
def test_going_back_and_forth_costs_more_than_is_allowed(query):
    """Small documents that multiply themselves are over the cost limit at 1,000 nodes."""
    snapshot = a_site(50, 20)
    assert points(snapshot, query, {"n": 1000}) > Limits().cost


def test_a_big_rack_is_not_hidden_by_many_small_ones():
    """A query that follows nodes to their rack mostly meets the big one, whatever the plain average."""
    rows = a_site(1, 900)
    for n in range(1, 100):
        rows.apply(Rows())
        rows.racks[f"r{n}"] = type(rows.racks["r0"])(f"r{n}", f"r{n}", 42, rows.zones["z"])
    assert points(rows, AMPLIFIED[3]) > Limits().cost


def test_the_honest_topology_of_ten_thousand_nodes_passes():
    """What operators ask every few minutes is within the limit, ten times over."""
    snapshot = a_site(100, 100)
    honest = "{zones{name racks{name nodes{id state nics{mac addresses{address}}}}}}"
    assert points(snapshot, honest) < Limits().cost
    assert points(a_site(50, 20), "{nodes(first:1000){nodes{id rack{name} zone{name}}}}") < 5_000


def test_first_counts_wherever_it_comes_from():
    """A literal, a variable, a variable's default and the schema's default are all reckoned."""
    snapshot = a_site(50, 20)
    many = points(snapshot, "{nodes(first:1000){nodes{id}}}")
    assert points(snapshot, "query($n:Int!){nodes(first:$n){nodes{id}}}", {"n": 1000}) == many
    few = points(snapshot, "{nodes(first:10){nodes{id}}}")
    assert few < many / 50
    usual = points(snapshot, "{nodes{nodes{id}}}")
    assert few < usual < many


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ('{transitions(first:1,filter:{event:["x"]}){nodes{seq}}}', {}),
        (
            "query($f:TransitionFilter){transitions(first:1,filter:$f){nodes{seq}}}",
            {"f": {"event": ["x"]}},
        ),
    ],
)
def test_a_page_that_is_sought_weighs_what_is_looked_at(query, variables):
    """One row that fits may be the last of thousands, and is sought for who may see only some of them, too."""
    snapshot = a_site(1, 1)
    plain = "{transitions(first:1){nodes{seq}}}"
    assert points(snapshot, query, variables) > lookup.CHUNK * lookup.CHUNKS
    assert points(snapshot, plain) < 20
    assert points(snapshot, plain, audit=False) > lookup.CHUNK * lookup.CHUNKS
    if variables:
        assert points(snapshot, query, {"f": None}) < 20
    assert points(snapshot, query, variables) < Limits().cost / 10


def test_the_cost_of_a_page_is_that_of_who_asks(rig):
    """An auditor's page of the journal is read as it is; another reader's is sought."""
    query = "{transitions(first:1){nodes{seq}}}"
    costs = [
        rig.post(query, scopes=scopes)["extensions"]["racksalt"]["cost"]
        for scopes in (("topology:read", "audit:read"), ("topology:read",))
    ]
    assert costs[0] < 20 < lookup.CHUNK * lookup.CHUNKS < costs[1]


def test_burn_in_weighs_its_rows_and_what_is_compared_for_them():
    """All figures of all nodes are read for one row; a few such fields still fit, at ten thousand nodes as well."""
    small, large = a_site(1, 10), a_site(100, 100)
    few, many = (points(small, f"{{burnIn(first:{n}){{node}}}}") for n in (1, 1000))
    assert many - few > 900
    assert points(small, "{burnIn{node}}") - few > 90
    assert points(a_site(50, 20), "{burnIn(first:1){node}}") > 1000
    assert Limits().cost / 10 < points(large, "{burnIn(first:1){node}}") < Limits().cost / 2
    nine = " ".join(f"a{n}:burnIn(first:1){{node}}" for n in range(9))
    assert points(large, f"{{{nine}}}") > Limits().cost


def test_certificates_weigh_their_number():
    """Each is read and its signature checked."""
    small = a_site(1, 1)
    few, many = (
        points(small, f'{{eraseCertificates(node:"n",first:{n}){{id disks{{name}}}}}}')
        for n in (1, 100)
    )
    assert many > 50 * few / 2


OUTCOME = "...on CommandOutcome{refused{node{zone{nodes{id}}}} plan{nodes{nodeId}}}"
NAMES = [f"n{n}-{k}" for n in range(50) for k in range(20)]


def of_command(given, *, outcome=OUTCOME, variables=None, declared="", site=(50, 20)):
    """Return what a dry run costs, by default at 1,000 nodes."""
    wanted = f"input:{{command:RETIRE,dryRun:true,{given}}}"
    text = f"mutation{declared}{{nodeCommand({wanted}){{{outcome}}}}}"
    return points(a_site(*site), text, variables)


def test_a_commands_answer_is_reckoned_by_the_nodes_that_it_may_mean():
    """Named in the text, by a variable of the list or of the whole input, or chosen by a filter: all the same."""
    literal = of_command(f"nodes:{json.dumps(NAMES)}")
    assert literal > Limits().cost
    assert of_command("nodes:$n", declared="($n:[ID!])", variables={"n": NAMES}) == literal
    assert of_command('filter:{rack:{prefix:"r"}}') == literal
    assert of_command("nodes:$n", declared="($n:[ID!])") == literal
    text = f"mutation($i:NodeCommandInput!){{nodeCommand(input:$i){{{OUTCOME}}}}}"
    for given in ({"nodes": NAMES}, {"nodes": None, "filter": {"zone": {"eq": "z"}}}):
        assert points(a_site(50, 20), text, {"i": given}) == literal


def test_a_command_for_one_node_or_with_a_modest_answer_passes():
    """What an operator asks of a thousand nodes at once is within the limit; one node costs next to nothing."""
    modest = (
        "...on CommandOutcome{accepted{nodeId node{state}} refused{nodeId message}"
        " plan{hash nodes{nodeId reboots transitions{event}}}}"
    )
    assert of_command(f"nodes:{json.dumps(NAMES)}", outcome=modest) < Limits().cost / 4
    assert of_command('nodes:"n0-0"', outcome=modest) == of_command(
        'nodes:["n0-0"]', outcome=modest
    )
    assert of_command('nodes:["n0-0"]') < 5_000


def test_no_command_is_reckoned_for_more_nodes_than_one_may_take():
    """A filter at ten thousand nodes chooses at most what one command may take, or is refused."""
    plain, chosen = "...on CommandOutcome{refused{nodeId}}", 'filter:{rack:{prefix:"r"}}'
    many = of_command(chosen, outcome=plain, site=(100, 100))
    assert many == of_command(chosen, outcome=plain)
    assert many > of_command(chosen, outcome=plain, site=(5, 20)) * 5


def test_what_is_skipped_costs_nothing():
    """@skip and @include are reckoned with the variables of the request."""
    snapshot = a_site(50, 20)
    query = "query($s:Boolean!){revision zones @skip(if:$s){nodes{id}}}"
    assert points(snapshot, query, {"s": True}) < 5 < points(snapshot, query, {"s": False})


def test_an_operation_over_the_cost_limit_is_not_run(rig, monkeypatch):
    """The error names cost and limit."""
    monkeypatch.setattr(rig.services, "limits", Limits(cost=5))
    answer = rig.post("{zones{racks{nodes{id}}}}")
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    assert answer["errors"][0]["extensions"]["limit"] == 5


def test_a_tokens_points_run_out_and_come_back():
    """Points are per token and minute."""
    now = [0.0]
    budget = Budget(100, lambda: now[0])
    budget.spend("a", 90)
    with pytest.raises(UserError, match="10 of 100"):
        budget.spend("a", 11)
    budget.spend("b", 100)
    now[0] = 61.0
    budget.spend("a", 100)
    assert budget.left("a") == (0, 59)


def test_an_answer_over_the_size_limit_is_an_error(rig, monkeypatch):
    """Nothing is cut off in the middle."""
    monkeypatch.setattr(rig.services, "limits", Limits(answer_bytes=100))
    answer = rig.post("{nodes{nodes{id name state}}}")
    assert "data" not in answer
    assert "100" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'[{"query":"{revision}"},{"query":"{revision}"}]', "BAD_REQUEST"),
        (b'"text"', "BAD_REQUEST"),
        (b"{", "BAD_REQUEST"),
        (b"{}", "BAD_REQUEST"),
        (b'{"query":"{revision}","documentId":"x"}', "BAD_REQUEST"),
        (b'{"query":7}', "BAD_REQUEST"),
        (b'{"query":"{revision}","variables":[]}', "BAD_REQUEST"),
        (b'{"query":"' + b" " * 300_000 + b'"}', "LIMIT"),
        (b'{"query":"{revision}","variables":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b"}", "LIMIT"),
    ],
)
def test_a_body_that_is_no_request_is_refused(rig, body, code):
    """Batches, other JSON, bodies too large or nested too deep."""
    headers = {**rig.headers(), "content-type": "application/json"}
    answer = rig.client.post("/graphql", content=body, headers=headers).json()
    assert answer["errors"][0]["extensions"]["code"] == code


def test_deep_filters_are_refused(rig):
    """A filter nests only so deep."""
    filter_ = {"name": {"eq": "n1"}}
    for _ in range(12):
        filter_ = {"not": filter_}
    query = "query($f:NodeFilter){nodes(filter:$f){totalCount}}"
    assert rig.code(query, {"f": filter_}) == "LIMIT"
    literal = "{not:" * 700 + "{}" + "}" * 700
    answer = rig.post(f"{{nodes(filter:{literal}){{totalCount}}}}")
    assert answer["errors"][0]["extensions"]["code"] in ("LIMIT", "BAD_USER_INPUT")


def test_introspection_needs_a_token_and_then_passes(rig):
    """Tools' usual introspection is within the limits and gives the whole schema."""
    query = get_introspection_query(input_value_deprecation=True)
    bare = rig.client.post("/graphql", json={"query": query})
    assert bare.status_code == 401
    found = rig.ask(query)
    assert len(json.dumps(found)) > 20_000
    assert build_schema(schema.as_str()).type_map.keys() >= {"Node", "Rack"}


def multiplied(times):
    """Return a document that has ``times`` aliases on each of three levels of introspection."""

    def each(text):
        return " ".join(f"a{n}:{text}" for n in range(times))

    return (
        f"{{{each('__schema{types{...T}}')}}}"
        f" fragment T on __Type{{{each('fields{type{...G ofType{...G ofType{...G}}}}')}}}"
        f" fragment G on __Type{{{each('fields{name}')}}}"
    )


def test_introspection_is_reckoned_by_the_size_of_the_schema():
    """Aliases multiply it; what would hold the event loop for long is over the limit, on an empty site as well."""
    empty = Snapshot(Rows(), {})
    one, two, four = (points(empty, multiplied(times)) for times in (1, 2, 4))
    assert two > 4 * one
    assert one < Limits().cost < four
    named = " ".join(
        f't{n}:__type(name:"Node"){{fields{{type{{fields{{name}}}}}}}}' for n in range(30)
    )
    assert points(empty, f"{{{named}}}") > 30 * 32 * 3


CLIENTS = {
    "graphql-core": {},
    "with all that clients ask": {
        "specified_by_url": True,
        "directive_is_repeatable": True,
        "schema_description": True,
        "input_value_deprecation": True,
    },
}


@pytest.mark.parametrize("name", CLIENTS)
def test_the_introspection_of_tools_is_far_from_the_limit(rig, name):
    """GraphiQL, code generators and others send one query, with a few switches: any token may, again and again."""
    query = get_introspection_query(**CLIENTS[name])
    answer = rig.post(query, scopes=("power:write",))
    assert "errors" not in answer
    cost = answer["extensions"]["racksalt"]["cost"]
    assert cost < Limits().cost / 3
    assert Limits().points_per_minute / cost > 60


def test_introspection_cannot_be_piled_up(rig):
    """Types of fields of types of fields: refused."""
    inner = "fields{type{" * 6 + "name" + "}}" * 6
    assert "errors" in rig.post("{__schema{types{" + inner + "}}}")
