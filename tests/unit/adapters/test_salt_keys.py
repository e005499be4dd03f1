"""The master's key store: exactly the proven key is accepted, whatever else lies there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import salt.cache
import salt.config
import salt.crypt

from racksalt.adapters.salt_keys import SaltKeys
from racksalt.conductor.ports import MinionKey
from racksalt.model.errors import ConflictError, InvalidInputError
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def pems():
    """Three public keys."""
    return [salt.crypt.gen_keys(2048)[1].strip() for _ in range(3)]


@pytest.fixture
def opts(tmp_path):
    """A master's options with an empty key store and no bus."""
    opts = salt.config.master_config(None)
    opts.update(
        pki_dir=str(tmp_path / "pki"),
        cachedir=str(tmp_path / "cache"),
        sock_dir=str(tmp_path / "sock"),
        user=None,
    )
    return opts


@pytest.fixture
def keys(opts):
    """The port under test."""
    return SaltKeys(opts)


@pytest.fixture
def store(opts):
    """Put keys where Salt's ``_auth`` puts them."""
    cache = salt.cache.Cache(opts, driver=opts["keys.cache_driver"])

    def put(node, pem, state="pending"):
        if state == "denied":
            cache.store("denied_keys", node, [pem])
        else:
            cache.store("keys", node, {"pub": pem, "state": state})

    return put


def test_pending_keys_are_listed_with_their_text(keys, store, pems):
    """Accepted and rejected keys do not wait; the text is as the minion signed it."""
    store("n1", pems[0] + "\r\n")
    store("n2", pems[1], "accepted")
    store("n3", pems[2], "rejected")
    assert keys.pending() == [MinionKey(node="n1", public_key=pems[0], accepted=False)]


def test_an_empty_store_has_no_keys(keys):
    """A fresh master has no folders yet."""
    assert keys.pending() == []
    assert keys.get("n1") == []


def test_the_proven_key_is_accepted_and_stays(keys, store, pems):
    """Twice is as good as once."""
    store("n1", pems[0])
    (waiting,) = keys.pending()
    keys.accept(waiting)
    keys.accept(waiting)
    assert keys.get("n1") == [MinionKey(node="n1", public_key=pems[0], accepted=True)]
    assert keys.pending() == []


def test_another_key_that_came_in_between_is_not_accepted(keys, store, pems):
    """What was proven is gone; what lies there now was not proven."""
    store("n1", pems[0])
    (proven,) = keys.pending()
    keys.revoke("n1")
    store("n1", pems[1])
    with pytest.raises(ConflictError):
        keys.accept(proven)
    assert [key.accepted for key in keys.get("n1")] == [False]


def test_a_vanished_key_is_not_accepted(keys, pems):
    """A key that nobody sent is no key."""
    with pytest.raises(ConflictError):
        keys.accept(MinionKey(node="n1", public_key=pems[0], accepted=False))
    assert keys.get("n1") == []


def test_an_accepted_key_is_never_replaced(keys, store, pems):
    """A known id with a new key waits until the old key was revoked."""
    store("n1", pems[0], "accepted")
    store("n1", pems[1], "denied")
    (waiting,) = keys.pending()
    with pytest.raises(ConflictError):
        keys.accept(waiting)
    assert keys.get("n1")[0] == MinionKey(node="n1", public_key=pems[0], accepted=True)


def test_whoever_was_first_under_a_name_does_not_keep_the_node_out(keys, store, pems):
    """Salt denies the second key of a name; the proven one of the two gets in all the same."""
    store("n1", pems[0])
    store("n1", pems[1], "denied")
    squatter, real = keys.get("n1")
    assert (squatter.public_key, real.public_key) == (pems[0], pems[1])
    keys.accept(real)
    assert keys.get("n1") == [MinionKey(node="n1", public_key=pems[1], accepted=True)]


def test_revoking_leaves_no_key_of_any_kind(keys, store, pems):
    """Accepted, denied and rejected keys are gone, other nodes' keys stay, and twice does no harm."""
    store("n1", pems[0], "accepted")
    store("n1", pems[1], "denied")
    store("n2", pems[2])
    keys.revoke("n1")
    keys.revoke("n1")
    store("n3", pems[0], "rejected")
    keys.revoke("n3")
    assert keys.get("n1") == []
    assert [key.node for key in keys.pending()] == ["n2"]
    store("n3", pems[0])
    assert [key.node for key in keys.pending()] == ["n2", "n3"]


def test_clearing_the_waiting_keys_leaves_the_accepted_one(keys, store, opts, pems):
    """Squatters go, whoever is in stays in, other nodes' keys stay, and twice does no harm."""
    store("n1", pems[0])
    store("n1", pems[1], "denied")
    store("n2", pems[0], "accepted")
    store("n2", pems[1], "denied")
    store("n3", pems[2])
    Path(opts["pki_dir"], "minions_pre", "n2").write_text(pems[2])
    for name in ("n1", "n2", "n2", "n9"):
        keys.clear_waiting(name)
    assert keys.get("n1") == []
    assert keys.get("n2") == [MinionKey(node="n2", public_key=pems[0], accepted=True)]
    assert [key.node for key in keys.pending()] == ["n3"]


def test_a_rejected_key_stays_rejected(keys, store, opts, pems):
    """An administrator's no is not cleared away."""
    store("n1", pems[0], "rejected")
    keys.clear_waiting("n1")
    assert Path(opts["pki_dir"], "minions_rejected", "n1").exists()


def test_listing_what_waits_does_not_look_at_what_is_accepted(keys, store, opts, pems, monkeypatch):
    """A site's accepted keys cost nothing, and Salt's loader is not asked at all."""
    for number in range(20):
        store(f"in{number}", pems[0], "accepted")
        store(f"out{number}", pems[1])
    looked = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path.name) or real(path))
    monkeypatch.setattr(salt.cache, "Cache", None)
    for _ in range(3):
        assert len(keys.pending()) == 20
    assert set(looked) == {"minions_pre", "minions_denied"}


def test_another_key_store_is_asked_through_salt(opts, pems):
    """What waits is found and cleared there as well."""
    opts["keys.cache_driver"] = "localfs"
    cache = salt.cache.Cache(opts, driver="localfs")
    for name, state in (("n1", "pending"), ("n2", "accepted")):
        cache.store("keys", name, {"pub": pems[0], "state": state})
        cache.store("denied_keys", name, [pems[1]])
    keys = elsewhere(opts, cache)
    assert [key.node for key in keys.pending()] == ["n1", "n1", "n2"]
    for name in ("n1", "n2"):
        keys.clear_waiting(name)
    assert keys.get("n1") == []
    assert [key.accepted for key in keys.get("n2")] == [True]


def elsewhere(opts, cache):
    """Return the port over a key store whose driver can list states, as Salt's own can."""
    keys = SaltKeys(opts)
    states = {name: {"state": cache.fetch("keys", name)["state"]} for name in ("n1", "n2")}
    cache.list_all = lambda bank: states
    keys._own.cache = cache
    return keys


def test_a_file_that_is_too_large_for_a_key_is_not_read(keys, store, opts, pems):
    """Whoever can reach the master can leave any number of bytes there."""
    store("n2", pems[0])
    Path(opts["pki_dir"], "minions_pre", "n1").write_text("x" * 1_000_000)
    assert [key.node for key in keys.pending()] == ["n2"]
    assert keys.get("n1") == []


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----"]
)
def test_what_is_no_rsa_key_is_refused(keys, store, text):
    """Salt could not use it, and would fail at every message."""
    store("n1", text)
    with pytest.raises(InvalidInputError, match="n1"):
        keys.accept(MinionKey(node="n1", public_key=text, accepted=False))


def test_junk_under_one_name_hides_no_other_key(keys, store, opts, pems):
    """Salt stores whatever a stranger sends as a key; racksalt steps over it, and can remove it."""
    store("n2", pems[0])
    for name, junk in (("a1", b""), ("a2", b"\xff\xfe"), ("a3", b"text")):
        path = Path(opts["pki_dir"], "minions_pre", name)
        path.write_bytes(junk)
    assert [key.node for key in keys.pending()] == ["a3", "n2"]
    for name in ("a1", "a2", "a3"):
        keys.revoke(name)
    assert [path.name for path in Path(opts["pki_dir"], "minions_pre").iterdir()] == ["n2"]


@pytest.mark.parametrize("name", ["../master.pem", "a/b", ""])
def test_names_that_are_paths_reach_nothing(keys, opts, name):
    """A node id never leads out of the key store."""
    assert keys.get(name) == []
    keys.revoke(name)
    keys.clear_waiting(name)
    assert Path(opts["pki_dir"]).parent.is_dir()


def test_of_many_that_accept_at_once_one_key_wins(keys, store, pems):
    """Two conductors with two proofs of one name leave exactly one accepted key."""
    store("n1", pems[0])
    store("n1", pems[1], "denied")
    refused = []

    def accept(key):
        try:
            keys.accept(key)
        except ConflictError as error:
            refused.append(error)

    threads = [threading.Thread(target=accept, args=[key]) for key in keys.get("n1") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [key.accepted for key in keys.get("n1")].count(True) == 1
    assert len(refused) == 4
