"""Recipes: what an image is made of, one YAML file each in ``recipes/``. The builder holds no lists."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from racksalt.model.errors import InvalidInputError, NotFoundError
from racksalt.share import share_dir

Kind = Literal["live", "os"]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One image. Package names and globs are those of the distribution ``suite``."""

    name: str
    kind: Kind
    title: str
    distribution: str
    """``ID`` in the distribution's /etc/os-release: whose apt sources are used."""
    suite: str
    components: tuple[str, ...] = ("main",)
    variant: Literal["extract", "essential", "minbase"] = "minbase"
    """mmdebstrap's word for what is there before ``packages``; ``extract`` configures nothing."""
    arch: Literal["x86_64"] = "x86_64"
    python: str = "3.11"
    """Version of the distribution's Python, in which Salt runs; empty for an image without Salt."""
    packages: list[str]
    kernels: dict[str, str] = {}
    """Kernel packages to choose from: ``cloud`` for virtual machines, ``full`` for all hardware."""
    without: list[str] = []
    """Globs below the root that are left out: what no node needs."""
    salt_without: list[str] = []
    """Python distributions that Salt names and a minion does not import."""
    initramfs_modules: dict[str, list[str]] = {}
    """live: kernel modules that reach the network; those they need come by themselves."""
    module_folders: list[str] = []
    """live: folders below ``kernel/`` whose modules go into the system."""
    enabled: list[str] = []
    """os: systemd units that start."""
    disabled: list[str] = []
    """os: systemd units that the distribution would start."""
    spare_mib: int = 64
    """os: free space in the file system image; it grows to its disk when it is installed."""

    def kernel(self, wanted: str) -> str:
        """Return the package of a kernel, empty for an image without any.

        Raises:
            InvalidInputError: the recipe has kernels, but none of this name.
        """
        if not self.kernels:
            return ""
        try:
            return self.kernels[wanted]
        except KeyError:
            raise InvalidInputError(
                f"recipe {self.name} has no kernel {wanted!r}",
                f"choose from {', '.join(self.kernels)}",
            ) from None


def folder() -> Path:
    """Return the folder of the recipes that come with racksalt."""
    return share_dir("recipes")


def names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def load(name: str) -> Recipe:
    """Return the recipe ``name``, or the one in the file ``name`` when that ends in ``.yaml``.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: the file does not fit; the message names file and key.
    """
    own = not name.endswith(".yaml")
    path = folder() / f"{name}.yaml" if own else Path(name)
    if (own and name not in names()) or not path.is_file():
        raise NotFoundError(f"there is no recipe {name!r}", f"there are {', '.join(names())}")
    try:
        recipe = msgspec.yaml.decode(path.read_bytes(), type=Recipe)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidInputError(f"{path}: {error}", "mend the recipe") from None
    if recipe.name != path.stem:
        raise InvalidInputError(f"{path}: name is {recipe.name!r}", "it must be the file's name")
    return recipe


def digest(inputs: object) -> str:
    """Return the SHA-256 of plain data, or of anything msgspec can write; equal data, equal digest."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()


def tree_digest(*folders: Path) -> str:
    """Return the SHA-256 over names, modes and contents of all files below folders, without caches."""
    seen = hashlib.sha256()
    for top in folders:
        for path in sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                mode = path.stat().st_mode & 0o111 != 0
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                seen.update(f"{path.relative_to(top)}\0{mode}\0{content}\n".encode())
    return seen.hexdigest()
