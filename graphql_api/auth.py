"""Who asks: a bearer token becomes a caller with scopes. Nothing is answered without one.

A token is looked up in the store at most once in ``TTL_S``, so a revoked or expired one is refused that much later
at the latest; what a subscription sends is checked again in the same rhythm.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from racksalt.model.errors import ForbiddenError, RacksaltError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TTL_S = 3.0
KEPT = 4096
TOKEN_LIMIT = 512
"""Longest bearer text that is looked at, in characters."""

TOPOLOGY_READ = "topology:read"
POWER_WRITE = "power:write"
NODE_WRITE = "node:write"
AUDIT_READ = "audit:read"
TOKEN_WRITE = "token:write"  # noqa: S105 - the name of a scope
SCOPES = (TOPOLOGY_READ, POWER_WRITE, NODE_WRITE, AUDIT_READ, TOKEN_WRITE)


class Principals(Protocol):
    """What is asked who a token belongs to (racksalt.conductor.operations)."""

    def principal(self, bearer_text: str) -> Any:
        """Return an object with id, name and scopes; raises ForbiddenError for a token that is not good."""
        ...


class UnauthenticatedError(Exception):
    """There is no token, or it is not good (any more)."""

    code = "UNAUTHENTICATED"


class LookUpError(Exception):
    """A token could not be looked up. The cause is for the log alone: nobody knows yet who is told of it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a good token."""

    id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the token carries the scope."""
        return scope in self.scopes


class Gate:
    """Turns bearer tokens into callers, with a short memory for both outcomes."""

    def __init__(self, principals: Principals, clock: Callable[[], float] = time.monotonic) -> None:
        self._principals = principals
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()

    async def caller(self, bearer: str | None) -> Caller:
        """Return who holds this token; raises UnauthenticatedError, or LookUpError when nobody can tell."""
        if not bearer or len(bearer) > TOKEN_LIMIT:
            raise UnauthenticatedError("a bearer token is needed")
        key = hashlib.sha256(bearer.encode()).digest()
        known = self._known.get(key)
        if known is not None and known[0] > self._clock():
            found = known[1]
        else:
            found = await asyncio.to_thread(self._look_up, bearer)
            self._known[key] = (self._clock() + TTL_S, found)
            self._known.move_to_end(key)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        if found is None:
            raise UnauthenticatedError("the token is unknown, expired or revoked")
        return found

    def _look_up(self, bearer: str) -> Caller | None:
        try:
            found = self._principals.principal(bearer)
        except ForbiddenError:
            return None
        except RacksaltError as error:
            raise LookUpError("the token could not be looked up") from error
        return Caller(str(found.id), str(found.name), frozenset(found.scopes))


def bearer_of(header: str | None) -> str | None:
    """Return the token of an Authorization header (RFC 6750, section 2.1); None without one."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def missing(caller: Caller, scopes: Iterable[str]) -> str | None:
    """Return the first of ``scopes`` that the caller lacks; None if there is none."""
    return next((scope for scope in scopes if not caller.may(scope)), None)
