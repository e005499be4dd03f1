"""An operating system of a few files: enough to be written, grown, mounted, and worked in with ``chroot``."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

MIB = 2**20
FILE = "root.ext4.zst"
PROGRAMS = ("grub-install", "useradd", "chpasswd", "ssh-keygen")
KERNELS = ("6.1.0-9-amd64", "6.1.0-56-amd64")
_TOLD = """#!/bin/busybox sh
[ {name} = chpasswd ] && input=" < $(/bin/busybox cat)"
echo "{name} $*$input" >> /told
[ {name} = useradd ] && /bin/busybox mkdir -p /home/$4 && echo "$4:x:1000:1000::/home/$4:/bin/sh" >> /etc/passwd
exit 0
"""


def make_tree(root: Path) -> Path:
    """Make a root folder whose programs write down how they were called, in ``/told``."""
    busybox = str(shutil.which("busybox"))
    for folder in ("bin", "etc/ssh", "usr/sbin", "usr/share/zoneinfo/Europe", "root", "boot/grub"):
        (root / folder).mkdir(parents=True)
    for target in ("i386-pc", "x86_64-efi", "arm64-efi"):
        (root / "usr/lib/grub" / target).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in PROGRAMS:
        path = root / "usr/sbin" / name
        path.write_text(_TOLD.format(name=name))
        path.chmod(0o755)
    (root / "usr/sbin/sshd").touch()
    for version in KERNELS:
        (root / "boot" / f"vmlinuz-{version}").touch()
        (root / "boot" / f"initrd.img-{version}").touch()
    (root / "boot/vmlinuz-6.9.9-without-an-initrd").touch()
    (root / "usr/share/zoneinfo/Europe/Paris").touch()
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/ssh/ssh_host_rsa_key").write_text("the same in every copy")
    (root / "etc/machine-id").write_text("0" * 32 + "\n")
    (root / "etc/resolv.conf").symlink_to("/etc/hostname")
    return root


def make_image(folder: Path) -> dict[str, object]:
    """Make the compressed filesystem image below ``folder`` and return its manifest."""
    tree, raw = make_tree(folder / "tree"), folder / "root.ext4"
    size = str(32 * MIB // 1024)
    mke2fs = ["mke2fs", "-q", "-t", "ext4", "-L", "racksalt-root", "-d", str(tree), str(raw), size]
    subprocess.run(mke2fs, check=True)
    subprocess.run(["zstd", "-q", "-1", str(raw), "-o", str(folder / FILE)], check=True)
    about = {
        "unpacked_sha256": hashlib.sha256(raw.read_bytes()).hexdigest(),
        "unpacked_bytes": raw.stat().st_size,
    }
    packed = (folder / FILE).read_bytes()
    about |= {"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}
    return {"format": 1, "name": "tiny", "version": "1", "arch": "x86_64", "files": {FILE: about}}


def publish(folder: Path, manifest: dict[str, object]) -> None:
    """Sign the manifest and put it beside the image; the public key is ``images.pub`` there."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = json.dumps(manifest).encode()
    (folder / "images.pub").write_bytes(public)
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.json.sig").write_bytes(base64.b64encode(key.sign(text)))
