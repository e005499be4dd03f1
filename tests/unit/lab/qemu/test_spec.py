from __future__ import annotations

import itertools
from pathlib import Path

from racksalt.lab.qemu.spec import LONGEST_SOCKET, Files, Spec, command, tap_name

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")


def _command(firmware: str = "bios", first: str = "network", **more) -> list[str]:
    spec = Spec(id="q1", macs=MACS, disks_gb=(6, 6), firmware=firmware, serial="SN1", **more)
    return command(spec, Files(Path("/lab/q1")), ["m0n0", "m0n1"], first=first)


def _devices(words: list[str]) -> dict[str, dict[str, str]]:
    """Return the options of each -device that has an id."""
    found = {}
    for flag, value in itertools.pairwise(words):
        if flag == "-device" and ",id=" in value:
            options = dict(one.partition("=")[::2] for one in value.split(",")[1:])
            found[options["id"]] = options
    return found


def test_each_card_has_its_mac_and_its_switch_port():
    """A machine's MACs and taps are joined in their order."""
    words = _command()
    devices = _devices(words)
    assert [devices[f"nic{n}"]["mac"] for n in (0, 1)] == list(MACS)
    assert [w for w in words if w.startswith("tap,")] == [
        "tap,id=net0,ifname=m0n0,script=no,downscript=no",
        "tap,id=net1,ifname=m0n1,script=no,downscript=no",
    ]


def test_disks_have_serial_numbers_by_which_they_can_be_told_apart():
    """No two disks share a serial, and none is longer than virtio keeps."""
    serials = [one["serial"] for name, one in _devices(_command()).items() if "disk" in name]
    assert len(set(serials)) == 2
    assert max(map(len, serials)) <= 20


def test_the_boot_order_is_the_one_that_was_asked_for():
    """Network first puts the card before every disk, disk first every disk before the card."""
    for first in ("network", "disk"):
        devices = _devices(_command(first=first))
        indices = {
            name: int(one["bootindex"]) for name, one in devices.items() if "bootindex" in one
        }
        assert min(indices, key=indices.__getitem__) == ("nic0" if first == "network" else "disk0")
        assert len(set(indices.values())) == len(indices)


def test_only_uefi_machines_have_flash_and_firmware_that_boots_from_the_network_itself():
    """BIOS boots from a card's option ROM, UEFI without any."""
    bios, uefi = _command("bios"), _command("uefi")
    assert not any("pflash" in word for word in bios)
    assert sum("pflash" in word for word in uefi) == 2
    assert "romfile" not in _devices(bios)["nic0"]
    assert _devices(uefi)["nic0"]["romfile"] == ""


def test_a_machine_that_finds_nothing_to_boot_begins_again():
    """As servers do; without it one lost DHCP answer would leave it at a dead prompt."""
    bios = _command("bios")
    assert bios[bios.index("-boot") + 1] == "reboot-timeout=5000"


def test_translated_machines_keep_the_order_of_memory_accesses():
    """QEMU drops it for machines that can have one processor only, and then their disks lose interrupts."""
    for cpus in (1, 2):
        for firmware in ("bios", "uefi"):
            words = _command(firmware, cpus=cpus)
            assert words[words.index("-smp") + 1] == f"{cpus},maxcpus={cpus + 1}"


def test_a_machine_that_resets_ends_its_process():
    """Whoever started it is told why, and starts another; it waits for that one to listen."""
    words = _command()
    assert words[words.index("-action") + 1] == "reboot=shutdown"
    assert "-S" in words


def test_smbios_says_only_what_the_machine_has():
    """An empty UUID or serial is left to QEMU instead of being told as empty."""
    told = next(word for word in _command() if word.startswith("type=1"))
    assert "serial=SN1" in told
    assert "uuid=" not in told


def test_switch_ports_have_names_that_linux_takes():
    """Interface names have at most 15 characters and are unique."""
    names = {tap_name(index, number) for index in range(500) for number in range(9)}
    assert len(names) == 4500
    assert max(map(len, names)) <= 15


def test_sockets_of_a_lab_below_tmp_have_names_that_fit():
    """The longest id still leaves room for the monitor's socket."""
    assert (
        len(str(Files(Path("/tmp/racksalt-qemu-12345678/n") / ("n" * 60)).monitor)) < LONGEST_SOCKET
    )
