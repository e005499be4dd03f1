"""The verbs that runner, command line and GraphQL share."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from racksalt.adapters.site_files import SiteFolder
from racksalt.conductor import Conductor
from racksalt.conductor.access import Access
from racksalt.conductor.operations import Operations
from racksalt.model.errors import ConflictError, InvalidInputError, NotFoundError
from racksalt.model.node import Disk
from racksalt.model.place import Rack, Zone
from racksalt.settings import ConductorSettings
from racksalt.site.site import Site
from racksalt.store.tables import nodes
from tests.support.builders import a_bmc, a_node, an_event, some_hardware, the_rules
from tests.support.fakes import FakeWorld
from tests.support.sites import a_site

LAYERS = {"global/base.sls": {"ntp": ["a"]}, "node/n1.sls": {"ntp": ["b"]}}


@pytest.fixture
def operations(store, tmp_path):
    """The verbs over a site of three declared nodes."""
    site = Site(SiteFolder(a_site(tmp_path, nodes=("n1", "n2", "n3"), layers=LAYERS)))
    world = FakeWorld(clock=time.time)
    conductor = Conductor(store, the_rules, world.ports, ConductorSettings(), b"s" * 32)
    found = Operations(conductor, site, Access(store, time.time, b"p"))
    found.declare()
    yield found
    conductor.stop()


def approve(operations, *nodes):
    """Approve nodes."""
    return operations.run("approve", nodes or ("n1", "n2", "n3"), "alice")


def test_every_answer_is_json(operations):
    """Runner, command line and GraphQL print what they get."""
    answers = [
        operations.list_nodes(),
        operations.show("n1"),
        operations.why("n1"),
        operations.history("n1"),
        operations.replay(),
        operations.explain("n1", "ntp"),
        operations.effective("n1"),
        operations.impact("global/base.sls"),
        operations.run("approve", ["n1", "ghost"], "alice"),
        operations.declare(test=True),
        operations.token_list(),
    ]
    assert json.loads(json.dumps(answers))


def test_show_has_everything_but_the_password(operations, store):
    """Hardware, parts and BMC; not even the name of the secret."""
    with store.write() as tx:
        tx.put([some_hardware("n2", system_uuid="U")])
        tx.put([a_bmc("n1", secret="the-secret-name")])
        tx.put([Disk(id="n1/0", node="n1", name="sda")])
    shown = operations.show("n1")
    assert "parts_version" not in {*shown, *operations.list_nodes()[0]}
    assert (shown["bmc"]["address"], shown["disks"][0]["name"]) == ("127.0.0.1", "sda")
    assert "secret" not in shown["bmc"]
    assert operations.show("n2")["hardware"]["vendor"] == "Acme"
    assert operations.show("n2")["bmc"] is None


def test_a_command_is_accepted_or_refused_node_by_node(operations):
    """One node's refusal stops no other; each says why and what would be legal."""
    approve(operations, "n1")
    operations.run("commission", ["n1"], "alice")
    answer = operations.run("commission", ["n1", "n2", "ghost", "n2"], "alice")
    assert answer["accepted"] == [
        {"node": "n2", "from": "declared", "to": "discovering", "seq": answer["accepted"][0]["seq"]}
    ]
    refused = {one["node"]: one for one in answer["refused"]}
    assert (refused["n1"]["code"], refused["ghost"]["code"]) == ("illegal_event", "not_found")
    assert "boot_requested" in refused["n1"]["legal"]
    assert operations.history("n1")[0]["kind"] == "refused"
    assert operations.history("n1")[0]["actor"] == "alice"


def test_what_was_refused_is_not_done_though_it_is_legal_by_now(operations, store, monkeypatch):
    """The plan that a person saw does not have it, and the answer says that it was refused."""
    approve(operations, "n1")
    operations.run("commission", ["n1"], "alice")
    carry_out = operations.commands._carry_out

    def meanwhile(*arguments):
        carry_out(*arguments)
        with store.write() as tx:
            (node,) = tx.nodes(["n1"]).values()
            ended = replace(node, state="commissioned", job=None, version=node.version + 1)
            tx.update_nodes([(ended, node.version)])

    monkeypatch.setattr(operations.commands, "_carry_out", meanwhile)
    answer = operations.run("retire", ["n1", "n2"], "alice", request="r7")
    assert [one["node"] for one in answer["refused"]] == ["n1"]
    assert store.node("n1").state == "commissioned"
    newest = operations.history("n1")[0]
    assert (newest["kind"], newest["actor"]) == ("refused", "alice")
    assert "does not accept" in newest["message"]
    again = operations.run("retire", ["n1", "n2"], "alice", request="r7")
    assert [one["node"] for one in again["refused"]] == ["n1"]
    assert store.node("n1").state == "commissioned"


def test_a_dry_run_changes_nothing(operations, store):
    """It shows plan and refusals, and not even a journal entry is written."""
    head = store.head()
    answer = operations.run("commission", ["n1", "ghost"], "alice", dry_run=True)
    assert (answer["accepted"], store.head(), answer["dry_run"]) == ([], head, True)
    assert answer["plan"]["nodes"][0]["node"] == "n1"
    assert answer["refused"][0]["node"] == "ghost"


def test_a_plan_that_was_reviewed_is_what_is_done(operations):
    """The hash of the dry run commits it; when the world moved on, it does not."""
    approve(operations)
    plan = operations.run("commission", ["n1", "n2"], "alice", dry_run=True)["plan"]["hash"]
    operations.run("commission", ["n2"], "bob")
    with pytest.raises(ConflictError, match="review the new plan"):
        operations.run("commission", ["n1", "n2"], "alice", plan=plan)
    assert operations.store.node("n1").state == "declared"
    plan = operations.run("commission", ["n1"], "alice", dry_run=True)["plan"]["hash"]
    assert operations.run("commission", ["n1"], "alice", plan=plan)["accepted"]


def test_the_same_request_again_has_the_same_answer(operations, store):
    """A client that did not hear the answer asks again: no second effect, and it is told what happened."""
    approve(operations, "n1")
    given = {"request": "r1"}
    first = operations.run("commission", ["n1", "n2"], "alice", **given)
    head = store.head()
    again = operations.run("commission", ["n1", "n2"], "alice", **given)
    assert sorted(again["accepted"], key=str) == sorted(first["accepted"], key=str)
    assert (again["refused"], store.head()) == ([], head)
    other = operations.run("commission", ["n1"], "alice", request="r2")
    assert other["refused"][0]["code"] == "illegal_event"
    assert operations.run("commission", ["n1"], "alice", request="r2")["refused"][0]["node"] == "n1"


@pytest.mark.parametrize(
    ("command", "goal", "message"),
    [("explode", None, "no command 'explode'"), ("commission", "retired", "no goal 'retired'")],
)
def test_senseless_commands_are_refused_as_a_whole(operations, command, goal, message):
    """What does not exist is an error of the caller."""
    with pytest.raises(InvalidInputError, match=message):
        operations.run(command, ["n1"], "alice", goal=goal)


def test_a_goal_is_given_with_the_command(operations):
    """Commissioning may lead on to an install."""
    approve(operations, "n1")
    plan = operations.run("commission", ["n1"], "alice", goal="ready")["plan"]["nodes"][0]
    assert plan["ends_in"] == "ready"
    assert operations.store.node("n1").goal == "ready"


def test_histories_page_backwards(operations):
    """Newest first, older than a number; an unknown node is an error, an exhausted one is not."""
    for number in range(5):
        operations.conductor.handle_wait(an_event("x", noted=f"{number}"))
    page = operations.history("n1", limit=2)
    assert [e["message"] for e in page] == ["4", "3"]
    assert [e["message"] for e in operations.history("n1", 2, page[-1]["seq"])] == ["2", "1"]
    assert operations.history("n1", 2, 1) == []
    with pytest.raises(NotFoundError):
        operations.history("ghost")


def test_the_journal_alone_gives_every_state(operations, store):
    """Replayed from empty, the journal has the states that the nodes have."""
    approve(operations)
    operations.run("commission", ["n1", "n2"], "alice")
    operations.run("retire", ["n3"], "alice")
    assert operations.replay() == {node.id: node.state for node in store.nodes()}


def test_a_broken_chain_is_found(operations, store):
    """A state that was changed past the journal is told."""
    operations.run("commission", ["n1"], "alice")
    with store.write() as tx:
        node = store.node("n1")
        moved = a_node("n1", "ready", version=node.version + 1, approved=True)
        tx.update_nodes([(moved, node.version)])
    assert operations.run("retire", ["n1"], "alice")["accepted"]
    with pytest.raises(ConflictError, match="goes on from 'ready', was 'discovering'"):
        operations.replay()


def test_explain_and_impact_know_the_place(operations):
    """Which layer set a value, and which nodes a file reaches."""
    explained = operations.explain("n1", "ntp")
    assert "node/n1.sls" in json.dumps(explained)
    assert operations.effective("n2")["ntp"] == ["a"]
    assert "n2" in json.dumps(operations.impact("global/base.sls"))


def test_impact_knows_misspelt_names_from_empty_places(operations, store):
    """A rack that nobody knows is an error; one that only a Salt state declared is not, with no node in it either."""
    with pytest.raises(InvalidInputError, match="no rack 'r11' is declared"):
        operations.impact("rack/r11.sls", {"ntp": ["b"]})
    with store.write() as tx:
        tx.put_places([Zone(name="z9")])
        tx.put_places([Rack(name="r11", zone="z9")])
    assert operations.impact("rack/r11.sls", {"ntp": ["b"]})["nodes"] == []


def test_a_policy_starts_declared_nodes_once(store, tmp_path):
    """``auto_commission`` sends a declared node on its way, and not again after it was retired."""
    policy = {"approve": "manifest", "auto_commission": True, "goal": "ready"}
    bmcs = {
        name: {
            "bmc": {
                "protocol": "simulated",
                "address": "h",
                "port": 1,
                "username": "u",
                "secret": "file:lab",
            }
        }
        for name in ("n1", "n2")
    }
    site = Site(SiteFolder(a_site(tmp_path, nodes=bmcs, policy=policy)))
    world = FakeWorld(clock=time.time)
    conductor = Conductor(store, the_rules, world.ports, ConductorSettings(), b"s" * 32)
    operations = Operations(conductor, site, Access(store, time.time, b"p"))
    operations.declare(test=True)
    assert store.count("nodes") == 0
    for _ in range(2):
        operations.declare()
        assert {node.state for node in store.nodes()} == {"commissioning"}
    assert len([e for e in store.journal() if e.event == "commission"]) == 2
    conductor.stop()


def test_a_policy_leaves_a_node_without_a_bmc_to_its_first_boot(store, tmp_path):
    """Nobody can switch it on from here: it waits in ``declared`` and goes on its way when it asks for a script."""
    policy = {"approve": "manifest", "auto_commission": True, "goal": "ready"}
    folder = a_site(tmp_path, nodes=("n1",), policy=policy)
    conductor = Conductor(
        store, the_rules, FakeWorld(clock=time.time).ports, ConductorSettings(), b"s" * 32
    )
    operations = Operations(conductor, Site(SiteFolder(folder)), Access(store, time.time, b"p"))
    operations.declare()
    assert (store.node("n1").state, store.count("outbox")) == ("declared", 0)
    asked = an_event("boot_requested", "n1", "boot", mac="m", address="10.0.0.1")
    [outcome] = conductor.handle([asked])
    assert outcome.node.state == "commissioning"
    conductor.stop()


def test_a_policy_starts_no_renamed_node_on_the_bmc_of_the_machine_in_use(store, tmp_path):
    """Its power would be cut: the new name waits in ``declared``, without effects, until the old one is retired."""
    policy = {"approve": "manifest", "auto_commission": True, "goal": "ready"}
    address = {"address": "10.0.0.1", "port": 623, "username": "u", "secret": "file:lab"}
    node = {"bmc": {"protocol": "ipmi", **address}, "macs": ["02:00:00:00:00:01"], "serial": "S1"}
    folder = a_site(tmp_path, nodes={"n1": node}, policy=policy)
    conductor = Conductor(
        store, the_rules, FakeWorld(clock=time.time).ports, ConductorSettings(), b"s" * 32
    )
    access = Access(store, time.time, b"p")
    Operations(conductor, Site(SiteFolder(folder)), access).declare()
    assert store.node("n1").state == "commissioning"
    a_site(tmp_path, nodes={"web1": node}, policy=policy)
    renamed = Operations(conductor, Site(SiteFolder(folder)), access)
    for _ in range(2):
        assert "bmc_refused" in renamed.declare()["nodes"]["web1"]
    assert (store.node("web1").state, store.pending_effects("web1")) == ("declared", [])
    with store.write() as tx:
        tx.change(nodes, {"id": "n1"}, state="retired")
    renamed.declare()
    assert store.node("web1").state == "commissioning"
    conductor.stop()


def test_tokens_go_the_way_of_all_verbs(operations):
    """Create, use, list and revoke."""
    made = operations.token_create("ci", ["audit:read"], 60)
    assert operations.principal(made["secret"]).name == "ci"
    operations.token_revoke(made["id"])
    assert operations.token_list()[0]["revoked_at"] is not None
