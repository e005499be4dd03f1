"""Requests that come again: the same nodes, the same plan, and nothing that nobody reviewed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from racksalt.conductor import Conductor
from racksalt.conductor.commands import Commands
from racksalt.model.errors import ConflictError, StoreError
from racksalt.settings import ConductorSettings
from tests.support.builders import a_node, the_rules
from tests.support.fakes import FakeWorld

NAMES = ("n1", "n2", "n3")


def an_office(store):
    """Return the commands of one process over a store."""
    world = FakeWorld(clock=time.time)
    return Commands(Conductor(store, the_rules, world.ports, ConductorSettings(), b"s" * 32))


@pytest.fixture
def commands(store):
    """The commands of one process, over three declared nodes."""
    with store.write() as tx:
        tx.add_nodes([a_node(name, "declared") for name in NAMES])
    found = an_office(store)
    yield found
    found.conductor.stop()


def commission(commands, *nodes, plan=None, request="k1", dry_run=False):
    """Commission nodes."""
    return commands.run("commission", nodes, "alice", dry_run, plan, None, request)


def reviewed(commands, *nodes):
    """Return the hash of the plan of nodes."""
    return commission(commands, *nodes, dry_run=True)["plan"]["hash"]


def states(store):
    """Return the nodes' states in order."""
    return [node.state for node in store.nodes()]


def told(answer):
    """Return which nodes accepted, and which refused and with what code."""
    refused = {one["node"]: one["code"] for one in answer["refused"]}
    return [one["node"] for one in answer["accepted"]], refused


def cut_off(commands, monkeypatch, after, *nodes, plan=None):
    """Commission nodes in a process that ends when ``after`` of them are in the journal."""
    handle = commands.conductor.handle

    def killed(events):
        handle(events[:after])
        raise StoreError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(commands.conductor, "handle", killed)
        with pytest.raises(StoreError):
            commission(commands, *nodes, plan=plan)


@pytest.mark.parametrize("hashed", [True, False])
def test_a_request_that_comes_again_with_more_nodes_commands_none_of_them(commands, store, hashed):
    """Nobody has reviewed what they would do: they are refused, and the first node is told as it was."""
    plan = reviewed(commands, "n1") if hashed else None
    first = commission(commands, "n1", plan=plan)
    again = commission(commands, "n1", "n2", "n3", plan=plan)
    assert states(store) == ["discovering", "declared", "declared"]
    assert again["accepted"] == first["accepted"]
    assert told(again) == (["n1"], {"n2": "conflict", "n3": "conflict"})
    assert again["plan"]["hash"] == first["plan"]["hash"]
    assert commission(commands, "n2", request="k2")["accepted"]


@pytest.mark.parametrize("nodes", [(), ("n1",), NAMES])
def test_a_request_that_came_with_no_node_stays_without(commands, store, nodes):
    """A filter that fitted nobody fits nobody under the same id, whoever came in meanwhile."""
    assert told(commission(commands)) == ([], {})
    assert told(commission(commands, *nodes)) == ([], dict.fromkeys(nodes, "conflict"))
    assert set(states(store)) == {"declared"}


def test_a_request_is_answered_though_its_nodes_fit_its_filter_no_more(commands):
    """Declared nodes that were commissioned are declared no more: the same request names nobody now."""
    plan = reviewed(commands, *NAMES)
    first = commission(commands, *NAMES, plan=plan)
    again = commission(commands, plan=plan)
    assert (again["accepted"], again["refused"]) == (first["accepted"], [])
    assert told(again)[0] == list(NAMES)


def test_refusals_are_told_again_as_they_were(commands, store):
    """With what would be legal, and for nodes that nobody knows; none is tried again."""
    commission(commands, "n1", request="k0")
    first = commission(commands, "n1", "n2", "ghost")
    head = store.head()
    again = commission(commands, "n1", "n2", "ghost")
    assert (again["accepted"], again["refused"]) == (first["accepted"], first["refused"])
    assert told(again) == (["n2"], {"n1": "illegal_event", "ghost": "not_found"})
    assert store.head() == head


def test_a_known_request_with_another_plan_is_a_conflict(commands, store):
    """The id was given to another plan; nothing is done, and the first plan is still answered."""
    plan = reviewed(commands, "n1")
    commission(commands, "n1", plan=plan)
    other = reviewed(commands, "n2")
    with pytest.raises(ConflictError, match=f"taken in with the plan {plan}, not {other}"):
        commission(commands, "n2", plan=other)
    assert store.node("n2").state == "declared"
    assert told(commission(commands, "n1", plan=plan)) == (["n1"], {})


def test_a_conflict_takes_no_request_in(commands):
    """Nothing was done: the same id may come with the plan of now."""
    with pytest.raises(ConflictError, match="the plan is now"):
        commission(commands, "n1", plan="0" * 16)
    assert told(commission(commands, "n1", plan=reviewed(commands, "n1"))) == (["n1"], {})


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_request_that_was_cut_off_is_completed_when_it_comes_again(
    commands, store, monkeypatch, after
):
    """Killed with none, some or all nodes in the journal: then each is commanded once, and told in order."""
    plan = reviewed(commands, "n1", "n2")
    cut_off(commands, monkeypatch, after, "n1", "n2", plan=plan)
    assert states(store)[:2].count("discovering") == after
    again = commission(commands, *NAMES, plan=plan)
    assert told(again) == (["n1", "n2"], {"n3": "conflict"})
    assert states(store) == ["discovering", "discovering", "declared"]
    assert len([one for one in store.journal() if one.event == "commission"]) == 2


def test_what_was_cut_off_is_left_alone_if_its_plan_is_another_by_now(commands, store, monkeypatch):
    """Retired meanwhile, commissioning would be something else: refused and journalled, once for all."""
    cut_off(commands, monkeypatch, 1, "n1", "n2")
    with store.write() as tx:
        (node,) = tx.nodes(["n2"]).values()
        moved = replace(node, state="commissioned", approved=True, version=node.version + 1)
        tx.update_nodes([(moved, node.version)])
    again = commission(commands, "n1", "n2")
    assert told(again) == (["n1"], {"n2": "conflict"})
    assert store.node("n2").state == "commissioned"
    (noted,) = store.history("n2")
    assert (noted.kind, noted.actor) == ("refused", "alice")
    assert "its plan is another one" in noted.message
    assert set(told(commission(commands, "n1", "n2"))[1]) == {"n2"}


def test_what_was_refused_before_the_end_is_not_done_when_it_is_legal_by_now(
    commands, store, monkeypatch
):
    """The refusals are kept with the request, before anything is done: a process that ends takes none with it."""
    commission(commands, "n1", request="k0")
    cut_off(commands, monkeypatch, 0, "n1", "n2")
    with store.write() as tx:
        (node,) = tx.nodes(["n1"]).values()
        tx.update_nodes([(replace(node, state="declared", version=node.version + 1), node.version)])
    assert told(commission(commands, "n1", "n2")) == (["n2"], {"n1": "illegal_event"})
    assert store.node("n1").state == "declared"
    assert store.history("n1")[0].kind == "refused"


def test_the_same_request_in_two_processes_at_once_is_done_once(commands, store):
    """Both get the answer, with the same journal entries; none tells of a plan that is another by now."""
    other = an_office(store)
    with store.write() as tx:
        tx.add_nodes([a_node(f"m{number:02d}", "declared") for number in range(20)])
    names = [node.id for node in store.nodes()]
    plan = reviewed(commands, *names)
    both, answers = threading.Barrier(2), []

    def send(office):
        both.wait(10)
        answers.append(commission(office, *names, plan=plan))

    threads = [threading.Thread(target=send, args=(office,)) for office in (commands, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    other.conductor.stop()
    assert [told(answer) for answer in answers] == [(names, {})] * 2
    assert answers[0]["accepted"] == answers[1]["accepted"]
    assert len([one for one in store.journal() if one.event == "commission"]) == len(names)


def test_long_ids_are_known_again(commands, store):
    """A name of 250 characters and any request id: the journal shortens what it keeps, and finds it."""
    long = "n" * 250
    with store.write() as tx:
        tx.add_nodes([a_node(long, "declared")])
    for request in ("k", "k:n1", "k" * 500, "k\x00"):
        first = commission(commands, long, request=request)
        again = commission(commands, long, request=request)
        assert (again["accepted"], again["refused"]) == (first["accepted"], first["refused"])
    assert store.node(long).state == "discovering"


def test_a_dry_run_takes_no_request_in(commands):
    """It may have the id under which the plan is committed then."""
    plan = reviewed(commands, "n1")
    assert told(commission(commands, "n1", plan=plan)) == (["n1"], {})


def test_one_id_under_two_commands_is_two_requests(commands, store):
    """A person's script may name a step of its own run for each command."""
    commission(commands, "n1")
    assert told(commands.run("approve", ["n2"], "alice", False, None, None, "k1"))[0] == ["n2"]
    assert store.count("requests") == 2
