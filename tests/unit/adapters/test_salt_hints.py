"""One bus event, one hint or none: nothing in it can pass for more than a hint."""

from __future__ import annotations

import hashlib
import json

import pytest

from racksalt.adapters.salt_hints import DATA_BYTES, ID_CHARS, hint_of

KEY = "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----"
PROOF = "a" * 64
TAG = "racksalt/node/n1/event/moved"


def auth(**changes):
    """Return a payload of ``salt/auth``."""
    grains = {"racksalt_proof": PROOF}
    payload = {"id": "n1", "pub": KEY, "act": "pend", "result": True, "autosign_grains": grains}
    return {**payload, **changes}


def test_a_node_event_names_node_event_and_who_claims_to_have_sent_it():
    """The claimed sender is kept as the actor; the tag says which node it is about."""
    hint = hint_of(TAG, {"id": "n2", "data": {"rack": "r2"}}, 5.0)
    assert (hint.kind, hint.node, hint.name, hint.actor) == ("event", "n1", "moved", "n2")
    assert hint.data == {"rack": "r2"}
    assert hint.at == 5.0


def test_the_same_event_read_twice_has_one_id():
    """Two readers, or one that reconnects, make one journal entry."""
    payload = {"id": "n1", "data": {"a": 1}, "_stamp": "2026-11-23T01:00:00"}
    assert hint_of(TAG, payload, 1.0).id == hint_of(TAG, dict(reversed(payload.items())), 2.0).id


def test_two_events_with_the_same_content_have_two_ids():
    """The bus's time stamp tells a repeat from the same event read twice."""
    payload = {"id": "n1", "data": {"a": 1}}
    first, second = (hint_of(TAG, {**payload, "_stamp": stamp}, 1.0).id for stamp in ("1", "2"))
    assert first != second


def test_an_events_own_id_counts_for_its_node_alone():
    """Nobody can use up another node's event id, or that of a report or an effect."""
    mine = hint_of(TAG, {"data": {"event_id": "42"}}, 1.0)
    other = hint_of("racksalt/node/n2/event/moved", {"data": {"event_id": "42"}}, 1.0)
    assert mine.id == "bus:n1:42"
    assert other.id == "bus:n2:42"
    assert mine.data == {}


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, 7, None, ["a"], "a\n"])
def test_an_insane_event_id_is_not_used(given):
    """Anything but a short plain word is replaced by a digest of the event."""
    hint = hint_of(TAG, {"data": {"event_id": given}, "_stamp": "1"}, 1.0)
    assert hint.id.startswith("bus:n1:")
    assert len(hint.id) == len("bus:n1:") + 64


def test_ids_fit_their_column():
    """A node id of full length with a long event id still fits."""
    node = "n" * 253
    hint = hint_of(f"racksalt/node/{node}/event/moved", {"data": {"event_id": "x" * 128}}, 1.0)
    assert len(hint.id) <= ID_CHARS


def test_a_proof_hint_has_the_key_and_its_digest():
    """The key is normalised as the boot tokens do, so that digests compare."""
    hint = hint_of("salt/auth", auth(pub=KEY.replace("\n", "\r\n") + "\n"), 1.0)
    assert (hint.kind, hint.node) == ("proof", "n1")
    assert hint.data["public_key"] == KEY
    assert hint.data["key_sha256"] == hashlib.sha256(KEY.encode()).hexdigest()
    assert hint.data["proof"] == PROOF
    assert hint.data["act"] == "pend"


def test_the_same_attempt_has_one_id_however_often_it_is_repeated():
    """A waiting minion asks every few seconds; that is one hint."""
    first = hint_of("salt/auth", auth(_stamp="1"), 1.0)
    assert hint_of("salt/auth", auth(_stamp="2"), 9.0).id == first.id
    assert hint_of("salt/auth", auth(act="denied"), 9.0).id != first.id


@pytest.mark.parametrize(
    "grains", [None, {}, {"racksalt_proof": 7}, {"racksalt_proof": "A" * 64}, "x"]
)
def test_an_attempt_without_a_sane_proof_has_none(grains):
    """It is still told, for the key store is looked at then."""
    assert hint_of("salt/auth", auth(autosign_grains=grains), 1.0).data["proof"] == ""


@pytest.mark.parametrize(
    "payload",
    [
        auth(id="../etc"),
        auth(id="UPPER"),
        auth(id=None),
        auth(pub=None),
        auth(pub="k" * 20_000),
        auth(act="accept"),
        "text",
        None,
    ],
)
def test_attempts_that_cannot_concern_a_node_are_dropped(payload):
    """Bad names, no key, oversized keys and minions that are in already are no hints."""
    assert hint_of("salt/auth", payload, 1.0) is None


def test_starts_and_returns_are_told():
    """A start and a returned job are hints to look, each with the name in its tag."""
    started = hint_of("salt/minion/n1/start", {"id": "n2"}, 1.0)
    returned = hint_of("salt/job/20261123000102000007/ret/n1", {"id": "n1", "return": 1}, 1.0)
    assert (started.kind, started.node) == ("started", "n1")
    assert (returned.kind, returned.node) == ("returned", "n1")
    assert returned.data == {"jid": "20261123000102000007"}


@pytest.mark.parametrize(
    "tag", ["salt/job/1/ret/n1", "salt/key", "racksalt/node/n1/state/ready", "x", ""]
)
def test_everything_else_is_nothing(tag):
    """Other tags, racksalt's own announcements among them, are no hints."""
    assert hint_of(tag, {"id": "n1"}, 1.0) is None


def test_large_and_odd_data_is_bounded():
    """What is kept can be written as JSON and has an end."""
    large = hint_of(TAG, {"data": {"a": "x" * (DATA_BYTES + 1)}}, 1.0)
    assert set(large.data) == {"truncated_bytes"}
    odd = hint_of(TAG, {"data": {"a": b"\xff", "b": {1, 2}}}, 1.0)
    assert all(isinstance(value, str) for value in odd.data.values())


@pytest.mark.parametrize("key", ["refused", "noted", "effects"])
def test_an_event_cannot_choose_its_journal_entry(key):
    """What racksalt says of its own decisions is taken out of what others send."""
    hint = hint_of(TAG, {"data": {key: "by the operator", "rack": "r2"}}, 1.0)
    assert hint.data == {"rack": "r2"}


def nested(depth):
    """Return a list in a list, and so on."""
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "data",
    [
        {b"bytes": 1},
        {1: 1, "a": 2, None: 3},
        {"a": float("nan"), "b": float("-inf")},
        {"a": nested(500)},
        {"a": "half \ud800 and \x00", "\x00": 1},
        {"a": 2**80, "b": {"c": (1, b"\xff")}},
    ],
)
def test_whatever_is_sent_can_be_kept_by_any_database(data):
    """Odd keys, numbers that are none, deep nests and broken text stop neither reader nor writer."""
    hint = hint_of(TAG, {"id": "n\x00\n2", "data": data}, 1.0)
    text = json.dumps(hint.data, allow_nan=False)
    assert "\\u0000" not in text
    assert "\\ud800" not in text
    assert hint.actor == "n2"
    assert hint.id == hint_of(TAG, {"id": "n\x00\n2", "data": data}, 2.0).id


def test_a_key_that_is_no_text_is_no_hint():
    """A public key is ASCII; its digest can be taken."""
    assert hint_of("salt/auth", auth(pub="\ud800"), 1.0) is None
