"""Which pending keys are vouched for: all the ways to get in without a token of one's own."""

from __future__ import annotations

import pytest

from racksalt.boot.tokens import derive, key_sha256, proof
from racksalt.conductor.enrolment import AGAIN_S, PATIENCE_S, KeyCheck
from racksalt.conductor.handle import handle
from racksalt.conductor.ports import MinionKey
from tests.support.builders import NOW, a_boot, a_node, the_rules
from tests.support.fakes import FakeClock

SECRET = b"a boot secret of the tests, 32 b"
KEY, OTHER = (
    "-----BEGIN PUBLIC KEY-----\nAAA\n-----END-----",
    "-----BEGIN PUBLIC KEY-----\nBBB\n-----END-----",
)


@pytest.fixture
def site(sqlite_store):
    """n1 waits in the live environment of boot 2, n2 in that of boot 1; both took their scripts."""
    with sqlite_store.write() as tx:
        tx.add_nodes(
            [
                a_node("n1", "commissioning", boot=2, boot_environment="live", approved=True),
                a_node("n2", "commissioning", boot=1, boot_environment="live", approved=True),
            ]
        )
        tx.put(
            [
                a_boot("n1", 1, taken_by="10.0.0.1"),
                a_boot("n1", 2, taken_by="10.0.0.1"),
                a_boot("n2", 1, taken_by="10.0.0.2"),
            ]
        )
    return sqlite_store


@pytest.fixture
def check(site):
    """The check, over a clock of the test's."""
    return KeyCheck(site, FakeClock(), SECRET)


def seen(store, given, node="n1", key=KEY):
    """Write down a proof that came over the bus."""
    row = {"node": node, "key_sha256": key_sha256(key), "proof": given, "seen_at": NOW}
    with store.write() as tx:
        tx.proofs_put([row])


def good(node="n1", boot=2, key=KEY, environment="live"):
    """Return the proof that a booted system makes."""
    return proof(derive(SECRET, node, boot, environment), node, key)


def pending(node="n1", key=KEY):
    """Return a key that waits."""
    return MinionKey(node=node, public_key=key, accepted=False)


def test_a_booted_node_gets_in(site, check):
    """Token, node, key, state and environment fit."""
    seen(site, good())
    (event,) = check.events([pending()])
    assert (event.name, event.node, event.source) == ("key_proven", "n1", "keys")
    proof_of = {"key_sha256": key_sha256(KEY), "generation": 2, "environment": "live"}
    assert event.data == {"boot": 2, **proof_of}, (
        "a node that is on another boot by then takes no old key"
    )


def test_line_ends_do_not_matter(site, check):
    """The key store may have the key with other white space around it."""
    seen(site, good())
    assert check.events([pending(key=KEY.replace("\n", "\r\n") + "\n")])[0].name == "key_proven"


HOSTILE = {
    "replayed token of an earlier boot": (lambda: good(boot=1), "n1", KEY, "does not match"),
    "token of another node": (lambda: good("n2", 1), "n1", KEY, "does not match"),
    "another node's id in the proof": (
        lambda: proof(derive(SECRET, "n1", 2, "live"), "n2", KEY),
        "n1",
        KEY,
        "does not match",
    ),
    "right token, another key": (lambda: good(key=OTHER), "n1", KEY, "does not match"),
    "token of another environment": (
        lambda: good(environment="installer"),
        "n1",
        KEY,
        "does not match",
    ),
    "made-up proof": (lambda: "0" * 64, "n1", KEY, "does not match"),
    "no hexadecimal": (lambda: "é" * 64, "n1", KEY, "is not a SHA-256"),
    "too short": (lambda: good()[:63], "n1", KEY, "is not a SHA-256"),
    "upper case": (lambda: good().upper(), "n1", KEY, "is not a SHA-256"),
    "unknown node": (lambda: good("ghost", 1), "ghost", KEY, "no boot vouches for ghost"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nobody_else_gets_in(site, check, case):
    """Each attempt is refused, with its reason in the journal and no secret in it."""
    given, node, key, why = HOSTILE[case]
    seen(site, given(), node, key)
    (event,) = check.events([pending(node, key)])
    assert event.name == "key_refused"
    with site.write() as tx:
        (outcome,) = handle(tx, [event], the_rules(), NOW)
    assert outcome.entry.kind == "refused"
    assert why in outcome.entry.message
    assert derive(SECRET, "n1", 2, "live") not in str(outcome.entry)


def test_an_expired_token_is_refused(site, check):
    """Whoever comes too late boots again; the journal tells it once, not every second."""
    seen(site, good())
    check.clock.pass_(3601)
    first = check.events([pending()])
    check.clock.pass_(60)
    again = check.events([pending()])
    assert "expired" in first[0].data["refused"]
    assert first[0].id == again[0].id


def test_a_token_that_was_redeemed_is_of_no_use_with_a_new_key(site, check):
    """A known id with a new key: whoever knows the token after the fact cannot replace the key."""
    with site.write() as tx:
        tx.put([a_boot("n1", 2, redeemed_at=NOW, key_sha256=key_sha256(KEY))])
    seen(site, good(key=OTHER), key=OTHER)
    seen(site, good())
    refused, proven = check.events([pending(key=OTHER), pending()])
    assert "already redeemed by another key" in refused.data["refused"]
    assert proven.name == "key_proven"


def test_a_key_without_a_proof_is_refused_after_a_while(check):
    """The proof may come a moment after the key; without one, nobody vouches for it."""
    assert check.events([pending()]) == []
    check.clock.pass_(PATIENCE_S - 1)
    assert check.events([pending()]) == []
    check.clock.pass_(2)
    (event,) = check.events([pending()])
    assert "came without a proof" in event.data["refused"]


def test_patience_begins_anew_for_a_key_that_went_and_came(check):
    """What was deleted and asks again is another attempt."""
    check.events([pending()])
    check.clock.pass_(PATIENCE_S + 1)
    check.events([])
    assert check.events([pending()]) == []


@pytest.mark.parametrize("state", ["discovering", "discovered", "declared"])
def test_a_machine_that_nobody_approved_waits(site, check, state):
    """Its token is good, but the key stays pending until somebody approves it."""
    with site.write() as tx:
        tx.add_nodes([a_node("n3", state, boot=1, boot_environment="live")])
        tx.put([a_boot("n3", 1)])
    seen(site, good("n3", 1), "n3")
    assert check.events([pending("n3")]) == []


@pytest.mark.parametrize("state", ["enrolling", "booting"])
def test_the_installed_system_enrols_with_the_token_of_its_installer(site, check, state):
    """The newest enrolment boot counts; a boot without a token of its own does not."""
    with site.write() as tx:
        tx.add_nodes([a_node("n4", state, boot=6, boot_environment="local", approved=True)])
        tx.put(
            [
                a_boot("n4", 3, "local"),
                a_boot("n4", 5, "local"),
                a_boot("n4", 5, "installer"),
                a_boot("n4", 6, "local", expires_at=NOW - 60),
            ]
        )
    for generation, environment, name in (
        (5, "local", "key_proven"),
        (3, "local", "key_refused"),
        (5, "installer", "key_refused"),
        (6, "local", "key_refused"),
    ):
        seen(site, good("n4", generation, environment=environment), "n4")
        assert check.events([pending("n4")])[0].name == name, (generation, environment)


def test_an_empty_key_is_nobodys(site, check):
    """A file without a key in the store stops nothing."""
    seen(site, good())
    assert [e.name for e in check.events([pending("n2", " \n"), pending()])] == ["key_proven"]


def test_ten_thousand_strangers_cost_two_looks(site, check):
    """The number of questions to the database does not grow with the number of keys."""
    from sqlalchemy import event

    seen_statements = []
    event.listen(site.engine, "before_cursor_execute", lambda *a: seen_statements.append(a[2]))
    check.events([pending(f"stranger{n}") for n in range(500)])
    assert len([s for s in seen_statements if s.startswith("SELECT") and "FROM" in s]) <= 3


def test_the_answer_counts_once(site, check):
    """The sweep finds the same key again and again: one transition."""
    seen(site, good())
    for _ in range(3):
        with site.write() as tx:
            handle(tx, check.events([pending()]), the_rules(), NOW)
    assert [e.event for e in site.history("n1")] == ["key_proven"]
    assert site.boots("n1")[0].key_sha256 == key_sha256(KEY)


def test_a_key_that_salt_put_back_is_accepted_again(site, check):
    """Salt's master may store a key as pending at the very moment at which it is accepted."""
    seen(site, good())
    for passed in (0, 1, AGAIN_S + 1, AGAIN_S + 1.1):
        check.clock.now = NOW + passed
        with site.write() as tx:
            handle(tx, check.events([pending()]), the_rules(), NOW + passed)
    assert [e.event for e in site.history("n1")] == ["key_proven", "key_proven"]
