"""The programs that some tests run besides Python, where Debian has them, and what to do where one is missing.

``python tests/support/needs.py`` prints the packages that are missing; it imports the standard library alone until a
test asks, so that a new machine can run it before there is an environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
PACKAGES = {
    "bind9-dnsutils": ("dig",),
    "busybox-static": ("busybox",),
    "curl": ("curl",),
    "dnsmasq-base": ("dnsmasq",),
    "dash": ("dash",),
    "dosfstools": ("mkfs.vfat",),
    "dropbear-bin": ("dropbear", "dropbearkey"),
    "e2fsprogs": ("mke2fs", "e2fsck"),
    "fdisk": ("sfdisk",),
    "fio": ("fio",),
    "grub-common": ("grub-mkstandalone",),
    "ipmitool": ("ipmitool",),
    "iproute2": ("ip", "bridge"),
    "ipxe-qemu": ("/usr/lib/ipxe/qemu/efi-virtio.rom",),
    "isc-dhcp-client": ("dhclient",),
    "kea-admin": ("kea-admin",),
    "kea-dhcp4-server": ("kea-dhcp4",),
    "kea-dhcp6-server": ("kea-dhcp6",),
    "kmod": ("depmod",),
    "lldpd": ("lldpd", "lldpcli"),
    "mmdebstrap": ("mmdebstrap",),
    "nftables": ("nft",),
    "openipmi": ("ipmi_sim",),
    "openssh-client": ("ssh", "ssh-keygen"),
    "openssl": ("openssl",),
    "ovmf": ("/usr/share/OVMF/OVMF_CODE_4M.fd",),
    "postgresql": ("/usr/lib/postgresql/*/bin/initdb",),
    "qemu-system-x86": ("qemu-system-x86_64",),
    "sqlite3": ("sqlite3",),
    "squashfs-tools": ("mksquashfs",),
    "stress-ng": ("stress-ng",),
    "systemd": ("systemd-analyze", "/lib/systemd/systemd-networkd"),
    "udhcpc": ("udhcpc",),
    "util-linux": ("unshare", "nsenter", "losetup", "partx", "wipefs", "blkid"),
    "zstd": ("zstd",),
}
"""Debian packages, and by which programs or files each is known to be there."""
OF = {Path(name).name: (package, name) for package, names in PACKAGES.items() for name in names}


def found(name: str) -> bool:
    """Say whether a program of the PATH, or a file by its pattern, is there."""
    if name.startswith("/"):
        return any(Path("/").glob(name.lstrip("/")))
    return shutil.which(name, path=PATH) is not None


def missing() -> list[str]:
    """Return the packages of which something is missing."""
    return [package for package, names in PACKAGES.items() if not all(map(found, names))]


def need(*programs: str, root: bool = False) -> None:
    """Skip the test where a program (or being root) is missing; fail where CI=true promises all of it."""
    wanted = [OF[program] for program in programs]
    lacks = sorted({package for package, name in wanted if not found(name)})
    lacks += ["root"] if root and os.geteuid() != 0 else []
    if lacks:
        lacking(f"needs {', '.join(lacks)}")


def lacking(why: str) -> NoReturn:
    """Skip the test for something that this machine lacks; fail where CI=true promises it."""
    import pytest

    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


if __name__ == "__main__":
    sys.stdout.write(" ".join(missing()) + "\n")
