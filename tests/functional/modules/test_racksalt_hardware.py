"""What the node tells of its hardware: from a description, and from the kernel's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import booted_by

SAMPLES = Path(__file__).parent.parent / "samples"
SCRIPTS = {
    "dmidecode": "cat {samples}/dmidecode.txt",
    "ipmitool": "cat {samples}/ipmitool.txt",
    "lspci": "cat {samples}/lspci.txt",
    "smartctl": (
        "case $* in *sda) cat {samples}/smartctl-sata.json;;"
        " *nvme0n1) cat {samples}/smartctl-nvme.json;; *) exit 0;; esac"
    ),
    "ethtool": (
        "case $* in '-P eth0') echo Permanent address: 02:cc:00:00:00:09;;"
        " '-i eth1') printf 'driver: ice\\nfirmware-version: 4.20\\nbus-info: 0000:3b:00.1\\n';;"
        " *) exit 1;; esac"
    ),
}


@pytest.fixture(autouse=True)
def _no_tools(real, tmp_path_factory, monkeypatch):
    """No program of the machine that runs the tests is asked, once Salt's loaders have asked theirs."""
    assert real.modules.racksalt_hardware.virtual() is False
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture
def tools(tmp_path_factory, monkeypatch):
    """Programs that print what such programs print on a server."""
    folder = tmp_path_factory.mktemp("tools")
    for name, script in SCRIPTS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script.format(samples=SAMPLES)}\n")
        (folder / name).chmod(0o755)
    (folder / "cat").symlink_to(shutil.which("cat", path="/usr/bin:/bin"))
    monkeypatch.setenv("PATH", str(folder))
    return folder


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
        "proc/cmdline": booted_by("02-aa-00-00-00-02"),
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
        "sys/block/nvme0n1/device/transport": "pcie\n",
        "sys/block/sr0/size": "100\n",
        "sys/block/loop0/size": "100\n",
        "sys/block/sdz/removable": "1\n",
        "sys/block/sdy/size": "0\n",
        "sys/devices/pci0/usb1/1-1/block/sdx/size": "60000\n",
        "sys/devices/pci0/usb1/1-1/block/sdx/removable": "0\n",
        "sys/block/md0/md/level": "raid1\n",
        "sys/block/md0/md/raid_disks": "2\n",
        "sys/class/firmware-attributes/vendor/attributes/Boot/current_value": "Legacy\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "sys/block/sdx").symlink_to(tmp_path / "sys/devices/pci0/usb1/1-1/block/sdx")
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
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    assert found["serial"] == "ABC123"
    assert found["bios_version"] == "2.4.1"
    assert (found["cpu_model"], found["cpu_cores"]) == ("CPU 9", 2)
    assert found["memory_mib"] == 16384
    assert json.loads(json.dumps(found)) == found


def test_only_physical_nics_count_and_the_booted_one_is_marked(real, kernel):
    """Loopback has no device; a NIC without a link has no speed; the boot script names the PXE NIC."""
    nics = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)["nics"]
    assert [nic["name"] for nic in nics] == ["eth0", "eth1"]
    assert [nic.get("speed_mbps") for nic in nics] == [None, 25000]
    assert [nic["pxe"] for nic in nics] == [False, True]


def test_only_fixed_disks_count(real, kernel):
    """Optical, loop, RAID, removable and USB devices, and empty drives, are no disks of the node."""
    disks = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)["disks"]
    assert {disk["name"]: disk["media"] for disk in disks} == {"nvme0n1": "nvme", "sda": "ssd"}
    assert disks[1] == {
        "name": "sda",
        "serial": "S1",
        "size_gb": 960,
        "media": "ssd",
        "rotational": False,
        "health": "unknown",
    }


def test_an_unreadable_kernel_is_unknown_not_an_error(real, tmp_path):
    """What cannot be read is left out and named; the node still reports."""
    found = real.modules.racksalt_hardware.inventory(root=str(tmp_path), lldp_s=0)
    assert "serial" not in found
    assert {"serial", "memory", "nics", "disks", "bmc", "pci"} <= set(found["unknown"])
    assert found["nics"] == []
    assert found["disks"] == []


def test_a_part_that_breaks_costs_no_other_part(real, kernel, monkeypatch):
    """Firmware breaks readers in ways that nobody foresaw: the rest of the inventory is still told."""
    modules = real.modules.racksalt_hardware.inventory.loader

    class Broken(dict):
        def __getitem__(self, name):
            if name == "racksalt_drive.disks":
                raise IndexError(name)
            return modules[name]

    module = next(
        loaded
        for name, loaded in __import__("sys").modules.items()
        if name.endswith("racksalt_hardware") and getattr(loaded, "_EXPECTED", None)
    )
    monkeypatch.setattr(module, "__salt__", Broken())
    found = module.inventory(root=str(kernel), lldp_s=0)
    assert found["serial"] == "ABC123"
    assert "disks" in found["unknown"]


def test_programs_add_what_the_kernel_does_not_tell(real, kernel, tools):
    """Memory by module, chassis, permanent MACs, drivers, health, firmware and PCI, with their units."""
    (kernel / "dev").mkdir()
    (kernel / "dev/ipmi0").touch()
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    assert found["memory"] == [
        {
            "slot": "A1",
            "size_mib": 32768,
            "speed_mts": 2933,
            "manufacturer": "Chipmaker",
            "part": "M393A4K40DB3-CWE",
            "serial": "12AB34CD",
        },
        {"slot": "B1", "size_mib": 16384, "speed_mts": 2400},
    ]
    assert found["chassis"]["serial"] == "CH-77"
    assert found["bmc"]["address"] == "10.10.8.7"
    assert found["bmc"]["vendor"] == "MAKER Inc"
    assert [nic["mac"] for nic in found["nics"]] == ["02:cc:00:00:00:09", "02:aa:00:00:00:02"]
    assert [nic.get("driver") for nic in found["nics"]] == [None, "ice"]
    assert [nic["pxe"] for nic in found["nics"]] == [False, True]
    health = {disk["name"]: (disk["health"], disk["serial"]) for disk in found["disks"]}
    assert health == {"nvme0n1": ("failing", "SN-NVME-1"), "sda": ("ok", "SN-SATA-1")}
    assert found["disks"][1]["wwn"] == "0x5002538" + f"{61203283968:09x}"
    assert [one["vendor"] for one in found["pci"]] == ["Intel Corporation", 'Maker "Net" Ltd.']
    assert found["firmware"] == {
        "bios": "2.4.1",
        "bmc": "6.10",
        "nic:eth1": "4.20",
        "disk:nvme0n1": "GDC5602Q",
        "disk:sda": "HXT7904Q",
    }
    assert found["unknown"] == []


def test_no_credentials_of_the_bmc_are_told(real, kernel, tools):
    """The community string that ipmitool prints is in no report."""
    (kernel / "dev").mkdir()
    (kernel / "dev/ipmi0").touch()
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    assert "public" not in json.dumps(found["bmc"])


def test_tools_that_print_nonsense_do_no_harm(real, kernel, tools):
    """Garbage, empty output and a core dump of any tool leave the kernel's own word."""
    for name in SCRIPTS:
        (tools / name).write_text(
            "#!/bin/sh\nprintf '\\377\\376{[\"Handle 0x1, DMI type 17'\nkill -9 $$\n"
        )
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    assert found["serial"] == "ABC123"
    assert [disk["health"] for disk in found["disks"]] == ["unknown", "unknown"]
    json.dumps(found)


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("product_serial", b"To Be Filled By O.E.M.\n", "serial"),
        ("product_serial", b"\xff\xfe\xfd", "serial"),
        ("product_uuid", b"00000000-0000-0000-0000-000000000000\n", "system_uuid"),
        ("product_uuid", b"03000200-0400-0500-0006-000700080009\n", "system_uuid"),
        ("product_uuid", b"no uuid at all\n", "system_uuid"),
        ("sys_vendor", b"System manufacturer\n", "vendor"),
    ],
)
def test_what_the_maker_forgot_to_fill_in_is_absent(real, kernel, name, content, key):
    """Two machines with the same nonsense are not one machine."""
    (kernel / "sys/class/dmi/id" / name).write_bytes(content)
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    assert key not in found
    assert key in found["unknown"]


def test_cores_are_counted_once_for_all_their_threads(real, kernel):
    """Two sockets of two cores with two threads each are 4 cores, 8 threads."""
    processors = [
        f"processor\t: {n}\nmodel name\t: CPU 9\nphysical id\t: {n % 2}\ncore id\t\t: {n // 2 % 2}\n"
        for n in range(8)
    ]
    (kernel / "proc/cpuinfo").write_text("\n".join(processors))
    found = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)
    counts = [found[key] for key in ("cpu_sockets", "cpu_cores", "cpu_threads")]
    assert counts == [2, 4, 8]


def test_virtual_functions_and_other_links_are_no_nics(real, kernel):
    """An SR-IOV function and an InfiniBand port have devices, but no cable of an Ethernet switch."""
    for name in ("vf0", "ib0"):
        (kernel / f"sys/class/net/{name}/device").mkdir(parents=True)
        (kernel / f"sys/class/net/{name}/address").write_text("02:aa:00:00:00:33\n")
    (kernel / "sys/class/net/vf0/device/physfn").mkdir()
    (kernel / "sys/class/net/ib0/type").write_text("32\n")
    nics = real.modules.racksalt_hardware.inventory(root=str(kernel), lldp_s=0)["nics"]
    assert [nic["name"] for nic in nics] == ["eth0", "eth1"]


def test_uefi_is_told_from_bios(real, kernel):
    """The kernel has a folder of the firmware only where UEFI started it."""
    assert real.modules.racksalt_hardware.inventory(str(kernel), 0)["firmware_mode"] == "bios"
    (kernel / "sys/firmware/efi").mkdir(parents=True)
    assert real.modules.racksalt_hardware.inventory(str(kernel), 0)["firmware_mode"] == "uefi"


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


def test_foreign_disks_are_told_from_blank_ones_and_our_own(real):
    """Data and partitions of somebody else's; an array's members are judged by what the array holds."""
    devices = [
        {
            "name": "sda",
            "type": "disk",
            "pttype": "gpt",
            "children": [{"name": "sda3", "fstype": "ext4", "label": "racksalt-root"}],
        },
        {"name": "sdb", "type": "disk", "fstype": "ext4", "label": "backup"},
        {"name": "sdc", "type": "disk"},
        {"name": "sdd", "type": "disk", "pttype": "dos", "children": [{"name": "sdd1"}]},
        {
            "name": "sde",
            "type": "disk",
            "fstype": "linux_raid_member",
            "children": [{"name": "md0", "fstype": "xfs"}],
        },
        {
            "name": "sdf",
            "type": "disk",
            "fstype": "linux_raid_member",
            "children": [{"name": "md1"}],
        },
        {"name": "loop0", "type": "loop", "fstype": "squashfs"},
    ]
    assert real.modules.racksalt_drive.strangers(devices) == [
        "sdb: ext4 backup",
        "sdd: dos partitions",
        "sde: xfs",
    ]


def test_without_lsblk_nothing_is_known_of_foreign_data(real):
    """Unknown is not safe."""
    assert real.modules.racksalt_drive.foreign() is None
