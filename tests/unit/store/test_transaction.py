"""One write transaction: journal, inbox, outbox, leases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.model.errors import ConflictError
from racksalt.model.event import Event
from racksalt.model.node import Hardware, Nic
from racksalt.model.place import Rack, Zone
from tests.support.builders import a_bmc, a_boot, a_node

NOW, LEASE = 1000.0, 60.0


def effect(number, node="n1", lane="power", name="power_cycle", **fields):
    """Return an outbox row."""
    given = {
        "boot": 1,
        "args": {},
        "progress": {},
        "attempts": 0,
        "created_at": NOW,
        "not_before": 0,
    }
    return {"id": number, "node": node, "lane": lane, "name": name, **given, **fields}


def lease(store, owner="a", now=NOW, limit=100):
    """Lease what is due; return the ids."""
    with store.write() as tx:
        return [found.id for found in tx.lease(owner, now, LEASE, limit)]


def add(store, *rows):
    """Write outbox rows."""
    with store.write() as tx:
        tx.add_effects(list(rows))


def test_a_node_changes_only_from_the_version_that_was_read(store):
    """Compare and set: whoever is second must read again, and nothing of the batch is written."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1"), a_node("n2")])
    with store.write() as tx:
        tx.update_nodes([(replace(a_node("n1"), state="ready", version=2), 1)])
    stale = [(replace(a_node(n), state="retired", version=2), 1) for n in ("n1", "n2")]
    with pytest.raises(ConflictError, match="1 of 2 nodes"), store.write() as tx:
        tx.update_nodes(stale)
    assert {node.id: node.state for node in store.nodes()} == {"n1": "ready", "n2": "declared"}


def test_a_lease_takes_the_oldest_of_each_node_and_lane(store):
    """The second effect of a lane waits for the first; lanes and nodes do not wait for one another."""
    add(store, effect(1), effect(2), effect(3, lane="agent"), effect(4, node="n2"))
    assert lease(store) == [1, 3, 4]
    assert lease(store) == []
    with store.write() as tx:
        tx.effects_done([1])
    assert lease(store) == [2]


def test_a_first_that_is_not_due_holds_up_its_lane(store):
    """Order within a lane is kept, also while the first waits for its next try."""
    add(store, effect(1, not_before=NOW + 5), effect(2))
    assert lease(store) == []
    assert lease(store, now=NOW + 5) == [1]


def test_nobody_gets_what_another_holds_until_the_lease_expires(store):
    """A lease keeps others away, for its time."""
    add(store, effect(1))
    assert lease(store, "a") == [1]
    assert lease(store, "b", NOW + LEASE - 1) == []
    with store.write() as tx:
        assert tx.beat("b", NOW + LEASE + 1, lease_s=LEASE, silent_s=6) == 1
    assert lease(store, "b", NOW + LEASE + 1) == [1]


def test_what_is_due_and_held_is_no_work_to_take(store):
    """A poll that says there is work makes a commit: what somebody is at is none."""
    add(store, effect(1), effect(2, not_before=NOW + 5))
    assert store.is_due(NOW)
    assert lease(store) == [1]
    assert not store.is_due(NOW)
    assert store.is_due(NOW + 5)
    assert store.awaiting("run_stage", ["n1", "n9"]) == set()
    assert store.awaiting("power_cycle", ["n1", "n9"]) == {"n1"}


def test_a_limit_takes_the_oldest(store):
    """Who leases few gets the oldest."""
    add(store, *(effect(n, node=f"n{n}") for n in (5, 3, 4)))
    assert lease(store, limit=2) == [3, 4]


def test_what_is_put_back_is_free_with_its_progress(store):
    """A try that must be repeated keeps what it found out, and its error."""
    add(store, effect(1))
    lease(store)
    row = {"id": 1, "not_before": NOW + 2, "progress": {"a": 1}, "attempts": 0, "error": "why"}
    with store.write() as tx:
        tx.effects_again([row], "a")
    (pending,) = store.pending_effects("n1")
    assert (pending["attempts"], pending["error"]) == (1, "why")
    with store.write() as tx:
        (found,) = tx.lease("b", NOW + 2, LEASE, 10)
    assert found.progress == {"a": 1}


def test_what_another_has_leased_since_is_not_put_back(store):
    """Its conductor saw more: progress and lease stay, though the first comes back late with its own."""
    add(store, effect(1))
    lease(store, "a")
    with store.write() as tx:
        tx.beat("b", NOW + LEASE + 1, lease_s=LEASE, silent_s=6)
    lease(store, "b", NOW + LEASE + 1)
    row = {"id": 1, "not_before": NOW, "progress": {"late": 1}, "attempts": 0, "error": "why"}
    with store.write() as tx:
        tx.effects_again([row], "a")
    (pending,) = store.pending_effects("n1")
    assert (pending["attempts"], pending["error"]) == (0, None)
    assert lease(store, "c", NOW + LEASE + 2) == []


def test_what_was_tried_since_is_not_put_back_with_older_news(store):
    """Another took over, saw more and put it back: the first, late, must not take its progress away."""
    add(store, effect(1), effect(2, node="n2"))
    lease(store, "a")
    with store.write() as tx:
        tx.beat("b", NOW + LEASE + 1, lease_s=LEASE, silent_s=6)
    lease(store, "b", NOW + LEASE + 1, limit=1)
    row = {"id": 1, "not_before": NOW, "progress": {"off": 1}, "attempts": 0, "error": None}
    late = {**row, "progress": {}, "error": "late"}
    with store.write() as tx:
        tx.effects_again([row], "b")
    with store.write() as tx:
        tx.effects_again([late, {**late, "id": 2}], "a")
        tx.effects_again([{**late, "id": 2}], "a")
    rows = {r["id"]: (r["attempts"], r["progress"], r["error"]) for r in store.rows("outbox")}
    assert rows == {1: (1, {"off": 1}, None), 2: (1, {}, "late")}


def test_a_clock_that_ran_ahead_leaves_nothing_behind(store):
    """An effect put off by a day, a lease of a day and the mark of one who died then: all count as past."""
    day = NOW + 86_400
    add(store, effect(1, not_before=day), effect(2, node="n2"))
    with store.write() as tx:
        tx.beat("dead", day, lease_s=LEASE, silent_s=6)
        tx.lease("dead", day, LEASE, 1)
    assert store.is_due(NOW)
    with store.write() as tx:
        tx.beat("alive", NOW, lease_s=LEASE, silent_s=6)
    assert store.conductors(NOW - 6) == ["alive"]
    assert lease(store, "alive") == [1, 2]


def test_only_effects_of_these_names_are_voided(store):
    """Whatever happens to a node, an old key does not stay accepted, and other nodes keep theirs."""
    add(
        store,
        effect(1, name="revoke_key"),
        effect(2),
        effect(3, lane="agent", name="run_stage"),
        effect(4, node="n2"),
    )
    with store.write() as tx:
        tx.void_effects(["n1"], {"power_cycle"})
    assert [row["name"] for row in store.pending_effects("n1")] == ["revoke_key", "run_stage"]
    assert len(store.pending_effects("n2")) == 1


def test_the_dead_lose_their_leases_and_the_living_keep_them(store):
    """Who was silent for too long is dead: its effects are free at once, long before the lease ends."""
    add(store, effect(1), effect(2, node="n2"))
    with store.write() as tx:
        tx.beat("dead", NOW, lease_s=60, silent_s=6)
        tx.beat("alive", NOW, lease_s=60, silent_s=6)
        tx.lease("dead", NOW, LEASE, 1)
        tx.lease("alive", NOW, LEASE, 1)
    with store.write() as tx:
        assert tx.beat("alive", NOW + 5, lease_s=60, silent_s=6) == 0
    with store.write() as tx:
        assert tx.beat("alive", NOW + 8, lease_s=60, silent_s=6) == 1
    assert lease(store, "new", NOW + 8) == [1]


def test_who_leaves_leaves_nothing_behind(store):
    """A conductor that ends in order frees what it holds at once."""
    add(store, effect(1))
    with store.write() as tx:
        tx.beat("a", NOW, lease_s=60, silent_s=6)
        tx.lease("a", NOW, LEASE, 1)
    with store.write() as tx:
        tx.leave("a")
    assert lease(store, "b", NOW) == [1]
    assert store.rows("marks") == []


def an_event(name):
    """Return a hint."""
    return Event(id=name, node="n1", name="x", at=NOW, source="bus")


def test_the_inbox_gives_each_event_once_and_in_order(store):
    """The same id, twice in a batch or in two, is one row; taking removes."""
    with store.write() as tx:
        assert tx.inbox_put([an_event("b"), an_event("a"), an_event("b")]) == 2
        assert tx.inbox_put([an_event("a"), an_event("c")]) == 1
        assert tx.inbox_put([]) == 0
    with store.write() as tx:
        assert [event.id for event in tx.inbox_take(2)] == ["b", "a"]
    with store.write() as tx:
        assert [event.id for event in tx.inbox_take(2)] == ["c"]
        assert tx.inbox_take(2) == []


def test_what_was_taken_comes_back_when_the_transaction_fails(store):
    """An event leaves the inbox only with the commit that handles it."""
    with store.write() as tx:
        tx.inbox_put([an_event("a")])
    with pytest.raises(ConflictError), store.write() as tx:
        tx.update_nodes([(a_node(), len(tx.inbox_take(1)))])
    with store.write() as tx:
        assert len(tx.inbox_take(1)) == 1


def test_the_newest_proof_of_a_key_wins(store):
    """A key has one proof."""
    for proof in ("p1", "p2"):
        with store.write() as tx:
            tx.proofs_put([{"node": "n1", "key_sha256": "k", "proof": proof, "seen_at": NOW}])
    assert store.proofs(["n1", "n2"]) == {("n1", "k"): "p2"}


def test_putting_replaces_by_key(store):
    """What is there is replaced, what is not is added; an empty list is fine."""
    with store.write() as tx:
        tx.add_nodes([a_node()])
        tx.put([a_boot(generation=1), a_boot(generation=2)])
        tx.put([a_boot(generation=2, taken_by="10.0.0.1")])
        tx.put([])
    assert [(b.generation, b.taken_by) for b in store.boots("n1")] == [(2, "10.0.0.1"), (1, None)]


def test_places_change_while_others_refer_to_them(store):
    """A zone with racks in it can be written again."""
    with store.write() as tx:
        tx.put_places([Zone(name="z1")])
        tx.put_places([Rack(name="r1", zone="z1", height_u=42)])
    with store.write() as tx:
        tx.put_places([Zone(name="z1"), Zone(name="z2")])
        tx.put_places([Rack(name="r1", zone="z2", height_u=47)])
        assert tx.all_of(Rack) == [Rack(name="r1", zone="z2", height_u=47)]


def test_parts_are_replaced_as_a_whole(store):
    """What inventory does not find any more is gone."""
    nics = [Nic(id=f"n1/{m}", node="n1", name=m, mac=m) for m in ("m1", "m2")]
    with store.write() as tx:
        tx.add_nodes([a_node()])
        tx.replace_parts(["n1"], [Hardware(node="n1", serial="A")], nics)
        tx.replace_parts(["n1"], [Hardware(node="n1", serial="B")], nics[1:])
    assert [nic.mac for nic in store.parts(Nic, "n1")] == ["m2"]
    assert store.parts(Hardware, "n1")[0].serial == "B"


def test_the_limit_of_discovery_counts_who_waits(store):
    """Only nodes that booted and nobody approved count."""
    with store.write() as tx:
        tx.add_nodes(
            [
                a_node("n1", "discovering"),
                a_node("n2", "discovered"),
                a_node("n3", "discovered", approved=True),
                a_node("n4", "declared"),
            ]
        )
        assert tx.count_unapproved() == 2


def test_rows_of_many_nodes_come_by_node(store):
    """Nodes, BMCs, hardware and boots are read for many ids at once; who is not there is left out."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1"), a_node("n2")])
        tx.put([a_bmc("n2")])
        tx.put([Hardware(node="n1")])
        tx.put([a_boot("n1", 1), a_boot("n1", 2)])
        ids = ["n1", "n2", "n3"]
        assert set(tx.nodes(ids)) == {"n1", "n2"}
        assert (set(tx.bmcs(ids)), set(tx.hardware(ids))) == ({"n2"}, {"n1"})
        assert {node: len(boots) for node, boots in tx.boots(ids).items()} == {"n1": 2}
        assert tx.nodes([]) == {}


def proof_row(number, seen_at, node="n1"):
    """Return a proof's row."""
    return {"node": node, "key_sha256": f"{number:064d}", "proof": "a" * 64, "seen_at": seen_at}


def test_of_a_nodes_proofs_the_newest_few_are_kept(store):
    """Whoever signs in with a new key each time fills no table, and drives out no other node's proof."""
    with store.write() as tx:
        tx.proofs_put([proof_row(1, NOW, "n2")])
    for start in (0, 500):
        with store.write() as tx:
            tx.proofs_put([proof_row(n, NOW + n) for n in range(start, start + 500)])
    kept = store.proofs(["n1", "n2"])
    assert {int(key) for node, key in kept if node == "n1"} == set(range(992, 1000))
    assert [node for node, _ in kept].count("n2") == 1


def test_old_proofs_of_a_node_go_when_a_new_one_comes(store):
    """An hour is more than any key waits between two sign-ins; the same key's proof is replaced."""
    with store.write() as tx:
        tx.proofs_put([proof_row(1, NOW), proof_row(2, NOW + 3000)])
        tx.proofs_put([proof_row(3, NOW + 4000), proof_row(3, NOW + 4001)])
        tx.proofs_put([])
    assert {int(key) for _, key in store.proofs(["n1"])} == {2, 3}
