"""Errors as HTTP answers."""

from __future__ import annotations

import json

import pytest

from racksalt.boot_api.errors import (
    BootTokenError,
    RateLimitedError,
    TooLargeError,
    respond,
    status_of,
)
from racksalt.model.errors import (
    ConflictError,
    ForbiddenError,
    IllegalEventError,
    InvalidInputError,
    NotFoundError,
    StoreError,
    UnsoundMachineError,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (BootTokenError, 401),
        (ForbiddenError, 403),
        (NotFoundError, 404),
        (IllegalEventError, 409),
        (ConflictError, 409),
        (TooLargeError, 413),
        (InvalidInputError, 422),
        (RateLimitedError, 429),
        (StoreError, 503),
        (UnsoundMachineError, 500),
    ],
)
def test_each_error_has_its_status(kind, status):
    """A program can act on the status alone; what no client can mend is a 500."""
    assert status_of(kind("x")) == status


def test_an_error_tells_code_message_and_hint_and_nothing_else():
    """Details stay inside; the answer has three fields."""
    answer = respond(InvalidInputError("bad", "do better", internal="x"))
    assert json.loads(answer.body) == {
        "code": "invalid_input",
        "message": "bad",
        "hint": "do better",
    }


def test_who_may_come_back_is_told_when():
    """Retry-After is in whole seconds, at least one."""
    assert respond(RateLimitedError("x", retry_after_s=0.2)).headers["retry-after"] == "1"
    assert respond(RateLimitedError("x", retry_after_s=7.4)).headers["retry-after"] == "7"
    assert respond(StoreError("x")).headers["retry-after"] == "5"
    assert "retry-after" not in respond(ForbiddenError("x")).headers
