"""Fixtures of tests that start daemons."""

from __future__ import annotations

import gc
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def short_root():
    """Give a folder whose path leaves room for the names of Salt's sockets."""
    root = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    yield root
    gc.collect()  # what Salt's clients left open is closed here, not in the next test
    shutil.rmtree(root, ignore_errors=True)
