"""One virtual machine's loaders for each test file; its disk and hardware are new for each test."""

from __future__ import annotations

import pytest

from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture
from tests.support.salt_node import SaltNode


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The loaders, made once for a file: making them costs a second."""
    return SaltNode(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The loaders of a machine whose hardware is not described by a file, made once for a file."""
    return SaltNode(tmp_path_factory.mktemp("real"), virtual=False)


@pytest.fixture
def node(loaded):
    """The machine with an empty disk and good hardware."""
    loaded.wipe()
    loaded.describe()
    return loaded
