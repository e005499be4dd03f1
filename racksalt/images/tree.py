"""A root that is put together of finished parts, and the file formats it is packed into."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from racksalt.images import tools
from racksalt.model.errors import ImageError

_FIRST_INODE = 11
"""Below it are those that ext4 itself uses; 2 is the root folder."""
_MOST_LINKS = 40
"""As many symbolic links as Linux follows in one path (path_resolution(7))."""


class Tree:
    """A folder that becomes an image. Parts are linked, not copied: never write to a file in place."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self._log = root, log
        root.parent.mkdir(parents=True, exist_ok=True)

    def lay(self, part: Path, at: str = "") -> None:
        """Link all of a part's files to below ``at``."""
        into = self.root / at
        into.mkdir(parents=True, exist_ok=True)
        tools.run(["cp", "-al", "--remove-destination", f"{part}/.", str(into)], self._log)

    def copy(self, part: Path, at: str = "", only: str = "") -> None:
        """Copy the files of a folder of ours (or that one of them), owned by root; programs stay programs."""
        for path in sorted(part.rglob("*")):
            where = Path(at) / path.relative_to(part)
            if path.is_file() and "__pycache__" not in path.parts and only in {"", str(where)}:
                program = path.stat().st_mode & 0o111 != 0
                self.write(str(where), path.read_bytes(), 0o755 if program else 0o644)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put one file in place of whatever is there."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def link(self, path: str, to: str) -> None:
        """Put a symbolic link in place of whatever is there."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(to)

    def drop(self, globs: Iterable[str]) -> None:
        """Leave out what these globs name."""
        for pattern in globs:
            for path in sorted(self.root.glob(pattern)):
                if path.is_symlink() or path.is_file():
                    path.unlink()
                elif path.is_dir():
                    shutil.rmtree(path)

    def squashfs(self, target: Path, epoch: int) -> None:
        """Pack into a squashfs with zstd. The level costs time here, none where it is read."""
        program = [
            "mksquashfs",
            str(self.root),
            str(target),
            "-noappend",
            "-no-progress",
            "-no-xattrs",
        ]
        program += ["-comp", "zstd", "-Xcompression-level", "9", "-b", "256K"]
        program += ["-mkfs-time", str(epoch), "-all-time", str(epoch)]
        tools.run(program, self._log)

    def ext4(self, target: Path, epoch: int, *, label: str, uuid: str, spare_mib: int) -> None:
        """Pack into an ext4 file system, as small as its files and ``spare_mib`` allow."""
        self._same_times(epoch)
        size = _needed_mib(self.root) + spare_mib
        target.unlink(missing_ok=True)
        with target.open("wb") as file:
            file.truncate(size * 2**20)
        program = [
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-L",
            label,
            "-U",
            uuid,
            "-m",
            "1",
            "-b",
            "4096",
        ]
        # Room in the group descriptors for a disk of 16 TB: it grows to its disk while mounted.
        program += ["-E", f"hash_seed={uuid},lazy_itable_init=1,root_owner=0:0,resize=4294967295"]
        program += ["-O", "^metadata_csum_seed,^orphan_file", "-i", "16384", "-d", str(self.root)]
        times = {"E2FSPROGS_FAKE_TIME": str(epoch), "SOURCE_DATE_EPOCH": str(epoch)}
        tools.run([*program, str(target)], self._log, env=times)
        self._set_times(target, epoch, times)

    def _set_times(self, image: Path, epoch: int, env: dict[str, str]) -> None:
        """Overwrite the times that mke2fs took from the files' own last change, which nobody can set."""
        listing, script = image.with_name(".listing"), image.with_name(".script")
        listing.unlink(missing_ok=True)
        tools.run(["dumpe2fs", str(image)], listing)
        commands = (
            f"set_inode_field <{number}> {field} @{epoch}\n"
            for number in used_inodes(listing.read_text(encoding="utf-8", errors="replace"))
            for field in ("atime", "ctime")
        )
        script.write_text("".join(commands), encoding="ascii")
        listing.unlink()
        tools.run(["debugfs", "-w", "-f", str(script), str(image)], listing, env=env)
        listing.unlink()
        script.unlink()

    def _same_times(self, epoch: int) -> None:
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118 - 30,000 paths
                os.utime(path, (epoch, epoch), follow_symlinks=False)
        os.utime(self.root, (epoch, epoch))


def used_inodes(listing: str) -> list[int]:
    """Return the numbers of all inodes in use from what dumpe2fs(8) prints; the reserved ones are left out."""
    count = re.search(r"^Inode count:\s+(\d+)", listing, re.MULTILINE)
    if count is None:
        raise ImageError("dumpe2fs told no inode count", "look at the build's log")
    free: set[int] = set()
    for ranges in re.findall(r"^  Free inodes: (.*)$", listing, re.MULTILINE):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges):
            free.update(range(int(first), int(last or first) + 1))
    return [2, *(number for number in range(_FIRST_INODE, int(count[1]) + 1) if number not in free)]


def inside(root: Path, path: str) -> Path:
    """Return where a path of the root leads: symbolic links are followed as they would be in there.

    Raises ImageError for links that go round in a ring.
    """
    here = root
    rest = [*Path(path.lstrip("/")).parts]
    for _ in range(_MOST_LINKS):
        while rest and not here.is_symlink():
            name = rest.pop(0)
            up = here if here == root else here.parent
            here = up if name == ".." else here / name
        if not here.is_symlink():
            return here
        to = here.readlink()
        rest = [*to.relative_to("/" if to.is_absolute() else ".").parts, *rest]
        here = root if to.is_absolute() else here.parent
    raise ImageError(f"/{path} in {root} is a ring of links", "look at the package that brings it")


def zstd(source: Path, target: Path, level: int, log: Path) -> None:
    """Compress a file; all processors, and yet the same bytes at every build."""
    # With -T0 the number of processors would not change the result; one thread (-T1) would.
    tools.run(["zstd", "-q", "-f", f"-{level}", "-T0", str(source), "-o", str(target)], log)


def _needed_mib(root: Path) -> int:
    """Return what files need in blocks of 4 KiB, with inodes and the file system's own tables."""
    used, count = 0, 0
    seen: set[int] = set()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - see above
            count += 1
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                used += -(-found.st_size // 4096) * 4096 or 4096
    if not count:
        raise ImageError(f"{root} is empty", "look at the build's log")
    return int((used + count * 256) / 2**20 * 1.06) + 48
