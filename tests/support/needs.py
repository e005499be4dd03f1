"""The programs that some tests run besides Python, where Debian has them, and what to do where one is missing.

``python tests/support/needs.py`` prints the packages that are missing; it imports the standard library alone until a
test asks, so that a new machine can run it before there is an environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
PACKAGES = {
    "bridge": "iproute2",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dhclient": "isc-dhcp-client",
    "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base",
    "fio": "fio",
    "grub-mkstandalone": "grub-common",
    "initdb": "postgresql",
    "ip": "iproute2",
    "ipmi_sim": "openipmi",
    "ipmitool": "ipmitool",
    "kea-admin": "kea-admin",
    "kea-dhcp4": "kea-dhcp4-server",
    "kea-dhcp6": "kea-dhcp6-server",
    "lldpcli": "lldpd",
    "lldpd": "lldpd",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "networkd": "systemd",
    "openssl": "openssl",
    "qemu-system-x86_64": "qemu-system-x86",
    "sfdisk": "fdisk",
    "stress-ng": "stress-ng",
    "udhcpc": "udhcpc",
    "unshare": "util-linux",
    "zstd": "zstd",
}
FILES = {"/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf"}
ELSEWHERE = {
    "initdb": "/usr/lib/postgresql/*/bin/initdb",
    "networkd": "/lib/systemd/systemd-networkd",
}
"""Programs that Debian keeps off the PATH."""


def found(program: str) -> bool:
    """Say whether the program is there."""
    elsewhere = ELSEWHERE.get(program, "").lstrip("/")
    return bool(shutil.which(program, path=PATH) or (elsewhere and any(Path("/").glob(elsewhere))))


def missing() -> list[str]:
    """Return the Debian packages of everything that is missing."""
    programs = [package for name, package in PACKAGES.items() if not found(name)]
    return sorted({*programs, *(p for file, p in FILES.items() if not Path(file).exists())})


def need(*programs: str, root: bool = False) -> None:
    """Skip the test where a program (or being root) is missing; fail where CI=true promises all of it."""
    import pytest

    lacks = sorted({PACKAGES[name] for name in programs if not found(name)})
    lacks += ["root"] if root and os.geteuid() != 0 else []
    if lacks and os.environ.get("CI") == "true":
        pytest.fail(f"needs {', '.join(lacks)}")
    if lacks:
        pytest.skip(f"needs {', '.join(lacks)}")


if __name__ == "__main__":
    sys.stdout.write(" ".join(missing()) + "\n")
