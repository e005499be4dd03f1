"""The load tests find what is wrong, and leave nothing behind."""

from __future__ import annotations

import json
import os
import sys

import pytest
from salt.exceptions import CommandExecutionError

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
        ({"scsi_self_test_0": {"result": {"value": 15, "string": "in progress"}}}, None),
        ({"scsi_self_test_0": {"result": {"value": 0, "string": "Completed"}}}, True),
        ({"scsi_self_test_0": {"result": {"value": 3, "string": "Failed"}}}, False),
        ({"scsi_self_test_0": {"result": {"value": 7, "string": "Failed in segment"}}}, False),
        ({"scsi_self_test_0": {"result": {"value": 1, "string": "Aborted"}}}, True),
        ({"smartctl": {}}, True),
    ],
)
def test_self_tests_run_pass_or_fail(real, told, ok):
    """What runs has no verdict yet; a disk without such a test is not blamed for it."""
    found = real.modules.racksalt_burn.verdict(json.dumps(told))
    assert (found["ok"] if found else None) is ok


@pytest.fixture
def smartctl(real, monkeypatch, tmp_path):
    """A smartctl that starts tests with one exit status, and tells of a last test."""
    assert real.modules.racksalt_hardware.virtual() is False

    def write(code, last, said="the device does not support Self Tests"):
        refusal = json.dumps({"smartctl": {"messages": [{"string": said}]}})
        script = f"case $* in *'-t short'*) echo '{refusal}'; exit {code};; *) echo '{last}';; esac"
        (tmp_path / "smartctl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "smartctl").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return real.modules.racksalt_burn.self_tests([{"name": "sda"}], 0.2)["self_test:sda"]

    return write


PASSED = json.dumps({"scsi_self_test_0": {"result": {"value": 0, "string": "Completed"}}})
FAILED = json.dumps({"scsi_self_test_0": {"result": {"value": 3, "string": "Failed"}}})
RUNNING = json.dumps({"scsi_self_test_0": {"result": {"value": 15}}})


@pytest.mark.parametrize(
    ("code", "last", "ok", "message"),
    [
        (0, PASSED, True, "Completed"),
        (64, PASSED, True, "Completed"),  # started; the disk's log has errors
        (4, PASSED, True, "not tested: the device does not support Self Tests"),
        (4, "{}", True, "not tested: the device does not support Self Tests"),
        (4, FAILED, False, "Failed"),
        (4, RUNNING, False, "the self-test did not end in 0.2 s"),
        (0, "{}", True, "not tested: the disk tells of no self-test"),
    ],
)
def test_a_test_that_did_not_start_is_told_as_such(smartctl, code, last, ok, message):
    """An older test's success is none of this one; its failure is, and one that runs already is waited for."""
    found = smartctl(code, last)
    assert (found["ok"], found["message"]) == (ok, message)


def test_a_part_that_there_is_not_is_not_left_out_in_silence(node, real):
    """`cpu: 86400` would load the machine for a minute; what only a virtual machine has is let pass."""
    for machine in (node, real):
        with pytest.raises(CommandExecutionError, match="burn_in:cpu: no such key; use cpu_s"):
            machine.modules.racksalt_burn.run(cpu=86400)


@pytest.mark.parametrize("required", [False, True])
def test_a_site_may_require_the_disks_own_tests(real, smartctl, monkeypatch, required):
    """Where it does, a disk that runs none fails; else the stage passes and its comment tells it."""
    smartctl(4, "{}")
    module = next(
        found
        for name, found in list(sys.modules.items())
        if name.endswith(".racksalt_burn") and hasattr(found, "_required")
    )
    for part in ("cpu", "memory", "network"):
        monkeypatch.setattr(module, part, lambda *_: {"ok": True, "measures": {}, "message": ""})
    known = real.loaders.modules
    wrapped = {
        "racksalt_drive.disks": lambda: [{"name": "sda"}],
        "racksalt_probe.run_all": known["racksalt_probe.run_all"],
        "racksalt_settings.checked": known["racksalt_settings.checked"],
    }
    monkeypatch.setattr(module, "__salt__", wrapped)
    monkeypatch.setattr(module, "read", lambda *_: {})
    load = {"self_test_s": 0.2, "require_self_test": required}
    assert module.run(**load)["self_test:sda"]["ok"] is not required


def test_the_two_loads_of_disks_do_not_run_at_the_same_time(real, monkeypatch, tmp_path):
    """Scattered reads beside those in order would make both figures those of neither."""
    assert real.modules.racksalt_hardware.virtual() is False
    log = tmp_path / "log"
    job = '{"jobs": [{"error": 0, "read": {}}]}'
    script = f"echo begin $1 >>{log}\n/bin/sleep 0.2\necho end $1 >>{log}\necho '{job}'"
    (tmp_path / "fio").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "fio").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = real.modules.racksalt_burn.read([{"name": "sda"}, {"name": "sdb"}], 1)
    assert all(result["ok"] for result in found.values())
    lines = log.read_text().splitlines()
    assert [line.split("=")[1] for line in lines] == ["read"] * 4 + ["randread"] * 4
