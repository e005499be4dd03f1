"""Refusals of the boot API and how every error is told over HTTP."""

from __future__ import annotations

import logging
from typing import ClassVar

import orjson
from starlette.responses import Response

from racksalt.model.errors import (
    ConflictError,
    ForbiddenError,
    IllegalEventError,
    InvalidInputError,
    NotFoundError,
    RacksaltError,
    StoreError,
)

LOG = logging.getLogger(__name__)
JSON = "application/json"
RETRY_AFTER_S = 5
"""When a node is told to come back after an error that is not its fault."""


class BootTokenError(ForbiddenError):
    """The boot token is missing, expired, of an older boot, or not the node's.

    Without a token that was the node's once, the answer is that for a node that does not exist: it does not tell
    which ones do.
    """

    code: ClassVar[str] = "boot_token_refused"


class TooLargeError(InvalidInputError):
    """The body is larger than a report may be."""

    code: ClassVar[str] = "too_large"


class RateLimitedError(RacksaltError):
    """The source asks more often than a node needs to; ``detail['retry_after_s']`` says when next."""

    code: ClassVar[str] = "rate_limited"


_STATUS: tuple[tuple[type[RacksaltError], int], ...] = (
    (BootTokenError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (IllegalEventError, 409),
    (ConflictError, 409),
    (TooLargeError, 413),
    (InvalidInputError, 422),
    (RateLimitedError, 429),
    (StoreError, 503),
)


def status_of(error: RacksaltError) -> int:
    """Return the HTTP status (RFC 9110 §15) of an error; 500 for one that no client can mend."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def told(error: RacksaltError) -> tuple[str, str]:
    """Return what strangers may know of an error, and what to do: what a database driver says names hosts and files."""
    if isinstance(error, StoreError):
        return "the database does not take it", "the log of the boot API says why"
    return error.message, error.hint


def respond(error: RacksaltError) -> Response:
    """Return the error as ``{"code", "message", "hint"}`` with its status."""
    status = status_of(error)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in {429, 503}:
        retry_s = float(error.detail.get("retry_after_s", RETRY_AFTER_S))
        headers["Retry-After"] = str(max(1, round(retry_s)))
    message, hint = told(error)
    if isinstance(error, StoreError):
        LOG.warning("%s", error)
    body = {"code": error.code, "message": message, "hint": hint}
    return Response(orjson.dumps(body), status, headers, JSON)
