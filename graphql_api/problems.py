"""Errors that a caller can act on. Everything else is answered as "internal error" with an id that is in the log."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from graphql import GraphQLError

from racksalt.model.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RacksaltError,
    SettingsError,
    StoreError,
    UnsoundMachineError,
)

log = logging.getLogger(__name__)


TOLD: tuple[type[RacksaltError], ...] = (
    NotFoundError,
    SettingsError,
    InvalidInputError,
    ConflictError,
    UnsoundMachineError,
)
"""Errors of the operations that are told as they are, special cases first; the reference lists their codes."""


class UserError(GraphQLError):
    """A refusal with a lasting ``extensions.code``; the message names the limit or the remedy."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message, extensions={"code": code, **more})


def forbidden(scope: str) -> UserError:
    """Return the refusal of a caller whose token lacks a scope."""
    return UserError("FORBIDDEN", f"the token lacks the scope {scope}", requiredScope=scope)


def formatted(error: GraphQLError) -> dict[str, Any]:
    """Return an error as it is sent: known ones as they are, all others masked and logged under an id."""
    original = error.original_error
    if isinstance(original, GraphQLError):
        shown = dict(error.formatted)
        shown["message"] = original.message
        shown["extensions"] = original.extensions or {"code": "BAD_USER_INPUT"}
        return shown
    for kind in TOLD:
        if isinstance(original, kind):
            shown = dict(error.formatted)
            shown["message"] = str(original)
            shown["extensions"] = {"code": kind.code.upper()}
            return shown
    if original is None:
        # Syntax, validation and variables: graphql-core's own words, which hold nothing but the request's.
        shown = dict(error.formatted)
        shown.setdefault("extensions", {"code": "BAD_USER_INPUT"})
        return shown
    incident = secrets.token_hex(6)
    log.error("internal error %s at %s", incident, error.path, exc_info=original)
    shown = dict(error.formatted)
    shown["message"] = "internal error"
    shown["extensions"] = {"code": "INTERNAL", "id": incident}
    if isinstance(original, StoreError):
        # The driver's words name hosts and users: they are for the log.
        shown["message"] = "the database could not be asked; try again"
        shown["extensions"] = {"code": original.code.upper(), "id": incident}
    return shown
