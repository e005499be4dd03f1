"""What the node tells of its hardware: from a description, and from the kernel's files."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def kernel(tmp_path):
    """A kernel's /sys and /proc, as a server shows them."""
    files = {
        "sys/class/dmi/id/product_serial": "ABC123\n",
        "sys/class/dmi/id/product_uuid": "11111111-2222-3333-4444-555555555555\n",
        "sys/class/dmi/id/sys_vendor": "Maker\n",
        "sys/class/dmi/id/product_name": "Server 1\n",
        "sys/class/dmi/id/bios_version": "2.4.1\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: CPU 9\n\nprocessor\t: 1\nmodel name\t: CPU 9\n",
        "proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n",
        "proc/cmdline": "quiet BOOTIF=01-02-AA-00-00-00-02 racksalt.node=n1\n",
        "sys/class/net/eth0/address": "02:aa:00:00:00:01\n",
        "sys/class/net/eth0/speed": "-1\n",
        "sys/class/net/eth1/address": "02:aa:00:00:00:02\n",
        "sys/class/net/eth1/speed": "25000\n",
        "sys/class/net/lo/address": "00:00:00:00:00:00\n",
        "sys/block/sda/size": "1875385008\n",
        "sys/block/sda/queue/rotational": "0\n",
        "sys/block/sda/removable": "0\n",
        "sys/block/sda/device/serial": "S1\n",
        "sys/block/nvme0n1/size": "2000\n",
        "sys/block/sr0/size": "100\n",
        "sys/block/loop0/size": "100\n",
        "sys/block/sdz/removable": "1\n",
        "sys/block/md0/md/level": "raid1\n",
        "sys/block/md0/md/raid_disks": "2\n",
        "sys/class/firmware-attributes/vendor/attributes/Boot/current_value": "Legacy\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for nic in ("eth0", "eth1"):
        (tmp_path / f"sys/class/net/{nic}/device").mkdir()
    return tmp_path


def test_a_described_machine_reports_its_description(node):
    """With a hardware file, the inventory is what that file says."""
    hardware = node.describe()
    assert node.modules.racksalt_hardware.inventory() == hardware
    assert node.modules.racksalt_hardware.virtual() is True


def test_the_kernel_is_read_with_racksalts_units(real, kernel):
    """Without one, serials, memory in MiB, speeds in Mbit/s and disks in 10^9 bytes come from sysfs."""
    found = real.modules.racksalt_hardware.inventory(root=str(kernel))
    assert found["serial"] == "ABC123"
    assert found["bios_version"] == "2.4.1"
    assert (found["cpu_model"], found["cpu_cores"]) == ("CPU 9", 2)
    assert found["memory_mib"] == 16384
    assert json.loads(json.dumps(found)) == found


def test_only_physical_nics_count_and_the_booted_one_is_marked(real, kernel):
    """Loopback has no device; a NIC without a link has no speed; BOOTIF names the PXE NIC."""
    nics = real.modules.racksalt_hardware.inventory(root=str(kernel))["nics"]
    assert [nic["name"] for nic in nics] == ["eth0", "eth1"]
    assert [nic["speed_mbps"] for nic in nics] == [None, 25000]
    assert [nic["pxe"] for nic in nics] == [False, True]


def test_only_fixed_disks_count(real, kernel):
    """Optical, loop, RAID and removable devices are no disks of the node."""
    disks = real.modules.racksalt_hardware.inventory(root=str(kernel))["disks"]
    assert {disk["name"]: disk["media"] for disk in disks} == {"nvme0n1": "nvme", "sda": "ssd"}
    assert disks[1] | {"health": None} == {
        "name": "sda",
        "serial": "S1",
        "size_gb": 960,
        "media": "ssd",
        "health": None,
    }


def test_an_unreadable_kernel_gives_none_not_an_error(real, tmp_path):
    """What cannot be read is None; the node still reports."""
    found = real.modules.racksalt_hardware.inventory(root=str(tmp_path))
    assert found["serial"] is None
    assert found["nics"] == []
    assert found["disks"] == []


def test_bios_settings_are_written_and_read_back(real, kernel):
    """The kernel's firmware attributes are written; only what reads back as asked is returned."""
    asked = {"Boot": "UEFI", "NoSuchSetting": "1"}
    assert real.modules.racksalt_hardware.bios_set(asked, root=str(kernel)) == {"Boot": "UEFI"}
    assert real.modules.racksalt_hardware.bios_settings(root=str(kernel)) == {"Boot": "UEFI"}


def test_software_raid_is_seen(real, kernel):
    """Arrays are listed with level and number of devices."""
    assert real.modules.racksalt_hardware.raid(root=str(kernel)) == [
        {"name": "md0", "level": "raid1", "devices": 2}
    ]


def test_secure_boot_is_read_from_the_firmware_variable(real, kernel):
    """The fifth byte of the variable tells; without the variable nothing is known."""
    assert real.modules.racksalt_hardware.security(root=str(kernel))["secure_boot"] is None
    variable = kernel / "sys/firmware/efi/efivars/SecureBoot-8be4df61"
    variable.parent.mkdir(parents=True)
    variable.write_bytes(b"\x06\x00\x00\x00\x01")
    assert real.modules.racksalt_hardware.security(root=str(kernel))["secure_boot"] is True
