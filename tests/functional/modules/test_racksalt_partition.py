"""Partitions of real disks: made once, read back, begun anew when a try was killed."""

from __future__ import annotations

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


def test_a_second_system_on_another_disk_is_refused(real, devices):
    """GRUB finds the system by its label; one on a disk that is not the system disk stops everything."""
    said("mke2fs", "-q", "-F", "-L", "racksalt-root", f"/dev/{devices[2]}", "50M")
    real.reboot("b" * 64)
    with pytest.raises(CommandExecutionError, match="holds another system labelled racksalt-root"):
        real.modules.racksalt_disk.carry_out("partition", {})
    said("wipefs", "--all", f"/dev/{devices[2]}")


def test_a_mirror_needs_the_kernel_and_says_so(real):
    """Where the kernel has no RAID, building one fails in words, and nothing is taken for finished."""
    if Path("/proc/mdstat").exists():
        pytest.skip("this kernel can do it; the QEMU tests boot from such an array")
    with pytest.raises(CommandExecutionError, match="mdadm"):
        real.modules.racksalt_disk.carry_out("partition", {"raid": "raid1"})
    assert real.modules.racksalt_disk.plan("partition", {"raid": "raid1"})["done"] is False
