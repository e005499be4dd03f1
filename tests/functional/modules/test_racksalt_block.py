"""Which disks are a machine's own, and which are one disk, by a kernel's files as servers show them."""

from __future__ import annotations

import sys

import pytest
from salt.exceptions import CommandExecutionError

PCI = "devices/pci0000:00/0000:00:01.0"
SAS = f"{PCI}/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0"
SAS_AGAIN = f"{PCI}/host0/port-0:1/end_device-0:1/target0:0:1/0:0:1:0"
NVME, SUBSYSTEM = f"{PCI}/nvme/nvme0", "devices/virtual/nvme-subsystem/nvme-subsys0"
FC = f"{PCI}/host7/rport-7:0-0/target7:0:0/7:0:0:0"
ISCSI = "devices/platform/host8/session1/target8:0:0/8:0:0:0"
TWIN = {"serial": "S-1", "wwid": "naa.5000c500a1b2c3d4"}


class Sysfs:
    """Writes what the kernel shows of disks into a folder."""

    def __init__(self, root):
        self.root = root
        (root / "sys/block").mkdir(parents=True)

    def add(self, name, device, *, size=2_000_000, **files):
        """Show a disk below a device; ``files`` are the device's, and ``nsid`` the disk's own."""
        folder = self.root / "sys" / device
        scsi = not name.startswith("nvme")
        block = folder / ("block" if scsi else "") / name
        block.mkdir(parents=True)
        (block / "device").symlink_to(folder)
        (block / "size").write_text(f"{size}\n")
        own = {"nsid": block} if scsi else {"nsid": block, "wwid": block}
        for key, text in files.items():
            (own.get(key, folder) / key).write_text(f"{text}\n")
        (self.root / "sys/block" / name).symlink_to(block)
        return block


@pytest.fixture
def sysfs(tmp_path):
    """A machine without disks."""
    return Sysfs(tmp_path / "machine")


@pytest.fixture
def disks(real, sysfs, monkeypatch):
    """What writes, for the machine of that folder; the store has each of its own disks."""
    assert real.modules.racksalt_disk.disks()
    module = next(
        found
        for name, found in list(sys.modules.items())
        if name.endswith(".racksalt_disk") and hasattr(found, "_judged")
    )
    known = real.loaders.modules
    names = ("racksalt_settings.checked", "racksalt_partition.member", "racksalt_target.folder")
    plan = known["racksalt_drive.disks"]

    def pillar(key, default=None, **_):
        return plan(str(sysfs.root)) if key == "racksalt:disks" else default

    wrapped = {name: known[name] for name in names}
    wrapped["racksalt_block.disks"] = lambda only: known["racksalt_block.disks"](
        str(sysfs.root), only
    )
    wrapped["pillar.get"] = pillar
    monkeypatch.setattr(module, "__salt__", wrapped)
    monkeypatch.setattr(module, "_only", lambda: None)
    return module


def _listed(real, sysfs):
    return [disk["name"] for disk in real.modules.racksalt_drive.disks(root=str(sysfs.root))]


def _fabric_host(sysfs, kind):
    (sysfs.root / "sys" / PCI / "host9" / kind / "host9").mkdir(parents=True)
    sysfs.add("sdb", f"{PCI}/host9/target9:0:0/9:0:0:0", size=1_000_000, serial="LUN-1")


def _nvme_fabric(sysfs, transport):
    device = "devices/virtual/nvme-fabrics/ctl/nvme4"
    sysfs.add("nvme4n1", device, size=1_000_000, transport=transport, serial="LUN-1")


def _nvme_multipath(sysfs, transport):
    paths = sysfs.root / "sys/devices/virtual/nvme-fabrics/ctl"
    sysfs.add("nvme4n1", SUBSYSTEM, size=1_000_000, serial="LUN-1")
    for name in ("nvme4", "nvme5"):
        (paths / name).mkdir(parents=True)
        (paths / name / "transport").write_text(f"{transport}\n")
        (sysfs.root / "sys" / SUBSYSTEM / name).symlink_to(paths / name)


REMOTE = {
    "fibre channel": lambda sysfs: sysfs.add("sdb", FC, size=1_000_000, serial="LUN-1"),
    "iscsi": lambda sysfs: sysfs.add("sdb", ISCSI, size=1_000_000, serial="LUN-1"),
    "srp": lambda sysfs: _fabric_host(sysfs, "srp_host"),
    "nvme over tcp": lambda sysfs: _nvme_fabric(sysfs, "tcp"),
    "nvme over rdma, two paths": lambda sysfs: _nvme_multipath(sysfs, "rdma"),
    "nvme without a path": lambda sysfs: sysfs.add("nvme4n1", SUBSYSTEM, size=1_000_000),
}


@pytest.mark.parametrize("kind", REMOTE)
def test_what_comes_over_a_storage_network_is_not_the_nodes_own(real, sysfs, disks, kind):
    """Other hosts may use it: it is not in the inventory, no system disk though the smallest, never erased."""
    sysfs.add("sda", SAS, **TWIN)
    REMOTE[kind](sysfs)
    assert _listed(real, sysfs) == ["sda"]
    assert [disk["name"] for disk in disks.chosen({})] == ["sda"]
    assert [disk["name"] for disk in disks.allowed("all")] == ["sda"]
    assert any("comes over a storage network" in why for why in disks.refusals().values())
    with pytest.raises(CommandExecutionError, match="no disk has the serial or WWN lun-1"):
        disks.allowed(["LUN-1"])


def test_a_local_nvme_disk_behind_native_multipath_is_the_nodes_own(real, sysfs, disks):
    """Many PCIe disks could have two ports: the kernel shows them below the subsystem, not the controller."""
    _nvme_multipath(sysfs, "pcie")
    assert _listed(real, sysfs) == ["nvme4n1"]
    assert [disk["name"] for disk in disks.allowed("all")] == ["nvme4n1"]


def test_a_disk_with_two_cables_is_one_disk(real, sysfs, disks):
    """It is told once, fills one half of a mirror only, and is in use when either of its names is."""
    sysfs.add("sda", SAS, **TWIN)
    second = sysfs.add("sdb", SAS_AGAIN, **TWIN)
    assert _listed(real, sysfs) == ["sda"]
    (one,) = disks.allowed("all")
    assert one["paths"] == ["sda", "sdb"]
    with pytest.raises(CommandExecutionError, match="2 system disks wanted, 1 fit"):
        disks.chosen({"raid": "raid1"})
    (second / "sdb1/holders/dm-3").mkdir(parents=True)
    assert disks.refusals() == {"sda": "is in use by dm-3"}


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ({"serial": "S-1"}, {"serial": "S-1"}, 1),
        ({"wwid": TWIN["wwid"]}, TWIN, 1),
        ({"serial": "S-1"}, {"serial": "S-1", "size": 4_000_000}, 2),
        ({"serial": "S-1", "wwid": "t10.A"}, {"serial": "S-1", "wwid": "t10.B"}, 2),
        (TWIN, {**TWIN, "serial": "S-2"}, 2),
        ({"wwid": "naa.0000000000000000"}, {"wwid": "naa.0000000000000000"}, 2),
        ({"serial": "00000000"}, {"serial": "00000000"}, 2),
        ({}, {}, 2),
    ],
)
def test_disks_are_one_only_where_nothing_says_otherwise(real, sysfs, first, second, count):
    """A disk that was taken for another one would not be erased, and nobody would know."""
    sysfs.add("sda", SAS, **first)
    sysfs.add("sdb", SAS_AGAIN, **second)
    assert len(_listed(real, sysfs)) == count


def test_two_namespaces_are_two_disks_but_no_mirror(real, sysfs, disks):
    """Both are erased; a system that is mirrored within one disk would be lost with it."""
    for number in (1, 2):
        same = {"serial": "N-1", "transport": "pcie"}
        sysfs.add(f"nvme0n{number}", NVME, nsid=number, wwid="nvme.8086-n", **same)
    assert _listed(real, sysfs) == ["nvme0n1", "nvme0n2"]
    assert len(disks.allowed("all")) == 2
    assert disks.chosen({})[0]["name"] == "nvme0n1"
    with pytest.raises(
        CommandExecutionError, match=r"nvme0n2 .* is in the same hardware as nvme0n1: a mirror"
    ):
        disks.chosen({"raid": "raid1"})


def test_what_is_made_of_a_disk_is_known_with_its_partitions(real, sysfs):
    """An array on a partition may hold a system or be mounted, as may the partitions of the array."""
    block = sysfs.add("sda", SAS, **TWIN)
    for part in ("sda1", "sda1/holders/md127"):
        (block / part).mkdir(parents=True)
    (block / "sda1/partition").write_text("1\n")
    array = sysfs.root / "sys/block/md127"
    (array / "md127p1").mkdir(parents=True)
    (array / "dev").write_text("9:127\n")
    (array / "md127p1/partition").write_text("1\n")
    (disk,) = real.modules.racksalt_block.disks(root=str(sysfs.root))
    assert [name for name, _ in disk["parts"]] == ["sda", "sda1", "md127", "md127p1"]
    assert ["md127", "9:127"] in disk["parts"]


@pytest.mark.parametrize("serial", ["00000000", "To be filled by O.E.M.", "None"])
def test_a_serial_number_that_says_nothing_is_none(sysfs, disks, serial):
    """Inventory and what writes read alike: such a disk is in the plan by its name and size."""
    sysfs.add("sda", SAS, serial=serial, wwid="naa.0000000000000000")
    (one,) = disks.allowed("all")
    assert (one["serial"], one["wwn"], one["refused"]) == (None, None, None)
    assert disks.chosen({})[0]["name"] == "sda"
