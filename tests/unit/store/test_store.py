"""The store: reads, pulses, failures, and what others see."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from racksalt.model.errors import NotFoundError, StoreError
from racksalt.model.event import Entry
from racksalt.model.node import Bmc, Hardware, Nic
from racksalt.store import Store
from racksalt.store.job_reads import running
from racksalt.store.transaction import AHEAD_S
from tests.support.builders import a_bmc, a_node, some_hardware


def entry(seq, node="n1"):
    """Return a journal entry."""
    given = {"kind": "noted", "event": "x", "from_state": "a", "to_state": "a", "stage": None}
    more = {"source": "bus", "actor": "", "message": "", "detail": {"n": seq}}
    return Entry(seq=seq, at=float(seq), node=node, event_id=f"e{seq}", **given, **more)


@pytest.fixture
def filled(store):
    """A store with two nodes, their parts and four entries."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", rack="r1", zone="z1"), a_node("n2", "ready", zone="z1")])
        tx.put([some_hardware("n1", serial="S1", system_uuid="U1")])
        tx.put([Nic(id=f"{n}/{m}", node=n, name=m, mac=m) for n, m in (("n1", "m1"), ("n2", "m2"))])
        tx.put([a_bmc("n1")])
        tx.append([entry(1), entry(2, "n2"), entry(3), entry(4)])
    return store


def test_nodes_are_narrowed(filled):
    """State, rack and zone narrow; the order is that of the ids."""
    assert [n.id for n in filled.nodes()] == ["n1", "n2"]
    assert [n.id for n in filled.nodes(state="ready")] == ["n2"]
    assert [n.id for n in filled.nodes(rack="r1", zone="z1")] == ["n1"]
    assert filled.nodes(rack="r1", state="ready") == []
    assert [n.id for n in filled.nodes_by_id(["n2", "n9"])] == ["n2"]


def test_an_unknown_node_is_an_error_with_a_remedy(filled):
    """The message says how to see those that are known."""
    with pytest.raises(NotFoundError, match=r"'n9' is unknown.*node list"):
        filled.node("n9")


def test_the_journal_is_read_forwards_and_a_history_backwards(filled):
    """``journal`` pages up by sequence number, ``history`` pages down."""
    assert [e.seq for e in filled.journal(1, 2)] == [2, 3]
    assert [e.seq for e in filled.history("n1", limit=2)] == [4, 3]
    assert [e.seq for e in filled.history("n1", before_seq=3)] == [1]
    assert [e.seq for e in filled.history(None, limit=3)] == [4, 3, 2]
    assert (filled.head(), filled.journal(4)) == (4, [])


def test_an_entry_comes_back_whole(filled):
    """Detail is kept as it was."""
    assert filled.journal(2, 1) == [entry(3)]


@pytest.mark.parametrize(
    ("macs", "serial", "uuid", "nodes"),
    [
        (["m2"], None, None, ["n2"]),
        ([], "S1", None, ["n1"]),
        ([], " s-1", None, ["n1"]),
        ([], "--", None, []),
        ([], None, "U1", ["n1"]),
        (["m2"], "S1", None, ["n1", "n2"]),
        ([], None, None, []),
    ],
)
def test_any_mark_identifies(filled, macs, serial, uuid, nodes):
    """A MAC, the serial or the UUID finds a node; several may fit."""
    assert sorted(n.id for n in filled.identify(macs, serial, uuid)) == nodes


def test_the_topology_is_of_one_instant(filled):
    """All nouns and the journal's head come from one transaction."""
    found = filled.topology()
    assert (found["head"], len(found["nodes"]), len(found["bmcs"])) == (4, 2, 1)
    some = filled.topology_of(["n2", "n9"])
    assert [n.id for n in some["nodes"]] == ["n2"]
    assert (some["hardware"], [n.mac for n in some["nics"]]) == ([], ["m2"])


def test_parts_and_all_rows_are_found(filled):
    """Parts belong to a node; all rows are all."""
    assert filled.parts(Hardware, "n2") == []
    assert [b.node for b in filled.all_of(Bmc)] == ["n1"]


def test_marks_keep_a_number(store):
    """A mark is 0 until it is set, and then what it was set to."""
    assert store.mark("m") == 0
    for value in (5, 7):
        store.set_mark("m", value)
        assert store.mark("m") == value


def test_strangers_with_an_earlier_place_are_counted_up_to_a_number(store):
    """Those let in, and those that came before; not the retired, the declared, nor names of another kind."""
    came = [a_node(f"node-{number}", created_at=float(number)) for number in range(1, 7)]
    came[4], came[0] = replace(came[4], approved=True), replace(came[0], state="retired")
    with store.write() as tx:
        tx.add_nodes([*came, a_node("n1"), a_node("nodes-1")])
    assert store.strangers_before(came[3], (), 9) == 3, "2 and 3 came before, 5 was let in"
    assert store.strangers_before(came[3], ("node-2", "n1"), 9) == 2
    assert store.strangers_before(came[3], (), 2) == 2


def test_deadlines_and_jobs_are_found(store):
    """``overdue`` is strict; ``running`` are those with a job, or with one of these jobs."""
    with store.write() as tx:
        tx.add_nodes(
            [a_node("n1", deadline_at=5.0), a_node("n2", deadline_at=9.0, job="j"), a_node("n3")]
        )
    assert [n.id for n in store.overdue(5.0)] == []
    assert [n.id for n in store.overdue(6.0)] == ["n1"]
    # Further off than any deadline is: a clock that ran ahead wrote it.
    assert store.overdue(-AHEAD_S, longest_s=9.0) == []
    assert [n.id for n in store.overdue(-AHEAD_S, longest_s=8.9)] == ["n2"]
    # But for one whose job began in the past: the rules were others then.
    n2 = store.node("n2")
    with store.write() as tx:
        tx.update_nodes([(replace(n2, version=n2.version + 1, job_since=-AHEAD_S), n2.version)])
    assert store.overdue(-AHEAD_S, longest_s=8.9) == []
    assert [n.id for n in running(store)] == ["n2"]
    assert [n.id for n in running(store, ["j", "k"])] == ["n2"]
    assert running(store, ["k"]) == running(store, []) == []
    assert (store.count("nodes"), store.count("nodes", id="n2")) == (3, 1)


def test_readers_see_nothing_before_the_commit(store):
    """An open write transaction is invisible, and keeps no reader waiting."""
    with store.write() as tx:
        tx.add_nodes([a_node()])
        assert store.nodes() == []
    assert len(store.nodes()) == 1


ECHO = """
import sys
from racksalt.store import Store
from tests.unit.store.test_store import entry

store = Store(sys.argv[1])
for number in (1, 2):
    input()
    with store.write() as tx:
        tx.append([entry(number)])
    print(number, flush=True)
store.close()
"""


def test_the_pulse_changes_when_another_process_commits(database_url, store):
    """Whoever polls learns of a commit elsewhere, again and again."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ECHO, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = [store.pulse()]
    for _ in range(2):
        assert store.pulse() == seen[-1]
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        seen.append(store.pulse())
    child.communicate(timeout=20)
    assert len(set(seen)) == 3


def test_writers_of_many_threads_wait_for_one_another(store):
    """Transactions follow one another: each sees what the one before has written."""

    def write(number):
        for _ in range(5):
            with store.write() as tx:
                tx.append([entry(tx.head() + 1, f"n{number}")])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [e.seq for e in store.journal()] == list(range(1, 31))


FULL = """
import resource, signal, sys
from racksalt.model.errors import StoreError
from racksalt.store import Store
from tests.unit.store.test_store import entry

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store, size = Store(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
number = 0
try:
    while number < 5000:
        with store.write() as tx:
            tx.append([entry(number + n) for n in range(1, 101)])
        number += 100
    print("never full")
except StoreError as error:
    print(error.code, store.head() == number, number > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
with store.write() as tx:
    tx.append([entry(number + 1)])
print(store.head() == number + 1)
store.close()
"""


def test_a_full_disk_loses_nothing_that_was_committed(tmp_path, sqlite_store):
    """The writer is told, no half of a batch is there, and with space again it goes on."""
    path = tmp_path / "racksalt.db"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, f"sqlite:///{path}", str(600_000)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["store_error True True", "True"], done.stderr
    entries = sqlite_store.journal(limit=10_000)
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))


KILLED = """
import sys
from racksalt.store import Store
from tests.unit.store.test_store import entry

store = Store(sys.argv[1])
while True:
    with store.write() as tx:
        head = tx.head()
        tx.append([entry(head + n) for n in range(1, 11)])
    print(head + 10, flush=True)
"""


def test_a_killed_process_leaves_whole_commits(database_url, store):
    """After kill -9 everything that was acknowledged is there, and only whole batches."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", KILLED, database_url],
        stdout=subprocess.PIPE,
        text=True,
    )
    told = [int(child.stdout.readline()) for _ in range(5)]
    child.send_signal(signal.SIGKILL)
    rest = child.communicate(timeout=20)[0].split()
    acknowledged = int(rest[-1]) if rest else told[-1]
    head = store.head()
    assert head >= acknowledged
    assert head % 10 == 0
    with store.write() as tx:
        tx.append([entry(head + 1)])


def test_a_lost_connection_is_told_and_then_made_anew(postgresql):
    """After a crash of the server the next write, read and pulse work; what failed said so."""
    store = Store(postgresql.url(postgresql.create()))
    store.pulse()
    postgresql.restart()
    with pytest.raises(StoreError):
        store.pulse()
    assert store.pulse() == 0
    with store.write() as tx:
        tx.append([entry(1)])
    assert (store.head(), store.pulse()) == (1, 1)
    store.close()
