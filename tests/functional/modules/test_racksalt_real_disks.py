"""Real block devices: which may be written to, partitioned once, and nothing but what was asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loop_disks import LoopDisks, LoopNode, skip_unless_loops
from tests.support.salt_node import SaltNode


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    """Two disks of different sizes, made for this file."""
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
def node(machine):
    """The machine in the same boot as always, with no pillar."""
    machine.pillar()
    machine.reboot()
    return machine


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _refused(node: SaltNode) -> dict[str, str]:
    return {disk["name"]: disk["refused"] for disk in node.modules.racksalt_disk.disks()}


def test_only_the_named_devices_are_seen(node, devices):
    """Nothing else of this computer is a disk of the machine."""
    assert set(_refused(node)) == {devices[1], devices[2]}


def test_the_smallest_disk_that_fits_is_chosen(node, devices):
    """A disk that is too small is named with its size and what is needed."""
    assert [d["name"] for d in node.modules.racksalt_disk.chosen({})] == [devices[1]]
    large = node.modules.racksalt_disk.chosen({"root_gb": 0.16})
    assert [disk["name"] for disk in large] == [devices[2]]
    with pytest.raises(CommandExecutionError, match=r"is too small: 0.7 GB, 20.6 GB are needed"):
        node.modules.racksalt_disk.chosen({"root_gb": 20})


def test_disks_are_chosen_by_what_is_asked_for(node, devices):
    """Name, size and kind select; a disk that is not asked for is named with the reason."""
    match = {"name": devices[2], "min_gb": 0.5}
    assert node.modules.racksalt_disk.chosen({"disks": {"match": match}})[0]["name"] == devices[2]
    with pytest.raises(CommandExecutionError, match="is not asked for"):
        node.modules.racksalt_disk.chosen({"disks": {"match": {"serial": "S-1"}}})
    with pytest.raises(CommandExecutionError, match="cannot choose disks by colour; use serial"):
        node.modules.racksalt_disk.chosen({"disks": {"match": {"colour": "red"}}})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"raid": "raid5"}, "raid 'raid5' on 1 disks cannot be built"),
        ({"disks": {"count": 2}}, "raid 'none' on 2 disks cannot be built"),
        ({"filesystem": "xfs"}, "images are ext4 filesystems"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_done(node, settings, told):
    """The message names the key and what can be built."""
    with pytest.raises(CommandExecutionError, match=told):
        node.modules.racksalt_disk.plan("partition", settings)


def test_a_mounted_disk_is_refused(node, devices, tmp_path):
    """The message says where it is mounted; nothing can be erased or partitioned."""
    device = f"/dev/{devices[1]}"
    _run("mke2fs", "-q", "-F", "-t", "ext4", device, "100M")
    _run("mount", device, str(tmp_path))
    try:
        assert _refused(node)[devices[1]] == f"is in use: {devices[1]} is mounted at {tmp_path}"
        with pytest.raises(CommandExecutionError, match=r"nothing was erased: .* is mounted at"):
            node.modules.racksalt_disk.carry_out("erase", {"disks": "all"})
    finally:
        _run("umount", str(tmp_path))
    assert "ext4" in _run("blkid", "-p", device)


def test_a_disk_outside_the_plan_is_refused(node, devices):
    """A disk that the inventory does not have is neither erased nor partitioned, and is named."""
    small = {"name": devices[1], "serial": None, "size_gb": 1}
    node.pillar(disks=[small])
    assert _refused(node)[devices[1]] is None
    assert "outside the plan" in _refused(node)[devices[2]]
    with pytest.raises(CommandExecutionError, match=rf"{devices[2]} \(serial unknown\) is outside"):
        node.modules.racksalt_disk.plan("erase", {"disks": "all"})
    node.pillar(disks=[])
    with pytest.raises(CommandExecutionError, match=r"nothing was changed: .* is outside the plan"):
        node.modules.racksalt_disk.carry_out("partition", {})


def test_another_disk_of_the_same_name_is_outside_the_plan(node, devices):
    """A serial number in the plan must be that of the disk; its name alone is nothing."""
    node.pillar(disks=[{"name": devices[1], "serial": "S-1", "size_gb": 1}])
    assert "outside the plan" in _refused(node)[devices[1]]


def test_partitioning_is_told_done_once_and_read_back(node, devices):
    """BIOS boot, EFI system and root partition are there; a second run in the same boot changes nothing."""
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", f"/dev/{devices[1]}", "100M")
    told = node.states.racksalt_disk.partitioned(name="p", test=True)
    assert told.result is None
    assert told.changes["wiped"][devices[1]]["content"] == {devices[1]: "ext4 precious"}
    assert node.states.racksalt_disk.partitioned(name="p").result is True
    again = node.states.racksalt_disk.partitioned(name="p")
    assert (again.result, again.changes) == (True, {})
    made = node.modules.racksalt_partition.made()
    assert made["root"] == f"/dev/{devices[1]}p3"
    assert 'TYPE="vfat"' in _run("blkid", "-p", made["disks"][0]["esp"])
    sizes = _run("lsblk", "-b", "-n", "-l", "-o", "SIZE", f"/dev/{devices[1]}").split()
    assert sizes[1:3] == [str(2**20), str(512 * 2**20)]


def test_a_try_that_was_killed_is_begun_anew(node, devices):
    """Partitions without the mark that is written last are not taken for finished ones."""
    node.modules.racksalt_disk.carry_out("partition", {})
    other = "11111111-2222-3333-4444-555555555555"
    _run("sfdisk", "--disk-id", f"/dev/{devices[1]}", other)
    assert node.modules.racksalt_disk.plan("partition", {})["done"] is False
    with pytest.raises(CommandExecutionError, match="run the stage partition first"):
        node.modules.racksalt_partition.made()
    node.modules.racksalt_disk.carry_out("partition", {})
    assert node.modules.racksalt_disk.plan("partition", {})["done"] is True


def test_another_installation_partitions_anew(node):
    """What an earlier boot's installation did counts for nothing."""
    node.modules.racksalt_disk.carry_out("partition", {})
    node.reboot("a" * 64)
    assert node.modules.racksalt_disk.plan("partition", {})["done"] is False


def test_another_layout_partitions_anew(node):
    """The mark alone is not enough: the partitions must be those that are asked for now."""
    node.modules.racksalt_disk.carry_out("partition", {})
    assert node.modules.racksalt_disk.plan("partition", {"root_gb": 0.1})["done"] is False


def test_a_second_system_on_another_disk_is_refused(node, devices):
    """GRUB finds the system by its label; one on a disk that is not the system disk stops everything."""
    _run("mke2fs", "-q", "-F", "-L", "racksalt-root", f"/dev/{devices[2]}", "50M")
    node.reboot("b" * 64)
    with pytest.raises(CommandExecutionError, match="holds another system labelled racksalt-root"):
        node.modules.racksalt_disk.carry_out("partition", {})
    _run("wipefs", "--all", f"/dev/{devices[2]}")


def test_a_mirror_needs_the_kernel_and_says_so(node):
    """Where the kernel has no RAID, building one fails in words, and nothing is taken for finished."""
    if Path("/proc/mdstat").exists():
        pytest.skip("this kernel can do it; the QEMU tests boot from such an array")
    with pytest.raises(CommandExecutionError, match="mdadm"):
        node.modules.racksalt_disk.carry_out("partition", {"raid": "raid1"})
    assert node.modules.racksalt_disk.plan("partition", {"raid": "raid1"})["done"] is False


def test_a_system_that_racksalt_did_not_boot_is_never_written_to(tmp_path):
    """Not even with root's rights and a disk that fits: the kernel's command line must say so."""
    real = SaltNode(tmp_path, virtual=False, more={"only_devices": None})
    with pytest.raises(
        CommandExecutionError, match=r"did not boot this system .* nothing was changed"
    ):
        real.modules.racksalt_disk.carry_out("erase", {"disks": ["no-such-serial"]})


def test_a_machine_in_a_test_has_no_disks_of_this_computer(tmp_path):
    """The rule that protects the computer on which the tests run."""
    real = SaltNode(tmp_path, virtual=False)
    assert real.modules.racksalt_disk.disks() == []
    with pytest.raises(CommandExecutionError, match="there is no disk"):
        real.modules.racksalt_disk.carry_out("erase", {})


def test_a_missing_program_is_told_with_its_package(node, tmp_path):
    """Here and in the installed system."""
    run = node.modules.racksalt_program.run
    with pytest.raises(CommandExecutionError, match="no no-such-tool: its image lacks the package"):
        run(["no-such-tool"])
    with pytest.raises(CommandExecutionError, match=r"has no update-grub: .* package grub2-common"):
        run(["update-grub"], root=str(tmp_path))
