"""Runs other programs: checked for beforehand, in namespaces of their own, output kept in a log."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from racksalt.model.errors import ImageError

# Program -> Debian package that has it.
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "zstd": "zstd",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "grub-mkstandalone": "grub-common",
    "dpkg-deb": "dpkg",
    "unshare": "util-linux",
}
# Mounts and processes end with the program, whatever ends it; nothing is left in the host.
_ALONE = (*("unshare", "--mount", "--propagation", "private"), *("--pid", "--fork", "--kill-child"))
_LAST_LINES = 12


def check(needed: Sequence[str] = tuple(NEEDED)) -> None:
    """Raise ImageError naming all missing programs at once, or when this is not root."""
    missing = [name for name in needed if find(name) is None]
    if missing:
        packages = sorted({NEEDED[name] for name in missing})
        raise ImageError(
            f"not installed: {', '.join(missing)}",
            f"apt-get install --no-install-recommends {' '.join(packages)}",
        )
    if os.geteuid() != 0:
        raise ImageError("images are built by root", "owners and devices are part of an image")


def find(name: str) -> str | None:
    """Return the path of a program; those for administrators are not on every PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")


def run(
    program: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    alone: bool = False,
    folder: Path | None = None,
) -> None:
    """Run a program to its end; raise ImageError with its last lines when it fails.

    Args:
        program: with arguments; looked up as `find` does.
        log: its output is appended here.
        env: further variables.
        alone: in mount and process namespaces of its own.
        folder: working folder.
    """
    found = find(program[0]) or program[0]
    line = [*(_ALONE if alone else ()), found, *program[1:]]
    with log.open("ab") as output:
        output.write(f"\n$ {shlex.join(program)}\n".encode())
        output.flush()
        at = output.tell()
        done = subprocess.run(  # noqa: S603 - our own programs, no shell
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_environment(), **(env or {})},
            cwd=folder,
            check=False,
        )
    if done.returncode:
        with log.open("rb") as written:
            written.seek(at)
            told = written.read().decode(errors="replace").strip().splitlines()
        raise ImageError(
            f"{Path(program[0]).name} failed with status {done.returncode}: "
            + " | ".join(told[-_LAST_LINES:]),
            f"the whole of it is in {log}",
        )


def chroot(root: Path, script: str, log: Path, *, env: Mapping[str, str] | None = None) -> None:
    """Run a shell script with ``root`` as its root, with /proc and /dev of its own."""
    where = shlex.quote(str(root))
    inside = (
        f"mount -t proc proc {where}/proc && mount -t tmpfs -o mode=755 dev {where}/dev"
        f" && mknod -m 666 {where}/dev/null c 1 3 && mknod -m 666 {where}/dev/zero c 1 5"
        f" && mknod -m 666 {where}/dev/urandom c 1 9 && mknod -m 666 {where}/dev/random c 1 8"
        f" && exec chroot {where} /bin/sh -euc {shlex.quote(script)}"
    )
    run(["sh", "-euc", inside], log, env=env, alone=True)


def _environment() -> dict[str, str]:
    """Return an environment that does not depend on who builds, but for the way to the packages."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.lower().endswith("_proxy") or name.startswith("PIP_") or name == "HOME"
    }
    path = (
        f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    return {
        **kept,
        "PATH": path,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "DEBIAN_FRONTEND": "noninteractive",
    }
