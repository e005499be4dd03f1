"""Boot tokens and enrolment proofs."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from racksalt.boot import tokens
from racksalt.model.errors import InvalidInputError, ProofError
from racksalt.model.node import Boot

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_000_000.0
KEY = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----"
OTHER_KEY = KEY.replace("MIIB", "MIIC")


def a_boot(node="n1", generation=3, environment="live", **changes):
    """Build a boot that is good for 600 s from NOW."""
    boot = Boot(
        node=node,
        generation=generation,
        environment=environment,
        issued_at=NOW,
        expires_at=NOW + 600,
    )
    return replace(boot, **changes)


def proof_of(boot, key=KEY, node=None, secret=SECRET):
    """Make the proof as the booted environment does."""
    token = tokens.derive(secret, boot.node, boot.generation, boot.environment)
    return tokens.proof(token, node or boot.node, key)


def check(given, boots, *, node="n1", key=KEY, now=NOW + 1):
    """Check a proof with the test's secret and clock."""
    return tokens.check_proof(SECRET, node, boots, given=given, public_key=key, now=now)


def test_a_token_is_the_hmac_that_the_reference_says():
    """The token is HMAC-SHA256 over node, generation and environment, in hex."""
    expected = hmac.new(SECRET, b"n1|3|live", hashlib.sha256).hexdigest()
    assert tokens.derive(SECRET, "n1", 3, "live") == expected


@pytest.mark.parametrize(
    ("node", "generation", "environment"),
    [("n2", 3, "live"), ("n1", 4, "live"), ("n1", 3, "installer")],
)
def test_each_boot_has_its_own_token(node, generation, environment):
    """Another node, boot or environment gives another token."""
    assert tokens.derive(SECRET, node, generation, environment) != tokens.derive(
        SECRET, "n1", 3, "live"
    )


def test_a_short_secret_is_refused():
    """A secret that can be guessed never makes a token."""
    with pytest.raises(InvalidInputError, match="at least 16"):
        tokens.derive(b"short", "n1", 3, "live")


def test_line_ends_and_outer_white_space_do_not_change_a_key():
    """The same key written by another system is the same key."""
    dos = "\r\n" + KEY.replace("\n", "\r\n") + "\r\n"
    assert tokens.normalise_key(dos) == KEY
    assert (
        tokens.key_sha256(dos) == tokens.key_sha256(KEY) == hashlib.sha256(KEY.encode()).hexdigest()
    )


def test_the_right_proof_names_the_boot_that_vouches():
    """A proof made with the token of one of several boots is credited to that boot."""
    boots = [a_boot(generation=2), a_boot(generation=3), a_boot(generation=3, environment="local")]
    assert check(proof_of(boots[2]), boots) == boots[2]


def test_a_redeemed_proof_is_good_again_for_the_same_key():
    """A crash between redeeming and accepting strands nobody."""
    boot = a_boot(redeemed_at=NOW, key_sha256=tokens.key_sha256(KEY))
    assert check(proof_of(boot), [boot]) == boot


@pytest.mark.parametrize(
    ("given", "boots", "why"),
    [
        (proof_of(a_boot()), [], "no boot vouches for n1"),
        (proof_of(a_boot("n2")), [a_boot("n2")], "no boot vouches for n1"),
        (proof_of(a_boot()), [a_boot(expires_at=NOW)], "expired 1 s ago"),
        ("0" * 64, [a_boot(expires_at=NOW)], "expired 1 s ago"),
        (
            proof_of(a_boot()),
            [a_boot(redeemed_at=NOW, key_sha256=tokens.key_sha256(OTHER_KEY))],
            "already redeemed by another key",
        ),
        (proof_of(a_boot(generation=2)), [a_boot()], "does not match"),
        (proof_of(a_boot(), secret=b"x" * 32), [a_boot()], "does not match"),
        (proof_of(a_boot(), key=OTHER_KEY), [a_boot()], "does not match"),
        (proof_of(a_boot(), node="n2"), [a_boot()], "does not match"),
        (proof_of(a_boot()).upper(), [a_boot()], "not a SHA-256"),
        ("é" * 64, [a_boot()], "not a SHA-256"),
        ("", [a_boot()], "not a SHA-256"),
    ],
)
def test_a_proof_is_refused_with_the_reason(given, boots, why):
    """Whatever is wrong with a proof, the error says it."""
    with pytest.raises(ProofError, match=why):
        check(given, boots)


def test_an_empty_key_is_refused():
    """A proof over nothing proves nothing."""
    boot = a_boot()
    with pytest.raises(ProofError, match="public key is empty"):
        check(proof_of(boot), [boot], key=" \r\n ")


def test_no_refusal_repeats_a_token_or_proof():
    """Secrets never reach an error's text."""
    boot = a_boot()
    given = proof_of(boot, key=OTHER_KEY)
    with pytest.raises(ProofError) as caught:
        check(given, [boot])
    token = tokens.derive(SECRET, "n1", 3, "live")
    assert token not in str(caught.value)
    assert given not in str(caught.value)
