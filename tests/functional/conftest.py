"""One virtual machine's loaders for each test file; its disk and hardware are new for each test."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.salt_node import SaltNode


@pytest.fixture(autouse=True, scope="module")
def salts_event_loop():
    """The loop that Salt takes as the current one: one that it makes itself is never closed."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The loaders, made once for a file: making them costs a second."""
    return SaltNode(tmp_path_factory.mktemp("node"))


@pytest.fixture
def node(loaded):
    """The machine with an empty disk and good hardware."""
    loaded.wipe()
    loaded.describe()
    return loaded
