"""Builds a system image: an ext4 file system for any machine, to be personalised when it is installed."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import msgspec

from racksalt.images import manifest as manifests
from racksalt.images import packages, recipe, salt_tree, tools, tree
from racksalt.images.live import lay_loaders
from racksalt.images.manifest import FileEntry
from racksalt.images.recipe import Recipe
from racksalt.images.steps import Workshop
from racksalt.share import share_dir

LABEL = "racksalt-root"
FILE = "root.ext4.zst"
_ENTRIES = "entries.json"
_LEVEL = 6
"""zstd: higher ones cost minutes of processor time for a few per cent."""
_FROM_LIVE = "usr/lib/racksalt/keep-minion"


def build(workshop: Workshop, found: Recipe, sources: str, kernel: str, public: bytes) -> Path:
    """Return a folder with the compressed file system and its entries for the manifest."""
    base, salt = _parts(workshop, found, sources, kernel)
    data = recipe.folder() / "system"

    def make(folder: Path) -> None:
        at = packages.epoch(base)
        made = tree.Tree(folder / "root", workshop.log)
        made.lay(base / "root")
        if salt is not None:
            made.lay(salt, salt_tree.PLACE)
            lay_loaders(made)
        made.drop(found.without)
        _ours(made, found, sources, public)
        _services(made, found, workshop.log)
        image = folder / "root.ext4"
        identity = str(uuid.UUID(recipe.digest(inputs)[:32]))
        made.ext4(image, at, label=LABEL, uuid=identity, spare_mib=found.spare_mib)
        shutil.rmtree(made.root)
        tree.zstd(image, folder / FILE, _LEVEL, workshop.log)
        entries = {FILE: manifests.entry(folder / FILE, image)}
        image.unlink()
        (folder / _ENTRIES).write_bytes(msgspec.json.encode(entries))
        (folder / "epoch").write_text(f"{at}\n", encoding="ascii")

    ours = [recipe.folder() / "live/root/usr/lib/racksalt", *salt_tree.loader_folders()]
    inputs = [
        *(base.name, salt.name if salt else "", sources, public.decode()),
        recipe.tree_digest(data, *ours),
        *(found.without, found.enabled, found.disabled, found.spare_mib),
    ]
    return workshop.step(f"os-{found.name}", inputs, make)


def entries(made: Path) -> dict[str, FileEntry]:
    """Return the manifest's entries of what `build` has made."""
    return msgspec.json.decode((made / _ENTRIES).read_bytes(), type=dict[str, FileEntry])


def versions(workshop: Workshop, found: Recipe, sources: str, kernel: str) -> dict[str, str]:
    """Return package -> version of all that is in the image; its steps are there already."""
    base, salt = _parts(workshop, found, sources, kernel)
    return packages.versions(base) | (salt_tree.versions(salt) if salt else {})


def _parts(
    workshop: Workshop, found: Recipe, sources: str, kernel: str
) -> tuple[Path, Path | None]:
    early = recipe.folder() / "system/early"
    base = packages.root(workshop, found, sources, found.kernel(kernel), early)
    return base, salt_tree.salt(workshop, found, base) if found.python else None


def _ours(made: tree.Tree, found: Recipe, sources: str, public: bytes) -> None:
    """Put in what is ours, and what a system needs that no package brings."""
    made.copy(recipe.folder() / "system/root")
    made.copy(share_dir("recipes") / "live/root/usr/lib/racksalt", "usr/lib/racksalt", _FROM_LIVE)
    made.write("etc/racksalt/images.pub", public)
    made.write("etc/apt/sources.list.d/racksalt.sources", sources.encode())
    made.write("etc/machine-id", b"")  # empty: systemd makes one at the first start, and keeps it
    made.write("etc/hostname", b"racksalt\n")
    made.write("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")
    made.write("etc/fstab", f"LABEL={LABEL} / ext4 errors=remount-ro 0 1\n".encode())
    if "systemd-resolved" in found.enabled:
        made.link("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")


def _services(made: tree.Tree, found: Recipe, log: Path) -> None:
    for verb, units in (("enable", found.enabled), ("disable", found.disabled)):
        if units:
            tools.run(["systemctl", f"--root={made.root}", verb, *units], log)
