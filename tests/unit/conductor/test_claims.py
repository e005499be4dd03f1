"""A claim is renewed while its holder is at work."""

from __future__ import annotations

import threading

from racksalt.conductor.claims import renewed
from racksalt.model.errors import ConflictError
from tests.support.waiting import wait_for


def test_a_claim_is_renewed_until_its_holder_is_done():
    """Again and again, and never afterwards."""
    said = []
    with renewed(lambda: said.append(1), 0.01):
        assert wait_for(lambda: len(said) > 2, 20) is not None
    assert "racksalt-claim" not in {thread.name for thread in threading.enumerate()}


def test_a_renewal_that_fails_is_not_the_last():
    """A database that is away for a moment must not make the living silent."""
    said = []

    def say():
        said.append(1)
        if len(said) == 1:
            raise ConflictError("busy")

    with renewed(say, 0.01):
        assert wait_for(lambda: len(said) > 2, 20) is not None
