"""Whoever fills a node's places in the key store, or its places among the proofs, does not keep it out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.boot.tokens import derive, key_sha256, proof
from racksalt.conductor.enrolment import MAKE_WAY_S, PATIENCE_S, Claim, KeyCheck
from racksalt.conductor.handle import handle
from racksalt.conductor.pace import FULL_LOOK_S
from racksalt.conductor.ports import MinionKey
from racksalt.conductor.sweeps import KeySweep
from tests.support.builders import NOW, a_boot, a_node, the_rules
from tests.support.fakes import FakeClock, FakeKeys, FakeWorld

SECRET = b"a boot secret of the tests, 32 b"
KEY, FIRST, SECOND = (f"-----BEGIN PUBLIC KEY-----\n{n}\n-----END-----" for n in "ABC")


@pytest.fixture
def site(store):
    """n1 waits in the live environment of its first boot."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", "commissioning", boot=1, boot_environment="live")])
        tx.put([a_boot("n1", 1, taken_by="10.0.0.1")])
    return store


@pytest.fixture
def check(site):
    """The check, over a clock of the test's."""
    return KeyCheck(site, FakeClock(), SECRET)


@pytest.fixture
def keys():
    """A key store in which two strangers hold both places of n1."""
    keys = FakeKeys()
    keys.offer("n1", FIRST)
    keys.offer("n1", SECOND)
    return keys


def claim(key=KEY, node="n1", given=None):
    """Return a sign-in; with the right proof unless another is given."""
    right = proof(derive(SECRET, node, 1, "live"), node, key)
    return Claim(node, key, right if given is None else given)


def test_a_vouched_key_that_found_no_place_gets_one(site, check, keys):
    """The strangers' keys go, and the journal says so; the next sign-in gets in."""
    events = check.make_way(keys, [claim()])
    assert keys.get("n1") == []
    with site.write() as tx:
        (outcome,) = handle(tx, events, the_rules(), NOW)
    assert outcome.entry.kind == "refused"
    assert "another key was squatting" in outcome.entry.message
    keys.offer("n1", KEY)
    assert [one.name for one in check.events(keys.pending())] == ["key_proven"]


@pytest.mark.parametrize(
    "hostile",
    [
        claim(given="0" * 64),
        claim(given=""),
        claim(KEY, given=claim(FIRST).proof),
        Claim("n1", " \n", "0" * 64),
        claim(node="ghost"),
    ],
)
def test_nobody_else_clears_anything(check, keys, hostile):
    """A proof that does not fit its key, or no proof, moves no key."""
    assert check.make_way(keys, [hostile]) == []
    assert len(keys.get("n1")) == 2


def test_a_key_that_has_its_place_is_left_there(check, keys):
    """It is accepted beside the strangers'; an accepted key stays in any case."""
    keys.held[1] = MinionKey(node="n1", public_key=KEY, accepted=False)
    assert check.make_way(keys, [claim()]) == []
    keys.held[:] = [MinionKey(node="n1", public_key=FIRST, accepted=True)]
    assert check.make_way(keys, [claim()]) == []
    assert keys.log == []


def test_way_is_made_now_and_then_only(check, keys):
    """A node that signs in without end does not keep the key store busy."""
    assert check.make_way(keys, [claim(), claim()])
    keys.offer("n1", FIRST)
    assert check.make_way(keys, [claim()]) == []
    check.clock.pass_(MAKE_WAY_S)
    assert check.make_way(keys, [claim()])
    assert [what for what, *_ in keys.log] == ["clear", "clear"]


def test_a_flood_of_wrong_proofs_does_not_drive_out_the_right_one(site, check, keys):
    """Neither many proofs for other keys nor a wrong one for the same key makes a good key wait."""
    check.make_way(keys, [claim()])
    wrong = [(KEY, "0" * 64), *((f"key {n}", "1" * 64) for n in range(20))]
    with site.write() as tx:
        tx.proofs_put(
            [
                {"node": "n1", "key_sha256": key_sha256(key), "proof": one, "seen_at": NOW + 1}
                for key, one in wrong
            ]
        )
    (event,) = check.events([MinionKey(node="n1", public_key=KEY, accepted=False)])
    assert event.name == "key_proven"


def test_a_proof_that_was_good_once_does_not_hide_a_newer_one(site, check, keys):
    """The node booted again: what counts is the token of its present boot."""
    check.make_way(keys, [claim()])
    with site.write() as tx:
        tx.put([a_boot("n1", 1, expires_at=NOW - 1), a_boot("n1", 2)])
        node = site.node("n1")
        tx.update_nodes(
            [(a_node("n1", "commissioning", boot=2, boot_environment="live"), node.version)]
        )
        newer = proof(derive(SECRET, "n1", 2, "live"), "n1", KEY)
        row = {"node": "n1", "key_sha256": key_sha256(KEY), "proof": newer, "seen_at": NOW}
        tx.proofs_put([row])
    (event,) = check.events([MinionKey(node="n1", public_key=KEY, accepted=False)])
    assert (event.name, event.data["generation"]) == ("key_proven", 2)


class CountingKeys(FakeKeys):
    """A key store that counts who looked through all of it."""

    full = 0

    def pending(self):
        """Return keys that wait."""
        self.full += 1
        return super().pending()


@pytest.fixture
def sweep(site):
    """A sweep over a key store that counts, and what it told."""
    world, told = FakeWorld(), []
    keys = CountingKeys()
    ports = replace(world.ports, keys=keys)
    check = KeyCheck(site, world.clock, SECRET)
    sweep = KeySweep(site, ports, lambda events: told.extend(e.node for e in events), check)
    return sweep, keys, world.clock, told


def test_a_hint_costs_a_look_at_its_node_alone(sweep):
    """Signing in without end does not make the sweep look through the whole store each time."""
    sweep, keys, clock, told = sweep
    sweep()
    for name in ("n1", "ghost"):
        keys.offer(name, FIRST)
    for _ in range(int(PATIENCE_S) * 4):
        sweep.hint(["n1"])
        sweep()
        clock.pass_(0.3)
    assert keys.full <= 1 + PATIENCE_S * 4 * 0.3 / FULL_LOOK_S
    clock.pass_(PATIENCE_S)
    sweep()
    assert set(told) == {"n1", "ghost"}
