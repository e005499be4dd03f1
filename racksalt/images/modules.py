"""Kernel modules: which others one needs, and what of a kernel goes into an image."""

from __future__ import annotations

import lzma
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from racksalt.images import tree
from racksalt.model.errors import ImageError

_FIRMWARE = re.compile(rb"firmware=([!-~]+)\0")
_PACKED = ("", ".xz", ".zst")
"""How distributions pack firmware; the kernel unpacks what it is configured for."""
_INDEX = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def version(kernel: Path) -> str:
    """Return the version of the one kernel below a root, such as ``6.1.0-56-amd64``."""
    found = sorted(path.name for path in (kernel / "lib/modules").glob("*"))
    if len(found) != 1:
        raise ImageError(f"{kernel} has {len(found)} kernels, one is needed", "look at the recipe")
    return found[0]


def dependencies(text: str) -> dict[str, list[str]]:
    """Return path -> paths that it needs, from the text of ``modules.dep`` (depmod(8))."""
    found = {}
    for line in text.splitlines():
        path, _, needs = line.partition(":")
        found[path] = needs.split()
    return found


def closure(
    wanted: Iterable[str], needs: Mapping[str, list[str]], builtin: Iterable[str]
) -> list[str]:
    """Return the paths of modules by name, with all that they need, in no particular order of loading.

    Raises:
        ImageError: the kernel has no such module, neither as a file nor built in.
    """
    by_name = {name_of(path): path for path in needs}
    inside = {name_of(path) for path in builtin}
    found: set[str] = set()
    unknown = []
    for name in (one.replace("-", "_") for one in wanted):
        if name in by_name:
            found |= {by_name[name], *needs[by_name[name]]}
        elif name not in inside:
            unknown.append(name)
    if unknown:
        raise ImageError(f"the kernel has no module {', '.join(unknown)}", "mend the recipe")
    return sorted(found)


def name_of(path: str) -> str:
    """Return a module's name from its path."""
    return re.sub(r"\.ko(\.xz|\.zst)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def content(path: Path) -> bytes:
    """Return a module, unpacked where the distribution keeps it compressed."""
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def firmware_names(module: bytes) -> list[str]:
    """Return the names of the files that a module may ask for (``modinfo -F firmware``)."""
    return [name.decode() for name in _FIRMWARE.findall(module)]


def firmware(root: Path, names: Iterable[str]) -> tuple[dict[str, Path], list[str]]:
    """Return the firmware of these names below a root by its path there, and the names that it lacks."""
    found: dict[str, Path] = {}
    missing = []
    for name in sorted(set(names)):
        wanted = [f"lib/firmware/{name}{packed}" for packed in _PACKED]
        there = {
            path: file
            for path in wanted
            for file in (tree.inside(root, path), tree.inside(root, f"usr/{path}"))
            if file.is_file()
        }
        found |= there
        missing += [] if there else [name]
    return found, missing


def copy(kernel: Path, root: Path, folders: Iterable[str]) -> None:
    """Put the modules of these folders (or globs) below ``kernel/`` into ``root``; depmod is left to do."""
    release = version(kernel)
    source = kernel / "lib/modules" / release
    target = root / "usr/lib/modules" / release
    for pattern in folders:
        for found in (source / "kernel").glob(pattern):
            for path in [found] if found.is_file() else sorted(found.rglob("*.ko*")):
                into = target / path.relative_to(source)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, into)
    for name in _INDEX:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
