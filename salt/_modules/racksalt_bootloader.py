"""
The bootloader of an installed system, by its own GRUB in a chroot: BIOS (``i386-pc``) on every system disk, and
UEFI as the removable path ``EFI/BOOT`` in every EFI system partition, which needs no entry in the firmware's
memory (UEFI 2.10 section 3.5.1.1). Any one of the system disks boots alone.

The menu is written here: ``update-grub`` asks every program anew where the root filesystem is, for minutes on a slow
machine. The system's own, at its next kernel, finds the same console and arguments in ``/etc/default/grub.d``.
"""

import os
import pathlib
import re

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
_MENU = """# Written by racksalt at the installation; `update-grub` writes another.
set timeout=2
insmod part_gpt
insmod mdraid1x
insmod ext2
search --no-floppy --fs-uuid --set=root {uuid}
{terminal}"""
_SERIAL = """if serial --unit={unit} --speed={speed}; then
    terminal_input console serial
    terminal_output console serial
fi
"""
_ENTRY = """menuentry "{title}" {{
    linux {kernel} root=UUID={uuid} ro {arguments}
    initrd {initrd}
}}
"""
_WORDS = re.compile(r"[\w .,:=/@+%-]*", re.ASCII)
"""What kernel arguments are made of; GRUB's shell gives other characters a meaning."""


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
    __salt__["racksalt_disk.check_may_write"]()
    made, asked = __salt__["racksalt_partition.made"](), _asked(settings or {})
    kernels = _kernels(pathlib.Path(root))
    _arrays(root)
    done = {"bios": [], "efi": []}
    for disk in made["disks"]:
        done["bios"] += _bios(root, disk["device"])
        done["efi"] += _efi(root, disk["esp"])
    _write(
        pathlib.Path(root), asked, kernels, __salt__["racksalt_target.device_uuid"](made["root"])
    )
    return done


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _asked(settings):
    """Return what the settings say of console and kernel arguments, as both files need it."""
    console = str(settings.get("console", "ttyS0,115200") or "")
    arguments = str(settings.get("kernel_arguments") or "")
    _sense(console=console, kernel_arguments=arguments)
    port, _, speed = console.partition(",")
    told = f"console=tty0 console={console}" if console else ""
    return {
        "is_serial": port.startswith("ttyS"),
        "unit": port.removeprefix("ttyS") if port.startswith("ttyS") else 0,
        "speed": "".join(filter(str.isdigit, speed)) or 115200,
        "arguments": f"{told} {arguments}".strip(),
    }


def _sense(**texts):
    for name, text in texts.items():
        if not _WORDS.fullmatch(text):
            where = f"racksalt:stages:configure:{name}"
            message = f"{where}: {text!r} has a character that means something to GRUB"
            remedy = "use letters, digits, spaces and _ . , : = / @ + % - only"
            raise CommandExecutionError(f"{message}: {remedy}")


def _kernels(root):
    """Return the versions of the installed kernels, newest first."""
    found = {path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*")}
    found = {name for name in found if (root / "boot" / f"initrd.img-{name}").is_file()}
    if not found:
        message = "the installed image has no kernel with its initial RAM disk in /boot"
        raise CommandExecutionError(message)
    return sorted(found, key=_by_number, reverse=True)


def _by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _write(root, asked, kernels, uuid):
    """Write the menu, and what the system's own ``update-grub`` makes the next one of."""
    defaults = root / "etc/default/grub.d/racksalt.cfg"
    defaults.parent.mkdir(parents=True, exist_ok=True)
    terminal = "console serial" if asked["is_serial"] else "console"
    defaults.write_text(_DEFAULTS.format(terminal=terminal, **asked))
    menu = _MENU.format(uuid=uuid, terminal=_SERIAL.format(**asked) if asked["is_serial"] else "")
    for name in kernels:
        files = {"kernel": f"/boot/vmlinuz-{name}", "initrd": f"/boot/initrd.img-{name}"}
        menu += _ENTRY.format(
            title=f"Linux {name}", uuid=uuid, arguments=asked["arguments"], **files
        )
    place = root / "boot/grub/grub.cfg"
    place.unlink(missing_ok=True)  # a link of the image would lead into this system
    place.write_text(menu)


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
