"""What is on a device: a disk that cannot be read is never taken for a blank one."""

from __future__ import annotations

import os

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loop_disks import MIB, said

ARRAY = {"name": "data", "level": "raid1", "devices": 2}


@pytest.fixture
def broken(devices):
    """Let a disk of the test answer each reading beyond so many MiB with an error, as a dying one does."""
    disks, *names = devices
    files = {name: disks.made[f"/dev/{name}"] for name in names}
    whole = {file: file.stat().st_size for file in files.values()}

    def cut(name, mib=0):
        os.truncate(files[name], mib * MIB)
        said("blockdev", "--flushbufs", f"/dev/{name}")

    yield cut
    for file, size in whole.items():
        os.truncate(file, 0)
        os.truncate(file, size)
    for name in names:
        said("blockdev", "--flushbufs", f"/dev/{name}")


def test_content_is_told_in_words(real, devices):
    """Kind and label of what is there; nothing of a blank device."""
    small, large = (f"/dev/{name}" for name in devices[1:])
    said("mke2fs", "-q", "-F", "-t", "ext4", "-L", "backup", small, "50M")
    content = real.modules.racksalt_signature.content
    assert (content(small), content(large)) == ("ext4 backup", None)
    assert real.modules.racksalt_signature.unreadable([small, large]) == []
    said("wipefs", "--all", small)


@pytest.mark.parametrize("readable_mib", [0, 2])
def test_what_cannot_be_read_at_its_beginning_or_end_is_not_blank(
    real, devices, broken, readable_mib
):
    """The tools themselves say of it that nothing is there, without an error."""
    small, large = (f"/dev/{name}" for name in devices[1:])
    broken(devices[1], readable_mib)
    assert '"type"' not in said("wipefs", "--json", small)
    assert real.modules.racksalt_signature.unreadable([small, large]) == [small]
    assert real.modules.racksalt_signature.content(small) == "unreadable"
    assert real.modules.racksalt_raid.content(devices[1:]) == {devices[1]: ["unknown"]}


def test_a_system_is_not_installed_beside_a_disk_that_cannot_be_read(real, devices, broken):
    """What it holds may be another system, and may be booted instead."""
    broken(devices[2])
    with pytest.raises(CommandExecutionError, match=rf"{devices[2]} .* cannot be read, and may"):
        real.modules.racksalt_disk.carry_out("partition", {})
    assert real.modules.racksalt_signature.content(f"/dev/{devices[1]}") is None


@pytest.mark.parametrize(("away", "stops"), [(None, True), ("is on a storage network", False)])
def test_a_path_that_cannot_be_read_by_nature_stops_no_installation(real, monkeypatch, away, stops):
    """A LUN's second path is such a one; it is none of the node's own, and can be neither erased nor chosen."""
    check = real.modules.racksalt_partition.no_second_system.func
    lun = {"name": "sdb", "serial": "LUN7", "removable": False, "away": away}
    lun["parts"] = [("sdb", "8:16"), ("sdc", "8:32")]
    answers = {"sdb": {}, "sdc": {"TYPE": "unreadable"}}
    says = {
        "racksalt_disk.disks": lambda: [lun],
        "racksalt_signature.fields": lambda device: answers[device.removeprefix("/dev/")],
    }
    monkeypatch.setitem(check.__globals__, "__salt__", says)
    if not stops:
        assert check([{"name": "sda"}]) is None
        return
    with pytest.raises(CommandExecutionError, match=r"sdc .* cannot be read"):
        check([{"name": "sda"}])


def test_a_disk_that_may_be_part_of_an_array_stops_the_installation(
    real, devices, broken, tmp_path
):
    """No other disk is taken in its place, and it is not told from a disk that is free."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mdadm").write_text("#!/bin/sh\nexit 1\n")
    (tools / "mdadm").chmod(0o755)
    real.loaders._original_opts["racksalt_programs"] = str(tools)
    real.pillar(stages={"raid": {"arrays": [ARRAY]}})
    try:
        assert real.modules.racksalt_disk.chosen({})[0]["name"] == devices[1]
        broken(devices[1])
        with pytest.raises(CommandExecutionError, match=rf"{devices[1]} cannot be read: it may be"):
            real.modules.racksalt_disk.chosen({})
    finally:
        del real.loaders._original_opts["racksalt_programs"]
