"""What the bus reader hands in reaches the inbox and the proofs, and nothing else."""

from __future__ import annotations

import threading
from typing import ClassVar

import pytest

from racksalt.adapters.salt_budget import Budget
from racksalt.adapters.salt_hints import hint_of
from racksalt.adapters.salt_host import Inbox, serve
from racksalt.boot.tokens import derive, proof
from racksalt.conductor.enrolment import KeyCheck
from racksalt.conductor.ports import MinionKey
from racksalt.conductor.refusals import MOST_OF_NODE
from racksalt.model.errors import StoreError
from tests.support.builders import a_boot, a_node
from tests.support.databases import sqlite_store, sqlite_template  # noqa: F401 - fixtures
from tests.support.fakes import FakeClock, FakeKeys
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture

KEY = "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----"
PROOF = "a" * 64
SECRET = b"a boot secret of the tests, 32 b"


@pytest.fixture
def store(sqlite_store):  # noqa: F811
    """A store that knows n1."""
    with sqlite_store.write() as tx:
        tx.add_nodes([a_node("n1")])
    return sqlite_store


@pytest.fixture
def pokes():
    """What was poked, in order."""
    return []


@pytest.fixture
def keys():
    """A key store in which n1's key waits."""
    keys = FakeKeys()
    keys.offer("n1", KEY)
    return keys


class Conductor:
    """What the inbox tells: a log of it, and a real check of keys."""

    def __init__(self, store, pokes):
        self.check, self._pokes = KeyCheck(store, FakeClock(), SECRET), pokes

    def poke(self, sweep):
        """Note who should look."""
        self._pokes.append(sweep)

    def signed_in(self, nodes):
        """Note who is said to have signed in."""
        self._pokes.append(("keys", nodes))

    def returned(self, jids):
        """Note which jobs are said to have ended."""
        self._pokes.append(jids)

    def connected(self, nodes):
        """Note who is said to be back."""
        self._pokes.append(("back", nodes))


@pytest.fixture
def inbox(store, pokes, keys):
    """The sink under test."""
    return Inbox(store, Conductor(store, pokes), keys)


def auth(node, given=PROOF, key=KEY, act="pend"):
    """Return the hint of a sign-in attempt."""
    grains = {"racksalt_proof": given}
    return hint_of(
        "salt/auth", {"id": node, "pub": key, "act": act, "autosign_grains": grains}, 1.0
    )


def refused(store):
    """Return what the inbox has of refusals."""
    with store.write() as tx:
        return [one.data["refused"] for one in tx.inbox_take(1000)]


def event(number):
    """Return the hint of a node event."""
    payload = {"id": "n9", "data": {"event_id": str(number), "rack": "r2"}}
    return hint_of("racksalt/node/n1/event/moved", payload, 1.0)


def test_events_wait_in_the_inbox_once_each(store, inbox, pokes):
    """The same batch again, after a crash between commit and answer, adds nothing."""
    inbox([event(1), event(2)])
    inbox([event(1), event(2)])
    with store.write() as tx:
        found = tx.inbox_take(10)
    assert [one.id for one in found] == ["bus:n1:1", "bus:n1:2"]
    assert {one.source for one in found} == {"bus"}
    assert found[0].actor == "n9"
    assert found[0].data == {"rack": "r2"}
    assert "work" in pokes


def test_events_of_names_that_no_node_has_are_counted_and_not_kept(store, pokes, keys):
    """A minion that makes up names fills no table; one entry a minute says how many there were."""
    clock = FakeClock()
    inbox = Inbox(store, Conductor(store, pokes), keys, Budget(clock))
    made_up = [hint_of(f"racksalt/node/x{n}/event/seen", {}, 1.0) for n in range(50)]
    inbox([*made_up, hint_of("salt/minion/x1/start", {}, 1.0), event(1)])
    assert store.count("inbox") == 1
    inbox.tell()
    clock.pass_(60)
    inbox.tell()
    inbox.tell()
    (told,) = [text for text in _refused_or_none(store) if text]
    assert "51 about names that no node has" in told
    assert pokes[-1] == "work"


def test_a_store_that_is_away_does_not_end_the_engine(store, inbox, monkeypatch, caplog):
    """The number of what was left out is in the log then."""
    clock = FakeClock()
    inbox.budget = Budget(clock)
    inbox.budget.strangers(3)
    clock.pass_(60)

    def away():
        raise StoreError("no connection")

    monkeypatch.setattr(store, "write", away)
    inbox.tell()
    assert "3 events of the bus were left out" in caplog.text


def _refused_or_none(store):
    with store.write() as tx:
        return [one.data.get("refused") for one in tx.inbox_take(1000)]


def test_proofs_are_kept_for_known_nodes_alone(store, inbox, pokes):
    """A flood of made-up names fills no table; the key store is looked at in any case."""
    inbox([auth("n1"), auth("nobody"), auth("n1", given="junk")])
    rows = store.rows("proofs")
    assert [(row["node"], row["proof"]) for row in rows] == [("n1", PROOF)]
    assert ("keys", ["n1"]) in pokes


def test_a_node_whose_places_are_taken_by_others_gets_in_at_its_next_sign_in(store, inbox, keys):
    """Salt keeps two waiting keys under a name; a proof clears away those that nobody vouches for."""
    with store.write() as tx:
        tx.add_nodes([a_node("n2", "commissioning", boot=1, boot_environment="live")])
        tx.put([a_boot("n2", 1)])
    for key in ("first", "second"):
        keys.offer("n2", key)
    right = proof(derive(SECRET, "n2", 1, "live"), "n2", KEY)
    inbox([auth("n2", "0" * 64, act="denied")])
    assert len(keys.get("n2")) == 2
    inbox([auth("n2", right, act="denied")])
    assert keys.get("n2") == []
    said = refused(store)
    assert ["does not hold it" in one for one in said] == [True, False]
    assert "another key was squatting" in said[1]


def test_a_flood_of_keys_leaves_few_entries_and_few_proofs(store, inbox):
    """Whoever signs in with a new key each time fills neither journal nor tables."""
    for start in range(0, 300, 100):
        inbox([auth("n1", key=f"key {n}", act="denied") for n in range(start, start + 100)])
    assert len(refused(store)) == MOST_OF_NODE + 1
    assert len(store.rows("proofs")) <= 8


def test_an_empty_file_in_the_key_store_stops_nothing(store, inbox, keys):
    """A batch that always fails would be handed in for ever."""
    keys.held[:] = [MinionKey(node="n1", public_key=" ", accepted=True)]
    inbox([auth("n1")])
    assert "does not hold it" in refused(store)[0]


def test_a_sign_in_for_a_key_that_is_not_there_is_journalled_as_refused(store, inbox, keys):
    """Whoever forges Salt's own event leaves a trace; a real sign-in leaves none of this kind."""
    inbox([auth("n1")])
    assert store.count("inbox") == 0
    keys.revoke("n1")
    inbox([auth("n1"), auth("nobody")])
    with store.write() as tx:
        (found,) = tx.inbox_take(10)
    assert (found.node, found.name, found.source) == ("n1", "key_refused", "bus")
    assert "does not hold it" in found.data["refused"]
    assert PROOF not in str(found)


def test_returned_jobs_are_looked_up(inbox, pokes):
    """The hint names the job; its result is read from the job cache by who looks."""
    inbox([hint_of("salt/job/20261123000102000007/ret/n1", {}, 1.0)])
    assert ["20261123000102000007"] in pokes


def test_a_start_is_journalled_as_a_hint(store, inbox):
    """It has a name of its own and moves nothing."""
    inbox([hint_of("salt/minion/n1/start", {"_stamp": "1"}, 1.0)])
    with store.write() as tx:
        (found,) = tx.inbox_take(10)
    assert (found.name, found.source) == ("minion_started", "bus")


def test_serving_ends_when_it_is_told_to(store, tmp_path):
    """The conductor is set to work once, and the reader is stopped at the end."""

    class Hosted(Conductor):
        class world:  # noqa: N801 - what the host looks at
            jobs: ClassVar = {}
            keys = None

    started, stop = [], threading.Event()
    stop.set()
    opts = {"sock_dir": str(tmp_path), "ipc_mode": "ipc"}
    serve(store, Hosted(store, []), opts, start=lambda: started.append(True), stop=stop)
    assert started == [True]
