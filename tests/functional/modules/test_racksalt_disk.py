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
    with pytest.raises(CommandExecutionError, match="match:colour: no such key; use serial"):
        real.modules.racksalt_disk.chosen({"disks": {"match": {"colour": "red"}}})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"raid": "raid5"}, "raid 'raid5' on 1 disks cannot be built"),
        ({"disks": {"count": 2}}, "raid 'none' on 2 disks cannot be built"),
        ({"raidd": "raid1"}, "partition:raidd: no such key; use disks, raid"),
        ({"disks": {"number": 2}}, "disks:number: no such key; use count, match"),
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


SETTINGS = [{}, {"raid": "raid1"}, {"disks": {"match": {"min_gb": 0.1, "serial": "S*"}}}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_other_disk_is_taken_for_a_system_disk_that_is_missing(real, devices, settings):
    """A dead or late system disk must not cost the data on the next one, whatever is asked for but names."""
    dead = {"name": "sda", "serial": "S-1", "wwn": None, "size_gb": 240}
    there = [{"name": name, "serial": None, "size_gb": 1} for name in devices[1:3]]
    real.pillar(disks=[dead, *there], stages={"partition": settings})
    told = r"nothing was changed: sda \(serial S-1\) is in the plan and not in the machine"
    for stage, asked in (("partition", settings), ("erase", {"disks": "system"})):
        with pytest.raises(CommandExecutionError, match=told):
            real.modules.racksalt_disk.carry_out(stage, asked)


@pytest.mark.parametrize(
    ("dead", "match", "stops"),
    [
        ({"serial": "D-1"}, {"serial": "S-1"}, False),
        ({"serial": "D-1"}, {"serial": ["S-*", "d-1"]}, True),
        ({"wwn": "0x5000"}, {"wwn": "0x6*"}, False),
        ({"wwn": "0x5000"}, {"serial": "S-1"}, True),
        ({"serial": "D-1"}, {"name": "sda", "rotational": True}, True),
        ({"serial": "D-1"}, {"max_gb": 900}, False),
        ({"serial": "D-1"}, {"max_gb": 959.7}, True),
        ({"serial": "D-1"}, {"min_gb": 961}, False),
        ({"size_gb": None}, {"max_gb": 100}, True),
        ({}, {"serial": "S-1", "wwn": "0x6"}, True),
    ],
)
def test_a_missing_disk_that_the_settings_exclude_does_not_matter(real, dead, match, stops):
    """By serial number, WWN or size, which the plan has; a kernel name, or a number that nobody knows, does not."""
    real.pillar(disks=[{"name": "sdz", "serial": None, "wwn": None, "size_gb": 960, **dead}])
    told = "is in the plan and not in the machine" if stops else "1 system disks wanted, 0 fit"
    with pytest.raises(CommandExecutionError, match=told):
        real.modules.racksalt_disk.chosen({"disks": {"match": match}})


def test_no_other_disk_is_taken_for_one_that_became_write_protected(real, devices):
    """Worn-out flash does that; only disks of the plan count."""
    small = f"/dev/{devices[1]}"
    said("blockdev", "--setro", small)
    try:
        real.pillar(disks=[{"name": name, "serial": None, "size_gb": 1} for name in devices[1:3]])
        with pytest.raises(CommandExecutionError, match=rf"{devices[1]} .* is write-protected"):
            real.modules.racksalt_disk.chosen({})
        larger = {"disks": {"match": {"min_gb": 0.8}}}
        assert [d["name"] for d in real.modules.racksalt_disk.chosen(larger)] == [devices[2]]
        real.pillar(disks=[{"name": devices[2], "serial": None, "size_gb": 1}])
        assert [d["name"] for d in real.modules.racksalt_disk.chosen({})] == [devices[2]]
    finally:
        said("blockdev", "--setrw", small)


def test_the_same_disk_comes_first_in_each_boot(real):
    """Kernel names are dealt anew at each boot: of equal disks the serial number decides, then the WWN."""
    known = real.modules.racksalt_disk.chosen
    place = known.func.__globals__["_place"]
    one = {"bytes": 10, "serial": "A", "wwn": None}
    other = {"bytes": 10, "serial": "B", "wwn": None}
    third = {"bytes": 10, "serial": "B", "wwn": "0x5"}
    for names in (("sda", "sdb", "sdc"), ("sdc", "sdb", "sda")):
        found = [{**d, "name": n} for d, n in zip((one, other, third), names, strict=True)]
        ordered = sorted(found, key=place)
        told = [(disk["serial"], disk["wwn"]) for disk in ordered]
        assert told == [("A", None), ("B", None), ("B", "0x5")]
    assert place({**one, "name": "sda"}) > place({**other, "bytes": 9, "name": "sdb"})


def test_a_system_on_a_disk_that_is_not_chosen_is_told_before_anything_is_erased(real, devices):
    """Who erases the system disks means those that hold the system."""
    large = f"/dev/{devices[2]}"
    said("mke2fs", "-q", "-F", "-L", "racksalt-root", large, "50M")
    try:
        with pytest.raises(CommandExecutionError, match="holds another system labelled"):
            real.modules.racksalt_disk.carry_out("erase", {"disks": "system"})
    finally:
        said("wipefs", "--all", large)


@pytest.mark.parametrize("nothing", [[], None, ""])
def test_no_disk_is_not_every_disk(real, nothing):
    """An empty list in a layer must not erase a machine."""
    with pytest.raises(CommandExecutionError, match="no disk is asked for"):
        real.modules.racksalt_disk.plan("erase", {"disks": nothing})


@pytest.mark.parametrize("asked", [12345678, [12345678], ["S-1", True]])
def test_a_number_is_no_serial_number(real, asked):
    """It need not look as the disk has it (0123 is 83 to YAML): nothing is erased by it, right or wrong."""
    told = "stages:erase:disks: .* is no text; put it in quotes"
    with pytest.raises(CommandExecutionError, match=told):
        real.modules.racksalt_disk.carry_out("erase", {"disks": asked})
    with pytest.raises(CommandExecutionError, match=told):
        real.modules.racksalt_disk.allowed(asked)


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


WRITERS = [
    ("racksalt_partition.carry_out", {"disks": {"match": {"serial": "no-such-serial"}}}),
    ("racksalt_partition.clear", []),
    ("racksalt_erase.carry_out", {"disks": ["no-such-serial"]}),
    ("racksalt_target.carry_out", {}),
    ("racksalt_configure.carry_out", {}),
    ("racksalt_raid.carry_out", []),
    ("racksalt_bootloader.install", "/nonexistent"),
    ("racksalt_image.write", "os/none/1", "none", "/nonexistent"),
]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A machine that looks at the kernel's command line, which is this computer's."""
    folder = tmp_path_factory.mktemp("foreign")
    return SaltNode(folder, virtual=False, more={"only_devices": None})


@pytest.mark.parametrize(("name", "args"), [(name, args) for name, *args in WRITERS])
def test_no_function_that_writes_can_be_called_past_that(foreign, name, args):
    """Each of them asks by itself, whoever calls it."""
    with pytest.raises(CommandExecutionError, match="did not boot this system"):
        foreign.loaders.modules[name](*args)


def test_disks_that_are_refused_are_written_to_by_nobody(real, devices):
    """What a caller brings along is looked at again: in the plan, and there."""
    real.pillar(disks=[{"name": devices[1], "serial": None, "size_gb": 1}])
    large = next(d for d in real.modules.racksalt_disk.disks() if d["name"] == devices[2])
    step = {"array": {"name": "a", "level": "raid0", "devices": 1}, "action": "create"}
    said("mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", large["device"], "50M")
    for act, told in (
        (lambda: real.modules.racksalt_partition.clear([large]), "is outside the plan"),
        (
            lambda: real.modules.racksalt_raid.carry_out([{**step, "disks": [devices[2]]}]),
            "is outside the plan",
        ),
        (
            lambda: real.modules.racksalt_raid.carry_out([{**step, "disks": ["sdnone"]}]),
            r"sdnone \(serial unknown\) is no disk of this machine",
        ),
    ):
        with pytest.raises(CommandExecutionError, match=rf"nothing was changed: .*{told}"):
            act()
    assert 'LABEL="precious"' in said("blkid", "-p", large["device"])
    said("wipefs", "--all", large["device"])


def test_a_node_at_rest_has_no_disk_to_write_to(foreign):
    """Without a plan all disks are refused, with the reason."""
    assert all(disk["refused"] for disk in foreign.modules.racksalt_disk.disks())
    refusal = foreign.modules.racksalt_disk.disks.func.__globals__["_refusal"]
    disk = {"away": None, "read_only": False, "parts": [], "holders": []}
    assert "racksalt has none while a node is at rest" in refusal(disk, {}, None, None)


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
