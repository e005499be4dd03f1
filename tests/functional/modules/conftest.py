"""A real machine's loaders with two disks of its own, for each test file that asks for them."""

from __future__ import annotations

import pytest

from tests.support.loop_disks import LoopDisks, LoopNode, skip_unless_loops


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """Two disks of different sizes: where they are made, and their kernel names."""
    skip_unless_loops()
    disks = LoopDisks(tmp_path_factory.mktemp("disks"))
    try:
        yield disks, disks.add("small", 700), disks.add("large", 800)
    finally:
        disks.close()


@pytest.fixture(scope="module")
def machine(devices, tmp_path_factory):
    """A machine that has both."""
    disks, small, large = devices
    return LoopNode(tmp_path_factory.mktemp("node"), disks, [small, large])


@pytest.fixture
def real(machine):
    """The machine in the same boot as always, with no pillar."""
    machine.pillar()
    machine.reboot()
    return machine
