"""Scoped, expiring tokens of people and programs. The secret is shown once; only a keyed hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from racksalt.conductor.ports import Clock
from racksalt.model.errors import ForbiddenError, InvalidInputError, NotFoundError
from racksalt.store import Store
from racksalt.store.tables import tokens

PREFIX = "rsk_"
SCOPES = {
    "topology:read": "Read nodes, racks, zones, networks, configuration.",
    "audit:read": "Read the journal.",
    "power:write": "Switch nodes on and off.",
    "node:write": "Approve, commission, install, reinstall, release, retire, recover.",
    "token:write": "Create and revoke tokens.",
}
LONGEST_S = 366 * 86400
UNTOLD = ("secret_hash", "last_used_at")
"""What no list of tokens has: the hash is nobody's business, and when a token was used is not written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks: a token's name and what it may do, until ``expires_at``."""

    id: str
    name: str
    scopes: frozenset[str]
    expires_at: float

    def require(self, scope: str) -> None:
        """Raise ForbiddenError unless the token has the scope."""
        if scope not in self.scopes:
            raise ForbiddenError(
                f"token {self.name!r} lacks the scope {scope!r}", "ask for a token that has it"
            )


class Access:
    """Creates, checks and revokes tokens."""

    def __init__(self, store: Store, clock: Clock, pepper: bytes) -> None:
        self.store, self.clock, self._pepper = store, clock, pepper

    def create(
        self, name: str, scopes: Sequence[str], expires_in_s: float, created_by: str
    ) -> dict[str, Any]:
        """Create a token; ``secret`` in the answer is the only copy there will ever be.

        Raises:
            InvalidInputError: unknown scope, no scope, no name or an expiry outside 1 s to 366 days.
        """
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise InvalidInputError(
                f"unknown scopes: {', '.join(unknown) or 'none given'}", f"use {', '.join(SCOPES)}"
            )
        if not name or len(name) > 128:
            raise InvalidInputError(
                "a token needs a name of 1 to 128 characters", "say who will use it"
            )
        if not 0 < expires_in_s <= LONGEST_S:
            raise InvalidInputError(
                f"expires_in_s={expires_in_s} is out of range", f"1 to {LONGEST_S} seconds"
            )
        token, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = {
            "id": token,
            "name": name,
            "secret_hash": self._hash(secret),
            "scopes": sorted(set(scopes)),
            "created_at": self.clock(),
            "created_by": created_by,
            "expires_at": self.clock() + expires_in_s,
        }
        with self.store.write() as tx:
            tx.insert(tokens, [row])
        return {
            **{k: v for k, v in row.items() if k != "secret_hash"},
            "secret": f"{PREFIX}{token}.{secret}",
        }

    def revoke(self, token: str) -> dict[str, Any]:
        """Revoke a token; NotFoundError for one that does not exist.

        Who looks a token up refuses it at once. GraphQL remembers for 3 s that one was good: a request with it may
        succeed for so long, and a subscription goes on for up to 8 s.
        """
        with self.store.write() as tx:
            if not tx.change(tokens, {"id": token}, revoked_at=self.clock()):
                raise NotFoundError(f"no token {token!r}", "`token list` shows them")
        return {"id": token, "revoked": True}

    def listed(self) -> list[dict[str, Any]]:
        """Return all tokens without their secrets."""
        return [
            {k: v for k, v in row.items() if k not in UNTOLD} for row in self.store.rows("tokens")
        ]

    def principal(self, bearer: str) -> Principal:
        """Return who a bearer token is.

        Raises:
            ForbiddenError: malformed, unknown, revoked or expired; the message does not tell which of the first two.
        """
        token, _, secret = bearer.removeprefix(PREFIX).partition(".")
        row = self.store.token(token) if bearer.startswith(PREFIX) and secret else None
        # Hash in any case, so that the time taken does not tell whether the id exists.
        given = self._hash(secret)
        if row is None or not hmac.compare_digest(given, row["secret_hash"]):
            raise ForbiddenError(
                "the token is not valid", "create one with `racksalt token create`"
            )
        if row["revoked_at"] is not None:
            raise ForbiddenError(f"token {row['name']!r} is revoked", "ask for another")
        if row["expires_at"] <= self.clock():
            raise ForbiddenError(f"token {row['name']!r} is expired", "ask for another")
        return Principal(
            id=row["id"],
            name=row["name"],
            scopes=frozenset(row["scopes"]),
            expires_at=row["expires_at"],
        )

    def _hash(self, secret: str) -> str:
        return hmac.new(self._pepper, secret.encode(), hashlib.sha256).hexdigest()
