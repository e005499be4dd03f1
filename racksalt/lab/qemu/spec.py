"""What a QEMU machine is made of, and the command line that makes it.

Nothing here touches the world, so that a command line can be read and tested without starting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

FIRMWARE_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
FIRMWARE_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
CPUS = {"tcg": "qemu64"}
"""The plainest processor is a fifth cheaper to translate: newer vector instructions are translated one by one."""
RETRY_MS = 5000
LONGEST_SOCKET = 107
"""Linux unix(7): 108 bytes with the closing zero."""
Order = Literal["network", "disk"]


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine. Each MAC is a network card on the switch, the first one boots from the network."""

    id: str
    macs: tuple[str, ...]
    disks_gb: tuple[int, ...] = (6,)
    """Sizes in 10^9 bytes; the files are sparse."""
    firmware: Literal["bios", "uefi"] = "bios"
    memory_mib: int = 1280
    cpus: int = 1
    serial: str = ""
    system_uuid: str = ""
    vendor: str = "Racksalt Virtual Metal"
    product: str = "QEMU machine"
    bmc_port: int = 0
    """UDP port of the BMC on loopback; 0: the machine has no BMC."""


class Files:
    """Where one machine keeps what it is, below its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = folder / "console.log"
        self.errors = folder / "qemu.log"
        self.monitor = folder / "qmp"
        self.variables = folder / "efivars.fd"

    def disk(self, number: int) -> Path:
        """Return the image of a disk, counted from 0."""
        return self.folder / f"disk{number}.raw"


def tap_name(index: int, number: int) -> str:
    """Return the switch port of a machine's network card, both counted from 0 (Linux allows 15 characters)."""
    return f"m{index}n{number}"


def disk_serial(spec: Spec, number: int) -> str:
    """Return a disk's serial number (virtio keeps 20 bytes of it)."""
    return f"{spec.id[:16]}-d{number}"


def command(
    spec: Spec, files: Files, taps: Sequence[str], *, first: Order = "network", accel: str = "tcg"
) -> list[str]:
    """Return QEMU's command line. ``first`` is what the firmware tries first; the other comes next."""
    thread = "tcg,thread=multi" if accel == "tcg" else accel
    name = [
        "-name",
        spec.id,
        "-machine",
        "q35,graphics=off",
        "-accel",
        thread,
        "-cpu",
        CPUS.get(accel, "max"),
    ]
    # Room for one processor more makes TCG keep the order of memory accesses, which it drops for a machine that can
    # have only one. QEMU's threads look at the rings of virtio meanwhile: a disk's interrupt got lost, its guest hung.
    size = ["-m", str(spec.memory_mib), "-smp", f"{spec.cpus},maxcpus={spec.cpus + 1}"]
    bare = ["-nodefaults", "-no-user-config", "-vga", "none", "-display", "none"]
    # It waits until somebody listens (-S), says how it ends and does not reset: see QemuMachine.
    bare += ["-S", "-action", "reboot=shutdown"]
    smbios = {
        "manufacturer": spec.vendor,
        "product": spec.product,
        "serial": spec.serial,
        "uuid": spec.system_uuid,
    }
    told = ",".join(f"{key}={value}" for key, value in smbios.items() if value)
    talk = [
        *("-chardev", f"file,id=console,path={files.console},append=on"),
        *("-serial", "chardev:console", "-qmp", f"unix:{files.monitor},server=on,wait=off"),
        # Keys and TLS of the guest's first minute wait for entropy that a quiet virtual machine does not have.
        *("-device", "virtio-rng-pci"),
    ]
    return [
        "qemu-system-x86_64",
        *(*name, *size, *bare, "-smbios", f"type=1,{told}"),
        *(*talk, *_firmware(spec, files), *_cards(spec, taps, first), *_disks(spec, files, first)),
    ]


def _firmware(spec: Spec, files: Files) -> list[str]:
    if spec.firmware == "bios":
        # As servers do: whoever finds nothing to boot begins again.
        return ["-boot", f"reboot-timeout={RETRY_MS}"]
    flash = "if=pflash,format=raw"
    return [
        *("-drive", f"{flash},unit=0,readonly=on,file={FIRMWARE_CODE}"),
        *("-drive", f"{flash},unit=1,file={files.variables}"),
    ]


def _cards(spec: Spec, taps: Sequence[str], first: Order) -> list[str]:
    words = []
    for number, (mac, tap) in enumerate(zip(spec.macs, taps, strict=True)):
        card = f"virtio-net-pci,id=nic{number},netdev=net{number},mac={mac}"
        if number == 0:
            card += f",bootindex={0 if first == 'network' else 10}"
        if number > 0 or spec.firmware == "uefi":
            # UEFI boots over the network by itself; a second card's option ROM would only cost time.
            card += ",romfile="
        tap_of = f"tap,id=net{number},ifname={tap},script=no,downscript=no"
        words += ["-netdev", tap_of, "-device", card]
    return words


def _disks(spec: Spec, files: Files, first: Order) -> list[str]:
    words = []
    base = 0 if first == "disk" else 10
    for number in range(len(spec.disks_gb)):
        # What is lost when the host crashes is a test machine's disk: no flush waits for a real one.
        drive = f"if=none,id=drive{number},file={files.disk(number)},format=raw,cache=unsafe,discard=unmap"
        device = f"virtio-blk-pci,id=disk{number},drive=drive{number},bootindex={base + number + 1}"
        words += ["-drive", drive, "-device", f"{device},serial={disk_serial(spec, number)}"]
    return words
