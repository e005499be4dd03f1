"""Tokens of people and programs: scoped, expiring, shown once."""

from __future__ import annotations

import contextlib
import hmac

import pytest

from racksalt.conductor.access import LONGEST_S, PREFIX, SCOPES, Access
from racksalt.model.errors import ForbiddenError, InvalidInputError, NotFoundError
from tests.support.fakes import FakeClock


@pytest.fixture
def access(sqlite_store):
    """Access over a clock of the test's."""
    return Access(sqlite_store, FakeClock(), b"pepper")


def create(access, *scopes, expires_in_s=60.0):
    """Create a token; return what is told once."""
    return access.create("ci", scopes or ("topology:read",), expires_in_s, "alice")


def test_a_token_is_who_it_was_made_for(access):
    """Its secret gives name and scopes, and nothing else does."""
    made = create(access, "node:write", "audit:read")
    principal = access.principal(made["secret"])
    assert (principal.id, principal.name) == (made["id"], "ci")
    assert principal.scopes == {"audit:read", "node:write"}
    principal.require("node:write")
    with pytest.raises(ForbiddenError, match="lacks the scope 'token:write'"):
        principal.require("token:write")


def test_the_secret_is_kept_nowhere(access):
    """Neither the listing nor the database has it, and without the pepper its hash cannot be tried."""
    secret = create(access)["secret"]
    hidden = secret.split(".")[1]
    assert "secret" not in access.listed()[0]
    assert "secret_hash" not in access.listed()[0]
    assert hidden not in str(access.store.rows("tokens"))
    with pytest.raises(ForbiddenError):
        Access(access.store, access.clock, b"another pepper").principal(secret)


def test_a_token_ends(access):
    """At its expiry it is worth nothing."""
    secret = create(access)["secret"]
    access.clock.pass_(59)
    access.principal(secret)
    access.clock.pass_(1)
    with pytest.raises(ForbiddenError, match="'ci' is expired"):
        access.principal(secret)


def test_a_revoked_token_is_worthless_at_once(access):
    """Revoking holds for the next request."""
    made = create(access)
    access.revoke(made["id"])
    with pytest.raises(ForbiddenError, match="'ci' is revoked"):
        access.principal(made["secret"])
    with pytest.raises(NotFoundError):
        access.revoke("nobody")


def forgeries(secret):
    """Return bearer texts that are not the token."""
    token, _, hidden = secret.removeprefix(PREFIX).partition(".")
    return [
        "",
        PREFIX,
        f"{PREFIX}{token}",
        f"{PREFIX}{token}.",
        f"{token}.{hidden}",
        f"{PREFIX}{token}.{hidden}x",
        f"{PREFIX}{token}.{hidden[:-1]}",
        f"{PREFIX}other.{hidden}",
        f"{PREFIX}{token}.é",
        f"Bearer {secret}",
    ]


@pytest.mark.parametrize("number", range(10))
def test_forgeries_are_told_apart_by_nobody(access, number):
    """Unknown id, wrong secret or malformed text: the answer is the same, and quotes nothing."""
    secret = create(access)["secret"]
    with pytest.raises(ForbiddenError) as caught:
        access.principal(forgeries(secret)[number])
    assert caught.value.message == "the token is not valid"


def test_unknown_ids_cost_the_same_work(access, monkeypatch):
    """The hash is made whether the id exists or not, and compared in constant time."""
    made, hashed = create(access), []
    plain = hmac.new
    monkeypatch.setattr(hmac, "new", lambda *a, **k: hashed.append(1) or plain(*a, **k))
    for bearer in (made["secret"], f"{PREFIX}nobody.x", "malformed"):
        hashed.clear()
        with contextlib.suppress(ForbiddenError):
            access.principal(bearer)
        assert len(hashed) == 1


@pytest.mark.parametrize(
    ("name", "scopes", "expires_in_s", "message"),
    [
        ("ci", ["root"], 60, "unknown scopes: root"),
        ("ci", [], 60, "none given"),
        ("", ["audit:read"], 60, "1 to 128 characters"),
        ("x" * 129, ["audit:read"], 60, "1 to 128 characters"),
        ("ci", ["audit:read"], 0, "out of range"),
        ("ci", ["audit:read"], LONGEST_S + 1, "out of range"),
        ("ci", ["audit:read"], float("nan"), "out of range"),
    ],
)
def test_senseless_tokens_are_not_made(access, name, scopes, expires_in_s, message):
    """A token has a name, scopes that exist, and an end."""
    with pytest.raises(InvalidInputError, match=message):
        access.create(name, scopes, expires_in_s, "alice")
    assert access.listed() == []


def test_every_scope_says_what_it_is_for():
    """The scopes are listed with their meaning."""
    assert all(meaning.endswith(".") for meaning in SCOPES.values())
