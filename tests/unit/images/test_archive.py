"""The archive that Linux unpacks at its start."""

from __future__ import annotations

import os
import subprocess

from racksalt.images.archive import Archive
from tests.support.needs import need


def _archive():
    archive = Archive(1_700_000_000)
    archive.file("bin/tool", b"#!/bin/sh\n", 0o755)
    archive.file("etc/empty", b"")
    archive.link("init", "bin/tool")
    archive.device("dev/console", 5, 1)
    return archive


def test_the_same_entries_give_the_same_bytes_in_any_order():
    """Inode numbers and order come from the names."""
    other = Archive(1_700_000_000)
    other.device("dev/console", 5, 1)
    other.link("init", "bin/tool")
    other.file("etc/empty", b"")
    other.file("bin/tool", b"#!/bin/sh\n", 0o755)
    assert other.pack() == _archive().pack()


def test_cpio_unpacks_it_as_it_was_made(tmp_path):
    """Folders, modes, links, times and devices are those that were asked for."""
    need("busybox", root=True)
    file = tmp_path / "a.cpio"
    file.write_bytes(_archive().pack())
    (tmp_path / "out").mkdir()
    with file.open("rb") as packed:
        line = ["busybox", "cpio", "-i", "-d", "-m"]
        subprocess.run(line, stdin=packed, cwd=tmp_path / "out", check=True, capture_output=True)
    tool, console = tmp_path / "out/bin/tool", tmp_path / "out/dev/console"
    assert tool.read_bytes() == b"#!/bin/sh\n"
    assert (tool.stat().st_mode & 0o777, tool.stat().st_mtime) == (0o755, 1_700_000_000)
    assert (tmp_path / "out/init").readlink().as_posix() == "bin/tool"
    assert (tmp_path / "out/etc/empty").read_bytes() == b""
    device = console.stat().st_rdev
    assert (os.major(device), os.minor(device)) == (5, 1)
