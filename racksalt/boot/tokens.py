"""Boot tokens and enrolment proofs.

A token is derived from the site's boot secret, the node and its boot, so no copy of it is ever
stored: whoever has the database alone cannot make one. A proof binds a token to one public key
(HMAC, RFC 2104; SHA-256, FIPS 180-4), so the token itself never travels to the Salt master and is
of no use with another key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from racksalt.model.errors import InvalidInputError, ProofError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from racksalt.model.node import Boot, BootEnvironment

SECRET_MIN_BYTES = 16
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


def derive(secret: bytes, node: str, generation: int, environment: BootEnvironment) -> str:
    """Return the token of one boot of one node: 64 hex digits, the same at every call.

    Raises InvalidInputError for a secret of less than 16 bytes: a guessable secret makes every
    token guessable.
    """
    if len(secret) < SECRET_MIN_BYTES:
        message = f"the boot secret has {len(secret)} bytes, which can be guessed"
        raise InvalidInputError(message, f"give at least {SECRET_MIN_BYTES} random bytes")
    # The separator can be in neither a node id nor an environment, so no two boots share one text.
    text = f"{node}|{generation}|{environment}"
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def same_token(expected: str, given: str) -> bool:
    """Say whether two tokens or proofs are equal, taking the same time for every wrong one."""
    return hmac.compare_digest(expected.encode(), given.encode())


def normalise_key(pem: str) -> str:
    """Return the public key as both sides sign it: Unix line ends, no white space at either end.

    Raises ProofError when nothing is left.
    """
    key = pem.replace("\r\n", "\n").strip()
    if not key:
        raise ProofError("the public key is empty", "let the minion make its key pair first")
    return key


def key_sha256(pem: str) -> str:
    """Return the hex SHA-256 of the normalised public key: what a redeemed token keeps of it."""
    return hashlib.sha256(normalise_key(pem).encode()).hexdigest()


def proof(token: str, node: str, public_key: str) -> str:
    """Return the proof that the holder of ``token`` vouches for this key: 64 hex digits."""
    text = f"{node}\n{normalise_key(public_key)}"
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


def check_proof(
    secret: bytes, node: str, boots: Iterable[Boot], *, given: str, public_key: str, now: float
) -> Boot:
    """Return the boot that vouches for this key of this node; raise ProofError when none does.

    ``boots`` are the boots whose tokens may vouch in the node's present state; those of other nodes
    count for nothing. ``given`` is the proof as received, ``now`` seconds since the epoch. The same
    proof for the same key may be checked again after it was redeemed (a crash between the two steps
    strands nobody) until it expires.
    """
    candidates = [boot for boot in boots if boot.node == node]
    if not candidates:
        message = f"no boot vouches for {node}: racksalt asked for none that could enrol it now"
        raise ProofError(message, "start the node through racksalt (commission, install, recover)")
    if not _HEX_SHA256.fullmatch(given):
        message = f"the proof of {node} is not a SHA-256 in 64 lower-case hex digits"
        raise ProofError(message, "see the enrolment section of the boot API reference")
    for boot in candidates:
        token = derive(secret, node, boot.generation, boot.environment)
        if same_token(proof(token, node, public_key), given):
            _refuse_spent(boot, key_sha256(public_key), now)
            return boot
    for boot in candidates:
        if boot.expires_at <= now:
            continue
        message = (
            f"the proof of {node} does not match: it was made with another token, key or node id"
        )
        raise ProofError(message, "let the node boot again; if it repeats, look for an imposter")
    raise _expired(candidates[-1], now)


def _refuse_spent(boot: Boot, key: str, now: float) -> None:
    """Raise ProofError when the boot's token was redeemed by another key or its time is over."""
    if boot.redeemed_at is not None and boot.key_sha256 != key:
        boot_of = f"boot {boot.generation} of {boot.node}"
        message = f"the token of {boot_of} was already redeemed by another key"
        raise ProofError(message, "let the node boot again; if it repeats, look for an imposter")
    if boot.expires_at <= now:
        raise _expired(boot, now)


def _expired(boot: Boot, now: float) -> ProofError:
    """Return the error for a token whose time is over."""
    late_s = round(now - boot.expires_at)
    message = f"the token of boot {boot.generation} of {boot.node} expired {late_s} s ago"
    return ProofError(message, "let the node boot again, each boot brings a new token")
