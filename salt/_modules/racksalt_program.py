"""Programs that the disk and boot modules call, each with the package that brings it."""

import os
import pathlib
import subprocess

import salt.utils.path
from salt.exceptions import CommandExecutionError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = {
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "tune2fs": "e2fsprogs",
    "nvme": "nvme-cli",
    "grub-install": "grub2-common",
    "useradd": "passwd",
    "usermod": "passwd",
    "chpasswd": "passwd",
    "ssh-keygen": "openssh-client",
    **dict.fromkeys(("partx", "wipefs", "blkid", "blockdev", "mount", "umount"), "util-linux"),
    "blkdiscard": "util-linux",
}


def run(argv, stdin=None, root=None, codes=(0,)):
    """
    Run a program without a shell and return what it printed. A missing one is told with its package.

    stdin
        text for its input, such as what must not stand on a command line

    root
        folder of an installed system in which it runs (``chroot``)

    codes
        return codes that are fine

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_program.run '[lsblk]'
    """
    argv = [str(part) for part in argv]
    found = locate(argv[0], root)
    if not found:
        where = f"the installed system below {root}" if root else "this system"
        package = _PACKAGES.get(argv[0], argv[0])
        message = f"{where} has no {argv[0]}: its image lacks the package {package}"
        raise CommandExecutionError(message)
    command = ["chroot", str(root), *argv] if root else [found, *argv[1:]]
    done = _call(command, stdin)
    if done.returncode not in codes:
        raise CommandExecutionError(f"{argv[0]} failed ({done.returncode}): {_reason(done)}")
    return done.stdout


def locate(program, root=None):
    """
    Return where a program is, None where it is missing.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_program.locate mdadm
    """
    if "racksalt_programs" in __opts__ and not root:
        # Stand-ins for programs that need hardware, in tests.
        stand_in = pathlib.Path(__opts__["racksalt_programs"], program)
        if stand_in.exists():
            return str(stand_in)
    if not root:
        return salt.utils.path.which(program) or _in(pathlib.Path("/"), program)
    return _in(pathlib.Path(root), program)


def _in(root, program):
    for folder in _PATH.split(":"):
        path = root / folder.lstrip("/") / program
        # An absolute link points into the installed system, not into this one.
        if path.is_symlink() or path.is_file():
            return f"{folder}/{program}"
    return None


def _call(command, stdin):
    environment = {**os.environ, "LC_ALL": "C", "PATH": _PATH, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(  # noqa: S603 - a list, no shell
        command,
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=environment,
    )


def _reason(done):
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return " / ".join(lines[-3:])[:400] or "it said nothing"
