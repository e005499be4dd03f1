"""A fixture for tests that use Salt's events in the test process."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture(autouse=True, scope="module")
def salts_event_loop():
    """The loop that Salt takes as the current one: one that it makes by itself is never closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
