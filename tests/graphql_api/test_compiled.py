from __future__ import annotations

import gc
import random
import subprocess
import sys
from inspect import isawaitable

import orjson
import pytest
from graphql import execute, parse, specified_rules
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import validate_document

from graphql_api import execution
from graphql_api.auth import SCOPES, Caller
from graphql_api.compiled.executor import CompiledExecutor, _without_gc
from graphql_api.context import Context
from graphql_api.schema import schema
from tests.graphql_api.documents import Author

CORE = schema._schema
DOCUMENTS = 1_040
ANYONE = Caller("t", "tester", frozenset(SCOPES))


async def _answer(services, document, variables, plans):
    context = Context(services, ANYONE, services.snapshot)
    result = execute(
        CORE,
        document,
        context_value=context,
        variable_values=variables,
        executor_class=CompiledExecutor,
        is_awaitable=optimized_is_awaitable,
        plans=plans,
    )
    if isawaitable(result):
        result = await result
    errors = [error.formatted for error in result.errors or ()]
    return orjson.dumps({"data": result.data, "errors": errors})


async def _compare(services, author, count):
    """Run ``count`` valid documents both ways; return how many had errors and how many used a plan."""
    erring = planned = done = 0
    while done < count:
        text, variables = author.document()
        document = parse(text)
        if validate_document(CORE, document, tuple(specified_rules)):
            # Two fragments may give one name different conditions' fields: not a document at all.
            continue
        plans = {}
        expected = await _answer(services, document, variables, None)
        assert await _answer(services, document, variables, plans) == expected, text
        # Once more with the plans of the first run, as the next request has them.
        assert await _answer(services, document, variables, plans) == expected, text
        erring += b'"errors":[]' not in expected
        planned += any(plan is not None for plan in plans.values())
        done += 1
    return erring, planned


def _spoil(snapshot, seed):
    """Put nulls where none may be and words that no enumeration knows, here and there."""
    dice = random.Random(seed)
    things = [*snapshot.ordered, *snapshot.racks.values(), *snapshot.networks.values()]
    things += [
        part for node in snapshot.ordered for part in (*node.nics, *node.addresses, node.power)
    ]
    undo = []
    for thing in dice.sample(things, 6):
        name = dice.choice([slot for slot in type(thing).__slots__ if slot != "id"])
        undo.append((thing, name, getattr(thing, name)))
        setattr(thing, name, None)
    node = dice.choice(snapshot.ordered)
    undo.append((node, "state", node.state))
    node.state = "nonsense"
    return undo


def test_random_documents_are_answered_as_graphql_core_answers_them(fresh, capsys):
    """Data, errors, paths and order are the same with plans and without, on sound and on spoilt snapshots."""

    async def all_of_them():
        services = fresh.services
        total = erring = planned = 0
        for seed in range(8):
            undo = _spoil(services.snapshot, seed) if seed % 2 else []
            found = await _compare(services, Author(CORE, seed), DOCUMENTS // 8)
            for thing, name, value in reversed(undo):
                setattr(thing, name, value)
            total += DOCUMENTS // 8
            erring += found[0]
            planned += found[1]
        return total, erring, planned

    total, erring, planned = fresh.client.portal.call(all_of_them)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{total} random documents the same; {planned} used a plan, {erring} had errors\n"
        )
    assert total >= 1_000
    assert planned > total // 2
    assert erring > total // 20


def test_documents_with_resolvers_below_are_answered_alike(fresh):
    """Fields of the database inside a list keep their places; what is plain around them is compiled."""
    found = fresh.client.portal.call(_compare, fresh.services, Author(CORE, 99, slow=True), 60)
    assert found[1] > 0


def test_a_plan_is_made_once_for_a_document(rig):
    """The second run of a document makes no new plan."""
    query = "{zones{name racks{name nodes{id nics{mac}}}}}"
    rig.ask(query)
    prepared = rig.services.documents.get(query)
    operation = prepared.operation(None)
    plans = prepared.plans(operation, {})
    before = dict(plans)
    assert any(plan is not None for plan in before.values())
    rig.ask(query)
    assert prepared.plans(operation, {}) == before


def test_the_switch_leaves_everything_to_graphql_core(rig, monkeypatch):
    """RACKSALT_COMPILED=0 gives the same answer without a plan."""
    query = "{racks{nodes{name zone{name} nodes{id}}}}"
    compiled = rig.ask(query)
    monkeypatch.setattr(execution, "COMPILED", False)
    monkeypatch.setattr(
        "graphql_api.compiled.executor.Compiler",
        lambda *_: pytest.fail("compiled although switched off"),
    )
    rig.services.documents._kept.clear()
    assert rig.ask(query) == compiled


def test_the_environment_turns_plans_off(repository):
    """The variable is read when the module is loaded."""
    code = "from graphql_api import execution; print(execution.COMPILED)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"RACKSALT_COMPILED": "0", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        cwd=repository,
    )
    assert run.stdout.strip() == "False"


def test_changed_variables_get_plans_of_their_own(rig):
    """@skip with a variable: each value has its own plan, none leaks into the other."""
    query = "query($s:Boolean!){nodes{nodes{id name @skip(if:$s)}}}"
    with_names = rig.ask(query, {"s": False})["nodes"]["nodes"]
    without = rig.ask(query, {"s": True})["nodes"]["nodes"]
    assert set(with_names[0]) == {"id", "name"}
    assert set(without[0]) == {"id"}
    assert rig.ask(query, {"s": False})["nodes"]["nodes"] == with_names


def test_operations_that_share_a_fragment_share_no_plan(rig):
    """Each has a default of its own for the variable that the fragment looks at."""
    query = (
        "query A($s:Boolean!=true){...R} query B($s:Boolean!=false){...R}"
        " fragment R on Query{zones{id name @skip(if:$s)}}"
    )
    for name, fields in (("A", {"id"}), ("B", {"id", "name"}), ("A", {"id"})):
        found = rig.post(query, operationName=name)["data"]["zones"]
        assert [set(one) for one in found] == [fields] * 2


def test_a_null_takes_no_plan_of_a_default(rig):
    """What graphql-core refuses is refused, whatever was asked before."""
    query = "query($s:Boolean=true){zones{id name @skip(if:$s)}}"
    assert set(rig.ask(query)["zones"][0]) == {"id"}
    assert rig.code(query, {"s": None}) == "BAD_USER_INPUT"
    assert set(rig.ask(query)["zones"][0]) == {"id"}


def test_nothing_is_collected_while_a_plan_runs():
    """The cycle collector is as it was afterwards, also after an error."""
    assert gc.isenabled()
    assert _without_gc(lambda _: gc.isenabled(), None) is False
    with pytest.raises(ZeroDivisionError):
        _without_gc(lambda _: 1 / 0, None)
    assert gc.isenabled()
