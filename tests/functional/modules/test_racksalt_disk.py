"""The disks of a real machine: which may be written to, and why not the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.loop_disks import said
from tests.support.salt_node import SaltNode


def _refused(node: SaltNode) -> dict[str, str]:
    return {disk["name"]: disk["refused"] for disk in node.modules.racksalt_disk.disks()}


def test_only_the_named_devices_are_seen(real, devices):
    """Nothing else of this computer is a disk of the machine."""
    assert set(_refused(real)) == {devices[1], devices[2]}


def test_the_smallest_disk_that_fits_is_chosen(real, devices):
    """A disk that is too small is named with its size and what is needed."""
    assert [d["name"] for d in real.modules.racksalt_disk.chosen({})] == [devices[1]]
    large = real.modules.racksalt_disk.chosen({"root_gb": 0.16})
    assert [disk["name"] for disk in large] == [devices[2]]
    with pytest.raises(CommandExecutionError, match=r"is too small: 0.7 GB, 20.6 GB are needed"):
        real.modules.racksalt_disk.chosen({"root_gb": 20})


def test_disks_are_chosen_by_what_is_asked_for(real, devices):
    """Name, size and kind select; a disk that is not asked for is named with the reason."""
    match = {"name": devices[2], "min_gb": 0.5}
    assert real.modules.racksalt_disk.chosen({"disks": {"match": match}})[0]["name"] == devices[2]
    with pytest.raises(CommandExecutionError, match="is not asked for"):
        real.modules.racksalt_disk.chosen({"disks": {"match": {"serial": "S-1"}}})
    with pytest.raises(CommandExecutionError, match="no key colour; use serial"):
        real.modules.racksalt_disk.chosen({"disks": {"match": {"colour": "red"}}})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"raid": "raid5"}, "raid 'raid5' on 1 disks cannot be built"),
        ({"disks": {"count": 2}}, "raid 'none' on 2 disks cannot be built"),
        ({"raidd": "raid1"}, "partition: no key raidd; use disks, raid"),
        ({"disks": {"number": 2}}, "partition:disks: no key number; use count, match"),
        ({"filesystem": "xfs"}, "images are ext4 filesystems"),
        ({"disks": {"match": {"serial": 12345678}}}, "match:serial: 12345678 .* is no text"),
        ({"disks": {"match": {"wwn": ["0x5*", 0x5000C5]}}}, "match:wwn: .*0x5000c5. is no text"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_done(real, settings, told):
    """The message names the key and what can be built."""
    with pytest.raises(CommandExecutionError, match=told):
        real.modules.racksalt_disk.plan("partition", settings)


def test_a_mounted_disk_is_refused(real, devices, tmp_path):
    """The message says where it is mounted; nothing can be erased or partitioned."""
    device = f"/dev/{devices[1]}"
    said("mke2fs", "-q", "-F", "-t", "ext4", device, "100M")
    said("mount", device, str(tmp_path))
    try:
        assert _refused(real)[devices[1]] == f"is in use: {devices[1]} is mounted at {tmp_path}"
        with pytest.raises(CommandExecutionError, match=r"nothing was erased: .* is mounted at"):
            real.modules.racksalt_disk.carry_out("erase", {"disks": "all"})
    finally:
        said("umount", str(tmp_path))
    assert "ext4" in said("blkid", "-p", device)


def test_a_disk_outside_the_plan_is_refused(real, devices):
    """A disk that the inventory does not have is neither erased nor partitioned, and is named."""
    small = {"name": devices[1], "serial": None, "size_gb": 1}
    real.pillar(disks=[small])
    assert _refused(real)[devices[1]] is None
    assert "outside the plan" in _refused(real)[devices[2]]
    with pytest.raises(CommandExecutionError, match=rf"{devices[2]} \(serial unknown\) is outside"):
        real.modules.racksalt_disk.plan("erase", {"disks": "all"})
    real.pillar(disks=[])
    with pytest.raises(CommandExecutionError, match=r"nothing was changed: .* is outside the plan"):
        real.modules.racksalt_disk.carry_out("partition", {})


def test_nothing_is_erased_where_a_disk_of_the_plan_is_missing(real, devices):
    """It still holds what it held: a node is not erased without it, and the message names it."""
    there = [{"name": name, "serial": None, "size_gb": 1} for name in devices[1:3]]
    real.pillar(disks=[*there, {"name": "sdq", "serial": "S-7", "size_gb": 960}])
    with pytest.raises(
        CommandExecutionError, match=r"sdq \(serial S-7\) is in the plan and not in"
    ):
        real.modules.racksalt_disk.carry_out("erase", {"disks": "all"})
    # Who names disks, or wants the system's, has said which.
    assert real.modules.racksalt_disk.allowed("system")


@pytest.mark.parametrize("nothing", [[], None, ""])
def test_no_disk_is_not_every_disk(real, nothing):
    """An empty list in a layer must not erase a machine."""
    with pytest.raises(CommandExecutionError, match="no disk is asked for"):
        real.modules.racksalt_disk.plan("erase", {"disks": nothing})


@pytest.mark.parametrize("asked", [12345678, [12345678], ["S-1", True]])
def test_a_number_is_no_serial_number(real, asked):
    """It need not look as the disk has it (0123 is 83 to YAML): nothing is erased by it, right or wrong."""
    with pytest.raises(CommandExecutionError, match="is no text; put it in quotes"):
        real.modules.racksalt_disk.carry_out("erase", {"disks": asked})


def test_another_disk_of_the_same_name_is_outside_the_plan(real, devices):
    """A serial number in the plan must be that of the disk; its name alone is nothing."""
    real.pillar(disks=[{"name": devices[1], "serial": "S-1", "size_gb": 1}])
    assert "outside the plan" in _refused(real)[devices[1]]


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


def test_the_system_disks_alone_can_be_erased(real, devices):
    """Before an installation, arrays of data on other disks stay as they are."""
    with Path(f"/dev/{devices[2]}").open("r+b", buffering=0) as disk:
        disk.write(b"data disk!")
    done = real.modules.racksalt_disk.carry_out("erase", {"disks": "system"})
    assert [disk["name"] for disk in done["data"]["erasure"]["disks"]] == [devices[1]]
    with Path(f"/dev/{devices[2]}").open("rb") as disk:
        assert disk.read(10) == b"data disk!"
