"""No key gets in but the one that a boot vouches for, and each attempt leaves a journal entry that says why."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import msgpack
import pytest

from racksalt.adapters.salt_jobs import SaltJobs
from racksalt.adapters.salt_keys import SaltKeys
from racksalt.boot.tokens import derive, key_sha256, proof
from racksalt.lab.minion_config import make_key_pair
from racksalt.lab.rack import Rack
from racksalt.store import tables
from tests.support.salt_daemons import Stranger, all_text, journal_of, pre_accept
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.timeout(240),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
# The firmware of these machines hangs, so that what signs in under their names is this test alone.
BOOTED = [
    f"{name}-never-boots"
    for name in (
        "good",
        "replayed",
        "expired",
        "foreign",
        "otherkey",
        "newkey",
        "unproven",
        "guessed",
        "victim",
        "squatted",
        "crowded",
    )
]
GOOD, REPLAYED, EXPIRED, FOREIGN, OTHERKEY, NEWKEY, UNPROVEN, GUESSED, VICTIM, SQUATTED, CROWDED = (
    BOOTED
)
IDLE = ("unvouched", "insider", "joker", "worker")
JID, LIVE = "20261123000102000007", "20261123000102000008"
DONE = {"test_|-a_|-a_|-nop": {"result": True, "changes": {}, "comment": "", "__run_num__": 0}}
"""What a stage's states return when all is well."""


@pytest.fixture(scope="module")
def rack():
    """A master with the conductor; its nodes were sent to boot, and their firmware hangs."""
    root = Path(tempfile.mkdtemp(prefix="rh-", dir="/tmp"))
    with Rack(root, conductor={"agent_poll_s": 5.0}) as rack:
        rack.use_nodes([*BOOTED, *IDLE])
        rack.start()
        yield rack
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def app(rack):
    """Commands and answers over the same database."""
    app = rack.open()
    app.operations.declare()
    assert not app.operations.run("commission", BOOTED, "test", goal="ready")["refused"]
    yield app
    app.close()


@pytest.fixture(scope="module")
def token(app):
    """Return the boot token that a node's present boot script carries."""

    def of(node):
        found = app.store.node(node)
        return derive(app.secrets.boot, node, found.boot, "live")

    return of


@pytest.fixture
def keys(rack):
    """The master's key store."""
    return SaltKeys(rack.master.opts)


@pytest.fixture
def stranger(rack):
    """Make somebody who signs in under a name."""
    return lambda node, pair=None: Stranger(rack.root / "x", rack.master.address, node, pair)


def refusal(app, node, words, timeout_s=40):
    """Wait for a journal entry of the node that refuses a key with these words; return it."""

    def found():
        entries = journal_of(app, node)
        return [one for one in entries if one.kind == "refused" and words in one.message]

    assert wait_for(found, timeout_s) is not None, [
        (e.kind, e.message) for e in journal_of(app, node)
    ]
    return found()[0]


def accepted(keys, node):
    """Return the digests of the node's accepted keys."""
    return [key_sha256(key.public_key) for key in keys.get(node) if key.accepted]


def test_the_right_token_with_the_right_key_gets_in(app, keys, stranger, token):
    """The gate opens for whom it should: otherwise the other tests would prove nothing."""
    node = stranger(GOOD)
    shown = proof(token(GOOD), GOOD, node.public)
    assert node.sign_in(shown) is True

    def is_in():
        # As a minion does: the bus may lose one sign-in, and the conductor's reader may not be there yet.
        return accepted(keys, GOOD) or (node.sign_in(shown), accepted(keys, GOOD))[1]

    assert wait_for(is_in, 60, every_s=2) is not None
    assert accepted(keys, GOOD) == [key_sha256(node.public)]
    assert node.sign_in() == "in"


@pytest.mark.parametrize("name", ["unvouched", "nobody-knows-me"])
def test_a_minion_that_no_boot_vouches_for_stays_out(app, keys, stranger, name):
    """Neither a known node that was not sent to boot nor a stranger gets in, whatever proof it brings."""
    node = stranger(name)
    node.sign_in("a" * 64)
    refusal(app, name, "no boot vouches")
    assert accepted(keys, name) == []


def test_a_replayed_token_stays_out(app, keys, stranger, token):
    """A token that was redeemed by one key is worth nothing to another, even after the first is gone."""
    first, second = stranger(REPLAYED), stranger(REPLAYED)
    first.sign_in(proof(token(REPLAYED), REPLAYED, first.public))
    assert wait_for(lambda: accepted(keys, REPLAYED), 40) is not None
    keys.revoke(REPLAYED)
    second.sign_in(proof(token(REPLAYED), REPLAYED, second.public))
    refusal(app, REPLAYED, "already redeemed by another key")
    assert accepted(keys, REPLAYED) == []


def test_an_expired_token_stays_out(app, keys, stranger, token):
    """A boot that came too late has to boot again."""
    with app.store.write() as tx:
        tx.change(tables.boots, {"node": EXPIRED}, expires_at=1.0)
    node = stranger(EXPIRED)
    node.sign_in(proof(token(EXPIRED), EXPIRED, node.public))
    refusal(app, EXPIRED, "expired")
    assert accepted(keys, EXPIRED) == []


def test_a_foreign_token_stays_out(app, keys, stranger, token):
    """Another node's token proves that other node."""
    node = stranger(FOREIGN)
    node.sign_in(proof(token(VICTIM), FOREIGN, node.public))
    refusal(app, FOREIGN, "does not match")
    assert accepted(keys, FOREIGN) == []


def test_the_right_token_with_another_key_stays_out(app, keys, stranger, token):
    """A proof that was overheard is of no use with one's own key."""
    real, thief = stranger(OTHERKEY), stranger(OTHERKEY)
    thief.sign_in(proof(token(OTHERKEY), OTHERKEY, real.public))
    refusal(app, OTHERKEY, "does not match")
    assert accepted(keys, OTHERKEY) == []


@pytest.mark.parametrize(
    ("name", "shown", "words"),
    [(NEWKEY, "b" * 64, "does not match"), (UNPROVEN, None, "without a proof")],
)
def test_a_known_id_with_a_new_key_stays_out(rack, app, keys, stranger, name, shown, words):
    """An accepted key is not replaced, with or without a proof."""
    old = make_key_pair()
    pre_accept(rack, name, old[1])
    assert stranger(name).sign_in(shown) is False
    refusal(app, name, words)
    assert accepted(keys, name) == [key_sha256(old[1])]


def test_a_forged_grain_stays_out(app, keys, stranger):
    """A guessed proof is refused as one; a key that brings none is refused as one without."""
    node = stranger(GUESSED)
    node.sign_in("0123456789abcdef" * 4)
    refusal(app, GUESSED, "does not match")
    keys.revoke(GUESSED)
    stranger(GUESSED).sign_in()
    refusal(app, GUESSED, "without a proof")
    assert accepted(keys, GUESSED) == []


def test_whoever_is_first_under_a_name_does_not_keep_the_node_out(app, keys, stranger, token):
    """A stranger's key under the node's name is refused; the node's own gets in beside it."""
    squatter, node = stranger(SQUATTED), stranger(SQUATTED)
    squatter.sign_in("c" * 64)
    refusal(app, SQUATTED, "does not match")
    assert node.sign_in(proof(token(SQUATTED), SQUATTED, node.public)) is False
    assert wait_for(lambda: accepted(keys, SQUATTED), 40) is not None
    assert accepted(keys, SQUATTED) == [key_sha256(node.public)]


def test_two_keys_under_a_name_do_not_keep_the_node_out(app, keys, stranger, token):
    """Salt has no room for a third key; the one that a boot vouches for gets in at its next try."""
    first, second, node = (stranger(CROWDED) for _ in range(3))
    first.sign_in("d" * 64)
    second.sign_in("e" * 64)
    good = proof(token(CROWDED), CROWDED, node.public)
    assert node.sign_in(good) is False
    refusal(app, CROWDED, "another key was squatting")
    assert node.sign_in(good) is True
    assert wait_for(lambda: accepted(keys, CROWDED), 40) is not None
    assert accepted(keys, CROWDED) == [key_sha256(node.public)]


@pytest.mark.timeout(60)
def test_a_return_that_the_master_stored_and_nobody_can_read_ends_one_stage(rack, stranger):
    """A time in the year 5 comes back as text that Salt refuses; its own reader would try for ever."""
    joker = stranger("joker")
    pre_accept(rack, "joker", joker.public)
    joker.give_back(JID, {"a": msgpack.ExtType(78, b"00050101T00:00:00.000000")})
    jobs = SaltJobs(rack.master.opts)
    assert wait_for(lambda: jobs.stored(JID, "joker"), 20) is not None
    (found,) = jobs.results([(JID, "joker"), (JID, "insider")])
    assert (found.node, found.ok) == ("joker", False)
    assert "cannot be decoded" in found.message


def test_events_forged_by_an_accepted_minion_let_nobody_in_and_move_nothing(
    rack, app, keys, stranger, token
):
    """A forged sign-in and forged node events are journalled for what they are."""
    insider, key = stranger("insider"), stranger(VICTIM).public
    pre_accept(rack, "insider", insider.public)
    before = app.store.node(VICTIM)
    sign_in = {"id": VICTIM, "act": "pend", "result": True, "pub": key.strip()}
    grains = {"racksalt_proof": proof(token(VICTIM), VICTIM, key)}
    names = ("key_proven", "agent_answered", "stage_succeeded", "power_lost")
    insider.fire(
        [
            {"tag": "salt/auth", "data": {**sign_in, "autosign_grains": grains}},
            *(
                {"tag": f"racksalt/node/{VICTIM}/event/{name}", "data": {"id": VICTIM, "data": {}}}
                for name in names
            ),
        ]
    )
    refusal(app, VICTIM, "does not hold it")

    def told():
        noted = [e for e in journal_of(app, VICTIM) if e.kind == "noted" and e.source == "bus"]
        return set(names) <= {e.event for e in noted if "hint from the event bus" in e.message}

    assert wait_for(told, 30) is not None, [(e.event, e.kind) for e in journal_of(app, VICTIM)]
    now = app.store.node(VICTIM)
    assert (now.state, now.stage, now.job) == (before.state, before.stage, before.job)
    assert accepted(keys, VICTIM) == []


def test_a_return_under_anothers_name_ends_no_stage(rack, app, stranger):
    """An accepted minion that knows another's running job returns it, and fires the event of that: nothing moves."""
    insider, worker = stranger("insider"), stranger("worker")
    for one in (insider, worker):
        pre_accept(rack, one.node, one.public)
    with app.store.write() as tx:
        at_work = {"state": "commissioning", "stage": "bios", "job": LIVE, "job_since": time.time()}
        tx.change(tables.nodes, {"id": "worker"}, **at_work)
    insider.give_back(LIVE, DONE, "worker")
    told = {"id": "worker", "jid": LIVE, "fun": "state.apply", "success": True, "retcode": 0}
    insider.fire([{"tag": f"salt/job/{LIVE}/ret/worker", "data": {**told, "return": DONE}}])
    assert SaltJobs(rack.master.opts).results([(LIVE, "worker")]) == []
    moved = wait_for(lambda: app.store.node("worker").stage != "bios", 8, every_s=0.5)
    assert moved is None, journal_of(app, "worker")[-1]
    # The same return by the one whose job it is: otherwise all this would prove nothing.
    worker.give_back(LIVE, DONE)
    done = wait_for(lambda: app.store.node("worker").stage == "raid", 40)
    assert done is not None, [(e.event, e.message) for e in journal_of(app, "worker")][-5:]


def test_no_token_is_in_a_log_or_in_the_database(rack, app, token):
    """After all that, no boot token was written anywhere."""
    text = all_text(rack.root)
    assert "key_refused" in text
    assert [node for node in BOOTED if token(node) in text] == []
