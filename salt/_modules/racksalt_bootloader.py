"""
The bootloader of an installed system, by its own GRUB in a chroot: BIOS (``i386-pc``) on every system disk, and
UEFI as the removable path ``EFI/BOOT`` in every EFI system partition, which needs no entry in the firmware's
memory (UEFI 2.10 section 3.5.1.1). Any one of the system disks boots alone.
"""

import os
import pathlib

from salt.exceptions import CommandExecutionError

_EFI = {"x86_64": "x86_64-efi", "aarch64": "arm64-efi"}
_PACKAGES = {
    "i386-pc": "grub-pc-bin",
    "x86_64-efi": "grub-efi-amd64-bin",
    "arm64-efi": "grub-efi-arm64-bin",
}
_DEFAULTS = """# Written by racksalt at the installation.
GRUB_TIMEOUT=2
GRUB_RECORDFAIL_TIMEOUT=2
GRUB_DISABLE_OS_PROBER=true
GRUB_TERMINAL="{terminal}"
GRUB_SERIAL_COMMAND="serial --unit={unit} --speed={speed}"
GRUB_CMDLINE_LINUX="{arguments}"
"""


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
    return "racksalt_bootloader"


def install(root, settings=None):
    """
    Install the bootloader of the system below ``root``, with the kernel's folders mounted there.
    Returns ``{"bios": [devices], "efi": [devices]}``.

    settings
        ``{"console": "ttyS0,115200", "kernel_arguments": "quiet"}``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_bootloader.install /run/racksalt/target
    """
    settings, made = settings or {}, __salt__["racksalt_partition.made"]()
    _defaults(pathlib.Path(root), settings)
    _by_uuid(made["root"])
    _arrays(root)
    done = {"bios": [], "efi": []}
    for disk in made["disks"]:
        done["bios"] += _bios(root, disk["device"])
        done["efi"] += _efi(root, disk["esp"])
    _run(["update-grub"], root=root)
    return done


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _defaults(root, settings):
    console = settings.get("console", "ttyS0,115200")
    port, _, speed = console.partition(",")
    serial = port.startswith("ttyS")
    told = f"console=tty0 console={console}" if console else ""
    text = _DEFAULTS.format(
        terminal="console serial" if serial else "console",
        unit=port.removeprefix("ttyS") if serial else 0,
        speed="".join(filter(str.isdigit, speed)) or 115200,
        arguments=f"{told} {settings.get('kernel_arguments', '')}".strip(),
    )
    path = root / "etc/default/grub.d/racksalt.cfg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _by_uuid(device):
    """Give update-grub the link by which it dares to name the root by UUID; without udev nobody made it."""
    link = pathlib.Path("/dev/disk/by-uuid", __salt__["racksalt_target.device_uuid"](device))
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(device)


def _bios(root, device):
    if os.uname().machine != "x86_64":
        return []
    _has("i386-pc", root)
    _run(["grub-install", "--target=i386-pc", "--recheck", device], root=root)
    return [device]


def _efi(root, device):
    target = _EFI.get(os.uname().machine)
    if target is None:
        raise CommandExecutionError(f"no bootloader is known for {os.uname().machine}")
    _has(target, root)
    place = pathlib.Path(root, "boot/efi")
    place.mkdir(parents=True, exist_ok=True)
    _run(["mount", "-t", "vfat", device, place])
    try:
        wanted = ["--efi-directory=/boot/efi", "--removable", "--no-nvram", "--recheck"]
        _run(["grub-install", f"--target={target}", *wanted], root=root)
    finally:
        _run(["umount", place])
    return [device]


def _has(target, root):
    if not pathlib.Path(root, "usr/lib/grub", target).is_dir():
        message = f"the installed image lacks the package {_PACKAGES[target]}"
        raise CommandExecutionError(message)


def _arrays(root):
    """
    Name the arrays that are there to the installed system. Its initial RAM disk needs no making anew, which takes
    minutes: it finds arrays by what is on their disks, and the root filesystem by its UUID.
    """
    if not list(pathlib.Path("/sys/block").glob("md*/md")):
        return
    found = _run(["mdadm", "--detail", "--scan"])
    config = pathlib.Path(root, "etc/mdadm/mdadm.conf")
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"# Written by racksalt at the installation.\nHOMEHOST <ignore>\n{found}")
