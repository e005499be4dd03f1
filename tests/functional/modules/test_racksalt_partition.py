"""Partitions of real disks: made once, read back, begun anew when a try was killed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loop_disks import said


def test_partitioning_is_told_done_once_and_read_back(real, devices):
    """BIOS boot, EFI system and root partition are there; a second run in the same boot changes nothing."""
    said("mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", f"/dev/{devices[1]}", "100M")
    told = real.states.racksalt_disk.partitioned(name="p", test=True)
    assert told.result is None
    assert told.changes["wiped"][devices[1]]["content"] == {devices[1]: "ext4 precious"}
    assert real.states.racksalt_disk.partitioned(name="p").result is True
    again = real.states.racksalt_disk.partitioned(name="p")
    assert (again.result, again.changes) == (True, {})
    made = real.modules.racksalt_partition.made()
    assert made["root"] == f"/dev/{devices[1]}p3"
    assert 'TYPE="vfat"' in said("blkid", "-p", made["disks"][0]["esp"])
    sizes = said("lsblk", "-b", "-n", "-l", "-o", "SIZE", f"/dev/{devices[1]}").split()
    assert sizes[1:3] == [str(2**20), str(512 * 2**20)]


def test_a_try_that_was_killed_is_begun_anew(real, devices):
    """Partitions without the mark that is written last are not taken for finished ones."""
    real.modules.racksalt_disk.carry_out("partition", {})
    other = "11111111-2222-3333-4444-555555555555"
    said("sfdisk", "--disk-id", f"/dev/{devices[1]}", other)
    assert real.modules.racksalt_disk.plan("partition", {})["done"] is False
    with pytest.raises(CommandExecutionError, match="run the stage partition first"):
        real.modules.racksalt_partition.made()
    real.modules.racksalt_disk.carry_out("partition", {})
    assert real.modules.racksalt_disk.plan("partition", {})["done"] is True


def test_another_installation_partitions_anew(real):
    """What an earlier boot's installation did counts for nothing."""
    real.modules.racksalt_disk.carry_out("partition", {})
    real.reboot("a" * 64)
    assert real.modules.racksalt_disk.plan("partition", {})["done"] is False


def test_another_layout_partitions_anew(real):
    """The mark alone is not enough: the partitions must be those that are asked for now."""
    real.modules.racksalt_disk.carry_out("partition", {})
    assert real.modules.racksalt_disk.plan("partition", {"root_gb": 0.1})["done"] is False


def test_one_installation_partitions_one_choice_of_disks(real, devices):
    """Settings, or code, that change in the middle of it must not cost the data of a second disk."""
    real.reboot("d" * 64)
    real.modules.racksalt_disk.carry_out("partition", {})
    said("mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", f"/dev/{devices[2]}", "50M")
    other = {"disks": {"match": {"name": devices[2]}}}
    told = rf"has partitioned {devices[1]} .*, now {devices[2]} .* is chosen; nothing was changed"
    with pytest.raises(CommandExecutionError, match=told):
        real.modules.racksalt_disk.carry_out("partition", other)
    assert 'LABEL="precious"' in said("blkid", "-p", f"/dev/{devices[2]}")
    said("wipefs", "--all", f"/dev/{devices[2]}")


def test_a_second_system_on_another_disk_is_refused(real, devices):
    """GRUB finds the system by its label; one on a disk that is not the system disk stops everything."""
    said("mke2fs", "-q", "-F", "-L", "racksalt-root", f"/dev/{devices[2]}", "50M")
    real.reboot("b" * 64)
    with pytest.raises(CommandExecutionError, match="holds another system labelled racksalt-root"):
        real.modules.racksalt_disk.carry_out("partition", {})
    said("wipefs", "--all", f"/dev/{devices[2]}")


def _mirror_half(device):
    """Write what mdadm writes at 4 KiB of the half of a mirror (md(4); metadata 1.2, Linux ``md_p.h``)."""
    block = bytearray(258)
    struct.pack_into(
        "<4I16s32s", block, 0, 0xA92B4EFC, 1, 0, 0, bytes(range(16)), b"any:racksalt-root"
    )
    struct.pack_into("<QiiQII", block, 72, 0, 1, 0, 90_000, 0, 2)
    struct.pack_into("<QQQ", block, 128, 2048, 90_000, 8)
    struct.pack_into("<I", block, 220, 1)  # one device role of two bytes follows
    words = struct.unpack("<64IH", block)
    total = sum(words)
    struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
    with Path(device).open("r+b", buffering=0) as disk:
        disk.seek(4096)
        disk.write(bytes(block))


def test_half_of_a_second_mirrored_system_is_refused(real, devices):
    """Its label is that of the array, with the host before it: whoever assembles it might boot the old system."""
    real.reboot("c" * 64)
    _mirror_half(f"/dev/{devices[2]}")
    try:
        told = said("blkid", "-p", f"/dev/{devices[2]}")
        assert 'LABEL="any:racksalt-root"' in told
        assert 'TYPE="linux_raid_member"' in told
        with pytest.raises(CommandExecutionError, match="holds another system labelled"):
            real.modules.racksalt_disk.carry_out("partition", {})
    finally:
        said("wipefs", "--all", f"/dev/{devices[2]}")


def test_a_mirror_needs_the_kernel_and_says_so(real):
    """Where the kernel has no RAID, building one fails in words, and nothing is taken for finished."""
    if Path("/proc/mdstat").exists():
        pytest.skip("this kernel can do it; the QEMU tests boot from such an array")
    with pytest.raises(CommandExecutionError, match="mdadm"):
        real.modules.racksalt_disk.carry_out("partition", {"raid": "raid1"})
    assert real.modules.racksalt_disk.plan("partition", {"raid": "raid1"})["done"] is False
