"""What all end-to-end tests share: a network namespace for the whole run, and images that were built before."""

from __future__ import annotations

import gc
import shutil
import tempfile
from pathlib import Path

import pytest

from racksalt.lab.qemu.network import enter_namespace
from tests.support.needs import need
from tests.support.trial import IMAGES


def pytest_collection_modifyitems(items) -> None:
    """Keep these out of `make test`: they take many minutes and need root."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session", autouse=True)
def _lab_network():
    """Move this process into a namespace of its own; all that it starts is in there with it."""
    need("qemu-system-x86_64", "ip", "dnsmasq", "dig", root=True)
    if not (IMAGES / "x86_64" / "live.squashfs").is_file():
        pytest.fail(f"no images in {IMAGES}: `make e2e` builds them")
    enter_namespace()


@pytest.fixture(scope="module")
def root():
    """Give a folder whose path leaves room for the names of sockets; kept when a test failed."""
    folder = Path(tempfile.mkdtemp(prefix="rk-e2e-", dir="/tmp"))
    yield folder
    gc.collect()  # what Salt's clients left open is closed here
    shutil.rmtree(folder, ignore_errors=True)
