"""Fixtures of tests that start daemons."""

from __future__ import annotations

import gc
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def _short_folder():
    root = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    yield root
    gc.collect()  # what Salt's clients left open is closed here, not in the next test
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def short_root():
    """Give a folder whose path leaves room for the names of Salt's sockets."""
    with _short_folder() as root:
        yield root


@pytest.fixture(scope="module")
def shared_short_root():
    """Give such a folder to all tests of a file."""
    with _short_folder() as root:
        yield root
