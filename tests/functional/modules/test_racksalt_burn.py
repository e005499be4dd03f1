"""The load tests find what is wrong, and leave nothing behind."""

from __future__ import annotations

import pytest


def test_cpu_load_runs_as_long_as_asked_on_each_worker(node):
    """Every worker hashes until the time is over and gets the same answer each time."""
    found = node.modules.racksalt_burn.cpu(0.05, workers=2)
    assert found["ok"] is True
    assert found["rounds"] >= found["workers"] == 2


def test_memory_is_filled_and_read_back(node):
    """Both patterns are read back over the whole of it."""
    assert node.modules.racksalt_burn.memory(2) == {"ok": True, "mib": 2, "wrong_mib": 0}


def test_a_folder_is_written_read_and_left_as_it_was(node):
    """The test file is gone afterwards."""
    found = node.modules.racksalt_burn.folder(str(node.disk), 2)
    assert found == {"ok": True, "mib": 2, "wrong_mib": 0}
    assert list(node.disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(node):
    """There is no silent success without a disk."""
    with pytest.raises(OSError, match="No such file"):
        node.modules.racksalt_burn.folder(str(node.disk / "gone"), 1)


def test_a_device_is_only_read(node):
    """Reading stops at the asked size; a device that is not there fails by name."""
    assert node.modules.racksalt_burn.device("zero", 2)["ok"] is True
    missing = node.modules.racksalt_burn.device("no-such-disk", 1)
    assert missing["ok"] is False
    assert "no-such-disk" in missing["error"]
