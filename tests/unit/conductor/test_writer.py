"""Group commit: many hand in, one writes, everybody is told after the commit."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from racksalt.conductor.writer import Result, Writer
from racksalt.model.errors import StoreError
from tests.support.builders import NOW, a_bmc, a_node, an_effect, an_event, the_rules
from tests.support.fakes import FakeClock, wait_for

RULES = the_rules()


@pytest.fixture
def writer(store):
    """A writer over a store with ten approved nodes."""
    with store.write() as tx:
        tx.add_nodes([a_node(f"n{n}", approved=True) for n in range(10)])
        tx.put([a_bmc("n1")])
    found = Writer(store, lambda: RULES, FakeClock(), batch=64, owner="me")
    yield found
    found.stop()


def noted(node="n1", **data):
    """Return an event that is only written down."""
    return an_event("x", node, noted="seen", **data)


def test_the_outcome_comes_after_the_commit(writer):
    """Who is told can read what was written."""
    outcome = writer.put(an_event("commission", "n1", "operator")).result(10)
    assert writer.store.node("n1") == outcome.node
    assert outcome.node.state == "commissioning"


def test_many_threads_share_commits(writer):
    """Events that wait are written together, and every sequence number is there once."""
    commits = []
    plain = writer.store.write
    writer.store.write = lambda: commits.append(1) or plain()
    with ThreadPoolExecutor(16) as pool:
        futures = list(pool.map(lambda n: writer.put(noted(f"n{n % 10}")), range(300)))
    assert sorted(future.result(20).seq for future in futures) == list(range(1, 301))
    assert len(commits) < 200
    assert [e.seq for e in writer.store.journal()] == list(range(1, 301))


def test_an_event_that_breaks_fails_alone(writer, monkeypatch):
    """The others of its batch are written, and so is what comes later."""
    futures = held(
        writer, [noted("n1"), an_event("commission", "n2", "operator", goal=object()), noted("n3")]
    )
    assert [type(f.exception(10)).__name__ for f in futures] == [
        "NoneType",
        "InvalidInputError",
        "NoneType",
    ]
    assert {e.node for e in writer.store.journal()} == {"n0", "n1", "n3"}
    assert writer.put(noted("n4")).result(10).error is None


def held(writer, events):
    """Hand in events such that they meet in one batch."""
    with writer.store.write() as _:
        blocker = writer.put(noted("n0"))
        wait_for(lambda: not writer._work, what="the writer's taking of the first event")
        futures = [writer.put(event) for event in events]
    blocker.result(10)
    return futures


def test_who_gave_up_waiting_does_no_harm(writer):
    """A caller that was cancelled is not told; its event happened, and the others are told."""
    with writer.store.write() as _:
        blocker = writer.put(noted("n0"))
        wait_for(lambda: not writer._work, what="the writer's taking of the first event")
        gone, kept = writer.put(noted("n1")), writer.put(noted("n2"))
        assert gone.cancel()
    assert (blocker.result(10).seq, kept.result(10).seq) == (1, 3)
    assert writer.put(noted("n3")).result(10).seq == 4


class Broken:
    """A store whose disk is full until it is mended."""

    def __init__(self, store):
        self.store, self.full, self.tries = store, True, 0

    def write(self):
        """Write, or fail."""
        self.tries += 1
        if self.full:
            raise StoreError("the disk is full", "mend it")
        return self.store.write()


def test_a_full_disk_is_told_and_results_are_kept(writer):
    """Who waits is told; what nobody waits for is written when there is space again, in order."""
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])
    broken = writer.store = Broken(writer.store)
    with pytest.raises(StoreError, match="disk is full"):
        writer.put(noted("n1")).result(10)
    effect = an_effect()
    done = Result(effect=effect_with_id(effect, 1), events=[noted("n2", event_id="told")])
    writer.finished([done])
    writer.note([noted("n3", event_id="later")])
    tried = broken.tries
    wait_for(lambda: broken.tries > tried + 1, what="a try while the disk is full")
    broken.full = False
    wait_for(lambda: broken.store.head() >= 2, what="the write after the disk was mended")
    assert {e.event_id for e in broken.store.journal()} == {"told", "later"}
    assert broken.store.count("outbox") == 0


def test_what_cannot_be_written_waits_once_however_often_it_is_found(writer):
    """Sweeps find the same every second: a night with a full disk must not fill the memory, too."""
    broken = writer.store = Broken(writer.store)
    for _ in range(50):
        writer.note([noted("n1", event_id="a"), noted("n1", event_id="b")])
        tried = broken.tries
        wait_for(lambda tried=tried: broken.tries > tried or len(writer._work) <= 2)
    wait_for(lambda: broken.tries > 1, what="tries")
    assert len(writer._work) <= 2
    broken.full = False
    wait_for(lambda: broken.store.head() == 2, what="both of them")
    writer.note([noted("n1", event_id="a")])
    wait_for(lambda: broken.store.head() == 3 or not writer._work, what="the same once more")
    assert [e.event_id for e in broken.store.journal()] == ["a", "b"]


def test_the_sites_files_are_read_before_the_lock_is_taken(writer):
    """A slow disk with the site's files keeps nobody else from writing."""
    order, rules, write = [], writer.rules, writer.store.write
    writer.rules = lambda: order.append("rules") or rules()
    writer.store.write = lambda: order.append("lock") or write()
    writer.put(noted("n1")).result(10)
    assert set(zip(order[::2], order[1::2], strict=False)) == {("rules", "lock")}


def test_rules_that_cannot_be_read_cost_nobody_an_event(writer, caplog):
    """A folder that cannot be read for a while is like a full disk: who waits is told, the rest is kept, in peace."""
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])
        tx.inbox_put([an_event("x", "n1", "bus", event_id=f"h{n}") for n in range(3)])
    writer.leased, tries, plain = (lambda tasks: None), [], writer.rules

    def broken():
        tries.append(1)
        raise PermissionError(13, "Permission denied", "/site")

    writer.rules = broken
    with pytest.raises(StoreError, match=r"PermissionError.*'/site'"):
        writer.put(noted("n1")).result(10)
    done = Result(effect=effect_with_id(an_effect(), 1), events=[noted("n2", event_id="told")])
    writer.finished([done])
    writer.note([noted("n3", event_id="found")])
    tried = len(tries)
    wait_for(lambda: len(tries) > tried + 1, what="two more tries")
    assert (writer.store.count("inbox"), writer.store.count("outbox")) == (3, 1)
    assert not [record for record in caplog.records if record.exc_info]
    writer.rules = plain
    wait_for(lambda: writer.store.head() == 5, what="all of them")
    assert {e.event_id for e in writer.store.journal()} == {"told", "found", "h0", "h1", "h2"}
    assert writer.store.count("outbox") == 0


def test_a_writer_whose_thread_cannot_be_started_says_so_and_tries_again(writer, monkeypatch):
    """Nobody waits for a thread that is not there; results are kept for the one that comes."""
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])
    plain, refused = threading.Thread.start, []

    def start(thread):
        if len(refused) < 3 and thread.name == "racksalt-writer":
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        plain(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(StoreError, match=r"can't start new thread.*hand it in again"):
        writer.put(noted("n1")).result(5)
    writer.note([noted("n2", event_id="found")])
    writer.finished([Result(effect=effect_with_id(an_effect(), 1))])
    assert len(refused) == 3
    writer.note([noted("n2", event_id="found")])
    assert writer.put(noted("n3")).result(5).error is None
    assert [e.node for e in writer.store.journal()] == ["n2", "n3"]
    wait_for(lambda: writer.store.count("outbox") == 0, what="the result")


def outbox_row(number, node="n1"):
    """Return an outbox row that is due."""
    given = {
        "boot": 0,
        "args": {},
        "progress": {},
        "attempts": 0,
        "created_at": NOW,
        "not_before": 0,
    }
    return {"id": number, "node": node, "lane": "power", "name": "power_on", **given}


def effect_with_id(effect, number):
    """Return the effect as it stands in the outbox."""
    from dataclasses import replace

    return replace(effect, id=number)


def test_a_stopped_writer_turns_late_comers_away(writer):
    """What was handed in is written before the end; later nobody waits for ever."""
    early = writer.put(noted("n1"))
    writer.stop()
    assert early.result(0).seq == 1
    with pytest.raises(StoreError, match="hand it in again"):
        writer.put(noted("n1")).result(5)


def test_a_writer_stops_also_when_nothing_can_be_written(writer):
    """The end of a process does not wait for a disk."""
    writer.store = Broken(writer.store)
    writer.note([noted("n1")])
    writer.stop()
    assert not writer._thread.is_alive()


def test_due_effects_are_leased_with_their_rows(writer):
    """Whoever carries out an effect has node and BMC at hand; it is handed out once."""
    tasks = []
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1), outbox_row(2, "n2"), outbox_row(3, "n1")])
    writer.leased = tasks.extend
    writer.look()
    wait_for(lambda: len(tasks) == 2, what="the lease")
    assert [(t.effect.id, t.node.id, t.bmc is None) for t in tasks] == [
        (1, "n1", False),
        (2, "n2", True),
    ]
    writer.put(noted("n1")).result(10)
    assert len(tasks) == 2


def test_a_fault_after_the_commit_is_no_reason_to_do_it_again(writer):
    """Who waits is told once, and the writer goes on, when effects cannot be handed out."""
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])

    def broken(_tasks):
        raise RuntimeError("no threads left")

    writer.leased = broken
    assert writer.put(noted("n1")).result(10).entry is not None
    assert writer.put(noted("n2")).result(10).seq == 2


def test_no_more_is_leased_than_there_is_room_for(writer):
    """What this process cannot do soon is left to others."""
    tasks = []
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(n, f"n{n}") for n in range(1, 6)])
    writer.room, writer.leased = lambda: 2 - len(tasks), tasks.extend
    writer.look()
    wait_for(lambda: len(tasks) == 2, what="the lease")
    writer.put(noted("n1")).result(10)
    assert len(tasks) == 2


def test_what_is_to_be_repeated_is_leased_again_when_it_is_due(writer):
    """A result that asks for another try keeps the effect, its progress and its error."""
    tasks = []
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])
    writer.leased = tasks.extend
    writer.look()
    wait_for(lambda: tasks, what="the lease")
    writer.finished(
        [Result(effect=tasks[0].effect, again_after_s=5, progress={"a": 1}, error="no")]
    )
    wait_for(lambda: writer.store.pending_effects("n1")[0]["attempts"] == 1, what="the result")
    assert writer.store.pending_effects("n1")[0]["error"] == "no"
    assert not writer.store.is_due(NOW)
    assert writer.store.is_due(NOW + 5)
    writer.clock.pass_(5)
    writer.look()
    wait_for(lambda: len(tasks) == 2, what="the second lease")
    assert (tasks[1].effect.attempts, tasks[1].effect.progress) == (1, {"a": 1})


def test_the_inbox_is_taken_by_conductors_only(writer):
    """A process that drives nothing leaves hints to those that do; a poisoned hint is dropped alone."""
    with writer.store.write() as tx:
        tx.inbox_put([an_event("x", "n1", "bus", event_id=f"h{n}") for n in range(3)])
    writer.put(noted("n1")).result(10)
    assert writer.store.count("inbox") == 3
    writer.leased = lambda tasks: None
    writer.look()
    wait_for(lambda: writer.store.count("inbox") == 0, what="the taking of the inbox")
    assert {"h0", "h1", "h2"} <= {e.event_id for e in writer.store.journal()}


def test_a_hint_that_breaks_is_dropped_alone(writer, monkeypatch):
    """One bad row of the inbox stops neither the others nor what comes over safe ways."""
    plain = writer._commit
    bad = threading.Event()

    def commit(work, results, inbox=0):
        with writer.store.read() as connection:
            rows = connection.exec_driver_sql("SELECT event_id FROM inbox ORDER BY id").all()
        if inbox and any(row[0] == "bad" for row in rows[:inbox]):
            bad.set()
            raise ValueError("cannot be handled")
        plain(work, results, inbox)

    monkeypatch.setattr(writer, "_commit", commit)
    with writer.store.write() as tx:
        tx.inbox_put([an_event("x", "n1", "bus", event_id=n) for n in ("h1", "bad", "h2")])
    writer.leased = lambda tasks: None
    assert writer.put(noted("n2")).result(10).error is None
    wait_for(lambda: writer.store.count("inbox") == 0, what="the emptying of the inbox")
    assert bad.is_set()
    assert {e.event_id for e in writer.store.journal()} >= {"h1", "h2"}


def test_a_result_that_breaks_does_not_come_back_for_ever(writer):
    """The effect was done; that its news cannot be written must not have it done again and again."""
    with writer.store.write() as tx:
        tx.add_effects([outbox_row(1)])
    news = an_event("commission", "n1", "operator", goal=object())
    writer.finished([Result(effect=effect_with_id(an_effect(), 1), events=[news])])
    wait_for(lambda: writer.store.count("outbox") == 0, what="the end of the effect")
    assert writer.store.head() == 0
