"""The folder of finished images, as the boot API serves it.

``live/ARCH/VERSION/`` and ``os/NAME/VERSION/`` hold the versions, each with its manifest;
``live/ARCH/current`` and ``os/NAME/current`` say which one is used, ``ARCH`` is the live one in use.
A version appears by one rename and becomes current by another, so nobody ever sees half of one.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from racksalt.images import manifest as manifests
from racksalt.images.manifest import Manifest
from racksalt.images.signing import PUBLIC, Key, PublicKey
from racksalt.model.errors import ConflictError, ImageError, NotFoundError

CURRENT = "current"
_LIVE_FILES = ("vmlinuz", "live.img", "live.squashfs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The live image in use: where its files are below the folder, and what its system must hash to."""

    path: str
    version: str
    sha256: str


class Listed(NamedTuple):
    """One version in a list; ``problem`` says why its manifest cannot be read."""

    image: str
    version: str
    current: bool
    size_mb: float
    kernel: str
    problem: str


class Catalogue:
    """The images below one folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._seen: dict[str, tuple[str, Live]] = {}

    def live(self, arch: str) -> Live | None:
        """Return the live image in use for an architecture, or None where none was built.

        Cheap enough for each boot: one look at a link unless that has changed.
        """
        place = f"live/{arch}"
        try:
            version = (self.folder / place / CURRENT).readlink().name
        except OSError:
            return None
        known = self._seen.get(arch)
        if known is None or known[0] != version:
            found = manifests.read(self.folder / place / version)
            if not set(_LIVE_FILES) <= set(found.files):
                raise ImageError(f"{place}/{version} is no live image", "choose another version")
            sha256 = found.files["live.squashfs"].sha256
            known = (version, Live(path=f"{place}/{version}", version=version, sha256=sha256))
            self._seen[arch] = known
        return known[1]

    def versions(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each image (such as ``os/debian-12``), version, and whether it is current."""
        for image in sorted((*self.folder.glob("live/*"), *self.folder.glob("os/*"))):
            link = image / CURRENT
            current = link.readlink().name if link.is_symlink() else ""
            for path in sorted(image.iterdir()):
                if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
                    yield str(image.relative_to(self.folder)), path.name, path.name == current

    def listing(self) -> list[Listed]:
        """Return all versions as people see them."""
        rows = []
        for image, name, current in self.versions():
            try:
                found = manifests.read(self.folder / image / name)
            except ImageError as error:
                rows.append(Listed(image, name, current, 0.0, "", error.message))
                continue
            size = round(sum(one.bytes for one in found.files.values()) / 1e6, 1)
            rows.append(Listed(image, name, current, size, found.kernel, ""))
        return rows

    def chosen(self, image: str = "", version: str = "") -> list[tuple[str, str]]:
        """Return image and version of those named; raise NotFoundError when a name fits none."""
        found = [
            (name, one)
            for name, one, _ in self.versions()
            if image in {"", name} and version in {"", one}
        ]
        if image and not found:
            self.path(image, version or CURRENT)
        return found

    def path(self, image: str, version: str = CURRENT) -> Path:
        """Return the folder of a version; raise NotFoundError when there is none such."""
        found = self.folder / image / version
        parts = {*image.split("/"), *version.split("/")}
        if parts & {"", ".", ".."} or not (found / manifests.NAME).is_file():
            raise NotFoundError(
                f"there is no image {image} {version}", "`racksalt image list` has all"
            )
        return found.resolve()

    def draft(self, image: str) -> Path:
        """Return a new hidden folder, on the same file system, to put a version's files into."""
        place = self.folder / image
        _make(place)
        for old in place.glob(".draft-*"):
            shutil.rmtree(old)
        made = place / f".draft-{secrets.token_hex(4)}"
        made.mkdir(mode=0o755)
        return made

    def publish(self, image: str, draft: Path, manifest: Manifest, key: Key) -> Path:
        """Sign a draft, make it the version that its manifest says, and current. The same version stays."""
        manifests.write(draft, manifest, key)
        for path in (draft, *draft.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
            _sync(path)
        target = self.folder / image / manifest.version
        if target.exists():
            shutil.rmtree(target) if manifests.problems(target, manifest) else shutil.rmtree(draft)
        if draft.exists():
            draft.rename(target)
        self.write_key(key)
        self.use(image, manifest.version)
        return target

    def use(self, image: str, version: str) -> None:
        """Make a version current."""
        self.path(image, version)
        _point(self.folder / image / CURRENT, version)
        kind, _, arch = image.partition("/")
        if kind == "live":
            _point(self.folder / arch, f"{image}/{version}")

    def remove(self, image: str, version: str, *, test: bool = False) -> None:
        """Remove a version (only look whether one could: ``test``); raise ConflictError for the current one."""
        found = self.path(image, version)
        if (self.folder / image / CURRENT).resolve() == found:
            raise ConflictError(
                f"{image} {version} is in use", "`racksalt image use` another one first"
            )
        if test:
            return
        hidden = found.with_name(f".gone-{found.name}")
        found.rename(hidden)
        shutil.rmtree(hidden)

    def write_key(self, key: Key) -> None:
        """Put the public key beside the images, also before there is one."""
        _make(self.folder)
        pem = key.public().pem
        path = self.folder / PUBLIC
        if not path.is_file() or path.read_bytes() != pem:
            draft = path.with_name(f".{PUBLIC}.{secrets.token_hex(4)}")
            draft.write_bytes(pem)
            draft.chmod(0o644)
            draft.replace(path)

    def key(self) -> PublicKey:
        """Return the public key beside the images."""
        path = self.folder / PUBLIC
        try:
            return PublicKey(path.read_bytes(), str(path))
        except OSError as error:
            raise ImageError(
                f"{path}: {error.strerror}", "`racksalt image key` writes it"
            ) from None

    def verify(self, image: str, version: str, key: PublicKey | None = None) -> list[str]:
        """Return what is wrong with a version: signature, names, and every byte of every file."""
        folder = self.path(image, version)
        try:
            found = manifests.read(folder, key or self.key())
        except ImageError as error:
            return [error.message]
        expected = image.split("/")[1] if image.startswith("os/") else "live"
        wrong = []
        if (found.name, found.version) != (expected, folder.name):
            wrong.append(f"the manifest is that of {found.name} {found.version}")
        return wrong + manifests.problems(folder, found)


def _make(folder: Path) -> None:
    """Make a folder, and what is missing above it, readable for the services, whatever the umask of who builds."""
    for path in reversed([it for it in (folder, *folder.parents) if not it.exists()]):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _point(link: Path, target: str) -> None:
    """Let a symbolic link point elsewhere, in one step."""
    draft = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    draft.symlink_to(target)
    draft.replace(link)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
