"""Erasing: everything is overwritten and read back, the strongest method first, and a failure is never a success."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loop_disks import LoopDisks, LoopNode, said, skip_unless_loops

MIB = 2**20
SMALL, MIDDLE = 48 * MIB, 23 * MIB + 5


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """Two disks that are quickly erased."""
    skip_unless_loops()
    disks = LoopDisks(tmp_path_factory.mktemp("disks"))
    try:
        yield disks, disks.add("small", 48), disks.add("large", 56)
    finally:
        disks.close()


@pytest.fixture
def dirty(real, devices):
    """The machine with something written all over its small disk."""
    _dirty(devices[1])
    return real


def _dirty(name):
    with Path(f"/dev/{name}").open("r+b", buffering=0) as disk:
        for at in (0, MIDDLE, SMALL - 10):
            disk.seek(at)
            disk.write(b"precious!!")
        os.fsync(disk.fileno())


def _head(name):
    with Path(f"/dev/{name}").open("rb") as disk:
        return disk.read(10)


def _only(devices, number):
    """Return a plan that has one of the disks."""
    return [{"name": devices[number], "size_gb": 0}]


def test_all_disks_are_erased_and_read_back(dirty, devices):
    """Each disk's record has its size, method and how it was verified; nothing is left on it."""
    done = dirty.modules.racksalt_disk.carry_out("erase", {"disks": "all"})
    record = done["data"]["erasure"]
    told = {disk["name"]: disk for disk in record["disks"]}
    assert set(told) == {devices[1], devices[2]}
    small = told[devices[1]]
    assert small["bytes"] == SMALL
    assert small["verified"] == {"how": "the whole disk", "bytes": SMALL, "pattern": "00"}
    assert small["method"] in {"zeros written by the device", "overwritten with zeros"}
    assert record["started_at"] <= small["ended_at"] <= record["ended_at"]
    assert record["tools"]["kernel"] == os.uname().release
    assert said("cmp", "-n", str(SMALL), f"/dev/{devices[1]}", "/dev/zero") == ""


def test_a_second_run_in_the_same_boot_tells_the_same_record(dirty):
    """A result that was lost on its way can be had again; nothing is erased twice."""
    first = dirty.modules.racksalt_disk.carry_out("erase", {})["data"]
    again = dirty.modules.racksalt_disk.plan("erase", {})
    assert again["done"] is True
    assert again["data"] == first
    dirty.reboot("c" * 64)
    assert dirty.modules.racksalt_disk.plan("erase", {})["done"] is False


def test_a_record_is_worth_nothing_once_the_disk_was_written_to(dirty, devices):
    """What is on the disk now decides, not what was noted."""
    dirty.modules.racksalt_disk.carry_out("erase", {})
    with Path(f"/dev/{devices[1]}").open("r+b", buffering=0) as disk:
        disk.write(b"new data")
        os.fsync(disk.fileno())
    assert dirty.modules.racksalt_disk.plan("erase", {})["done"] is False


def test_test_mode_erases_nothing(dirty, devices):
    """The disks are named, and what was on them still is."""
    told = dirty.states.racksalt_disk.erased(name="e", test=True)
    assert told.result is None
    assert set(told.changes["erase"]) == {devices[1], devices[2]}
    assert _head(devices[1]) == b"precious!!"


def test_data_that_is_left_is_found_where_it_is(dirty, devices):
    """Verification names the place; a whole disk is read to its last byte."""
    verify, device = dirty.modules.racksalt_erase.verify, f"/dev/{devices[1]}"
    with pytest.raises(CommandExecutionError, match=f"{device}: data is left in the .* bytes at 0"):
        verify(device)
    for at in (0, MIDDLE):
        _zero(device, at)
    with pytest.raises(
        CommandExecutionError, match="data is left in the 4194304 bytes at 46137344"
    ):
        verify(device)
    _zero(device, SMALL - 10)
    assert verify(device)["bytes"] == SMALL


def test_a_large_disk_is_sampled_and_that_is_said(dirty, devices):
    """First and last MiB are always read; how many bytes were read is told."""
    verify, device = dirty.modules.racksalt_erase.verify, f"/dev/{devices[1]}"
    for at in (0, MIDDLE):
        _zero(device, at)
    with pytest.raises(CommandExecutionError, match=f"bytes at {47 * MIB}"):
        verify(device, whole_mib=10, samples=3)
    _zero(device, SMALL - 10)
    proof = verify(device, whole_mib=10, samples=3)
    assert proof["how"] == "first and last MiB and 3 random ones"
    assert proof["bytes"] == 5 * MIB


def _zero(device, at):
    with Path(device).open("r+b", buffering=0) as disk:
        disk.seek(at)
        disk.write(bytes(10))
        os.fsync(disk.fileno())


def test_only_disks_that_are_named_are_erased(dirty, devices):
    """A serial number that no disk has stops everything; so does a plan that lacks a disk."""
    with pytest.raises(CommandExecutionError, match="no disk has the serial or WWN s-1"):
        dirty.modules.racksalt_disk.carry_out("erase", {"disks": ["S-1"]})
    dirty.pillar(disks=_only(devices, 1))
    with pytest.raises(CommandExecutionError, match=f"nothing was erased: {devices[2]} .*outside"):
        dirty.modules.racksalt_disk.carry_out("erase", {"disks": "all"})
    assert _head(devices[1]) == b"precious!!"


@pytest.mark.parametrize(
    "said", [{"disk": ["S-1"]}, {"serials": ["S-1"]}, {"match": {"serial": "S-1"}}, ["S-1"]]
)
def test_a_misspelt_wish_is_not_all_disks(dirty, devices, said):
    """Nothing is erased, and the keys that there are are told: by the module, and by the state."""
    erase = dirty.modules.racksalt_erase
    for act in (erase.plan, erase.carry_out):
        with pytest.raises(CommandExecutionError, match=r"stages:erase.*(use disks|no map)"):
            act(said)
    ret = dirty.states.racksalt_disk.erased(name="e", settings=said)
    assert (ret.result, "racksalt:stages:erase" in ret.comment) == (False, True)
    assert _head(devices[1]) == b"precious!!"


@pytest.fixture
def tools(devices, tmp_path):
    """A machine whose programs for hardware are stand-ins: a folder, what they say, what they were told."""
    disks, small, large = devices
    folder = tmp_path / "tools"
    folder.mkdir()
    node = LoopNode(tmp_path / "node", disks, [small, large])
    node.loaders._original_opts["racksalt_programs"] = str(folder)
    node.loaders.reload_all()
    return node, folder


def _stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "$*" >> {folder}/told\n{script}\n')
    path.chmod(0o755)


def test_a_method_that_fails_is_followed_by_the_next(tools, devices):
    """The record keeps why the first one did not do; the disk is erased all the same."""
    node, folder = tools
    _stand_in(folder, "blkdiscard", "echo 'blkdiscard: BLKZEROOUT ioctl failed' >&2; exit 1")
    record = node.modules.racksalt_disk.carry_out("erase", {"disks": "all"})["data"]["erasure"]
    disk = record["disks"][0]
    assert disk["name"] == devices[1]
    assert disk["method"] == "overwritten with zeros"
    assert disk["notes"] == ["blkdiscard failed (1): blkdiscard: BLKZEROOUT ioctl failed"]


def test_a_method_that_lies_is_found_out(tools, devices):
    """A device that says it erased, and did not, is overwritten after it was read."""
    node, folder = tools
    _dirty(devices[1])
    _stand_in(folder, "wipefs", "exit 0")
    _stand_in(folder, "blkdiscard", "exit 0")
    disk = node.modules.racksalt_disk.carry_out("erase", {"disks": "all"})["data"]["erasure"]
    assert disk["disks"][0]["method"] == "overwritten with zeros"
    assert "data is left" in disk["disks"][0]["notes"][0]


def _try(tools, name, /, **disk):
    """Run one method for a disk that is not there; return its answer and what programs were told."""
    node, folder = tools
    known = node.modules.racksalt_erase.verify
    disk = {"device": f"/dev/{disk['name']}", **disk}
    found = known.loader.run(known.func.__globals__[name], disk)
    return found, (folder / "told").read_text().splitlines()


def _nvme(folder, *, namespaces=1, status="0x101", **controller):
    """Let ``nvme`` speak for a controller (words of nvme-cli 2.3)."""
    told = json.dumps({"sanicap": 0, "oacs": 0, "fna": 0} | controller)
    lines = "".join(f"[   {n}]:{n + 1:#x}\\n" for n in range(namespaces))
    script = f"""case "$1" in
      id-ctrl) echo '{told}';;
      list-ns) printf '{lines}';;
      sanitize-log) echo '{{"nvme7":{{"sprog":65535,"sstat":{int(status, 0)}}}}}';;
    esac"""
    _stand_in(folder, "nvme", script)


NVME = {"name": "nvme7n1", "transport": "nvme"}


def test_an_nvme_disk_is_sanitized_where_it_can_be(tools):
    """Block erase before crypto erase; the operation's end is waited for in the sanitize log."""
    _nvme(tools[1], sanicap=3)
    method, told = _try(tools, "_sanitize", **NVME)
    assert method == "NVMe sanitize, block erase"
    assert "sanitize /dev/nvme7 --sanact=2" in told
    assert told[-1].startswith("sanitize-log")
    _nvme(tools[1], sanicap=1)
    assert _try(tools, "_sanitize", **NVME)[0] == "NVMe sanitize, crypto erase"


def test_a_failed_sanitize_is_an_error(tools):
    """Status 3 of the sanitize log is no success."""
    _nvme(tools[1], sanicap=2, status="0x3")
    with pytest.raises(CommandExecutionError, match="nvme7: the sanitize operation failed"):
        _try(tools, "_sanitize", **NVME)


def test_a_controller_with_other_namespaces_is_not_sanitized(tools):
    """Sanitize reaches all namespaces, and so does a format where the controller says so."""
    _nvme(tools[1], sanicap=2, oacs=2, namespaces=2)
    assert _try(tools, "_sanitize", **NVME)[0] is None
    assert _try(tools, "_format", **NVME)[0] == "NVMe format, user data erase"
    _nvme(tools[1], sanicap=2, oacs=2, fna=2, namespaces=2)
    assert _try(tools, "_format", **NVME)[0] is None


def _hdparm(folder, *lines):
    """Let ``hdparm -I`` tell this of security (words of hdparm 9.65)."""
    body = "".join(f"\\t{line}\\n" for line in lines)
    script = f"""case "$1" in -I) printf 'ATA device\\n\\nSecurity: \\n{body}';; esac"""
    _stand_in(folder, "hdparm", script)


ATA = {"name": "sdz", "transport": "ata"}
CALM = ("supported", "not\\tenabled", "not\\tlocked", "not\\tfrozen", "not\\texpired")


def test_a_disk_that_is_not_frozen_erases_itself(tools):
    """ATA security erase, enhanced where the disk has that; no password stays."""
    _hdparm(tools[1], *CALM, "supported: enhanced erase")
    method, told = _try(tools, "_security_erase", **ATA)
    assert method == "ATA security erase enhanced"
    done = [line.split("--security-")[1].split()[0] for line in told if "--security-" in line]
    assert done == ["set-pass", "erase-enhanced"]


def test_a_frozen_disk_says_so_and_is_left_to_the_next_method(tools):
    """Firmware often freezes disks; the record tells it."""
    _hdparm(tools[1], "supported", "not\\tenabled", "not\\tlocked", "frozen")
    with pytest.raises(CommandExecutionError, match="frozen by the firmware"):
        _try(tools, "_security_erase", **ATA)


def test_a_disk_that_a_killed_try_left_locked_is_unlocked(tools):
    """The password is always the same, so that the next try knows it."""
    _hdparm(tools[1], "supported", "enabled", "locked", "not\\tfrozen")
    method, told = _try(tools, "_security_erase", **ATA)
    assert method == "ATA security erase"
    done = [line.split("--security-")[1].split()[0] for line in told if "--security-" in line]
    assert done == ["unlock", "set-pass", "erase", "disable"]


def test_a_disk_without_the_feature_is_not_asked(tools):
    """Nothing is set on a disk that does not offer it."""
    _hdparm(tools[1], "not\\tsupported", "not\\tenabled")
    method, told = _try(tools, "_security_erase", **ATA)
    assert method is None
    assert len(told) == 1
