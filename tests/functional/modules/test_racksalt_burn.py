"""The load tests find what is wrong, and leave nothing behind."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.needs import need


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
    assert found["measures"]["write_mib_s"] > 0
    assert (found["ok"], found["mib"], found["wrong_mib"]) == (True, 2, 0)
    assert list(node.disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(node):
    """There is no silent success without a disk."""
    with pytest.raises(OSError, match="No such file"):
        node.modules.racksalt_burn.folder(str(node.disk / "gone"), 1)


def test_a_machine_whose_disk_is_gone_fails_that_part_only(node):
    """The other parts still say what they found."""
    node.disk.rename(node.disk.with_name("away"))
    try:
        found = node.modules.racksalt_burn.run(cpu_s=0.01, memory_mib=1, disk_mib=1)
    finally:
        node.disk.with_name("away").rename(node.disk)
    assert {part: result["ok"] for part, result in found.items()} == {
        "cpu": True,
        "memory": True,
        "disk": False,
    }


@pytest.fixture
def programs():
    """The real programs; they are in the live image."""
    need("stress-ng", "fio")


def test_stress_ng_loads_processor_and_memory(real, programs):
    """Both are verified, and both give a figure to compare machines by."""
    for found in (real.modules.racksalt_burn.cpu(1), real.modules.racksalt_burn.memory(16, 1)):
        assert found["ok"] is True, found
        assert found["measures"]["rounds_s"] > 0


def test_a_share_of_memory_is_of_what_is_free(real, programs):
    """The live system is in memory itself: a hundredth of a per cent is a few MiB."""
    found = real.modules.racksalt_burn.memory("0.05%", 1)
    assert found["ok"] is True, found


def test_a_machine_without_memory_for_the_test_fails_it(real, programs):
    """A load that cannot run proves nothing."""
    found = real.modules.racksalt_burn.memory(2**40, 1)
    assert found["ok"] is False
    assert found["message"]


def test_fio_reads_a_disk_and_leaves_it_as_it_was(real, programs, monkeypatch, tmp_path):
    """Throughput, operations and the slow end of latencies are told; nothing is written."""
    disk = tmp_path / "disk"
    disk.write_bytes(os.urandom(8 * 2**20))
    before = disk.read_bytes()
    name = os.path.relpath(disk, "/dev")  # a name below /dev, as disks have
    found = real.modules.racksalt_burn.read([{"name": name, "model": "MAKER 1"}], 2)
    (result,) = found.values()
    assert result["ok"] is True, result
    assert result["model"] == "MAKER 1"
    assert result["measures"]["read_mib_s"] > 0
    assert result["measures"]["read_iops"] > 0
    assert result["measures"]["read_p99_us"] > 0
    assert disk.read_bytes() == before


def test_a_disk_that_is_not_there_fails_by_name(real, programs):
    """The message says what fio said."""
    found = real.modules.racksalt_burn.read([{"name": "racksalt-none"}], 1)
    assert found["disk:racksalt-none"]["ok"] is False
    assert "fio" in found["disk:racksalt-none"]["message"]


def test_programs_that_are_missing_fail_their_parts(real, monkeypatch, tmp_path):
    """A test that did not run proves nothing."""
    assert real.modules.racksalt_hardware.virtual() is False
    monkeypatch.setenv("PATH", str(tmp_path))
    burn = real.modules.racksalt_burn
    parts = {
        "cpu": burn.cpu(1),
        **burn.read([{"name": "sda"}], 1),
        **burn.self_tests([{"name": "sda"}], 1),
    }
    assert {part: result["ok"] for part, result in parts.items()} == {
        "cpu": False,
        "disk:sda": False,
        "self_test:sda": False,
    }
    assert all("not installed" in result["message"] for result in parts.values())


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ({"ata_smart_data": {"self_test": {"status": {"value": 249, "string": "10%"}}}}, None),
        ({"ata_smart_data": {"self_test": {"status": {"value": 0, "passed": True}}}}, True),
        ({"ata_smart_data": {"self_test": {"status": {"value": 112, "passed": False}}}}, False),
        ({"nvme_self_test_log": {"current_self_test_operation": {"value": 1}}}, None),
        (
            {
                "nvme_self_test_log": {
                    "current_self_test_operation": {"value": 0},
                    "table": [{"self_test_result": {"value": 0}}],
                }
            },
            True,
        ),
        (
            {
                "nvme_self_test_log": {
                    "current_self_test_operation": {"value": 0},
                    "table": [{"self_test_result": {"value": 7, "string": "failed"}}],
                }
            },
            False,
        ),
        ({"smartctl": {}}, True),
    ],
)
def test_self_tests_run_pass_or_fail(real, told, ok):
    """What runs has no verdict yet; a disk without such a test is not blamed for it."""
    found = real.modules.racksalt_burn.verdict(json.dumps(told))
    assert (found["ok"] if found else None) is ok
