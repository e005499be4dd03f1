"""What the bus reader hands in reaches the inbox and the proofs, and nothing else."""

from __future__ import annotations

import threading
from typing import ClassVar

import pytest

from racksalt.adapters.salt_hints import hint_of
from racksalt.adapters.salt_host import Inbox, serve
from tests.support.builders import a_node
from tests.support.databases import sqlite_store, sqlite_template  # noqa: F401 - fixtures
from tests.support.fakes import FakeKeys
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture

KEY = "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----"
PROOF = "a" * 64


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


@pytest.fixture
def inbox(store, pokes, keys):
    """The sink under test."""
    return Inbox(store, pokes.append, lambda jids: pokes.append(list(jids)), keys)


def auth(node, proof=PROOF):
    """Return the hint of a sign-in attempt."""
    grains = {"racksalt_proof": proof}
    return hint_of(
        "salt/auth", {"id": node, "pub": KEY, "act": "pend", "autosign_grains": grains}, 1.0
    )


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


def test_proofs_are_kept_for_known_nodes_alone(store, inbox, pokes):
    """A flood of made-up names fills no table; the key store is looked at in any case."""
    inbox([auth("n1"), auth("nobody"), auth("n1", proof="junk")])
    rows = store.rows("proofs")
    assert [(row["node"], row["proof"]) for row in rows] == [("n1", PROOF)]
    assert "keys" in pokes


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

    class Conductor:
        class world:  # noqa: N801 - what the host looks at
            jobs: ClassVar = {}
            keys = None

        poke = returned = connected = staticmethod(lambda *_: None)

    started, stop = [], threading.Event()
    stop.set()
    opts = {"sock_dir": str(tmp_path), "ipc_mode": "ipc"}
    serve(store, Conductor(), opts, start=lambda: started.append(True), stop=stop)
    assert started == [True]
