"""Builds an image from its recipe and puts it into the catalogue."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racksalt.images import live, manifest, signing, sources, system, tools
from racksalt.images.catalogue import Catalogue
from racksalt.images.manifest import FileEntry, Manifest
from racksalt.images.recipe import Recipe
from racksalt.images.steps import Workshop
from racksalt.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks for: ``refresh`` fetches the newest packages, ``sources`` is a file for apt."""

    recipe: Recipe
    kernel: str
    refresh: bool = False
    sources: Path | None = None


def image_of(recipe: Recipe) -> str:
    """Return the image's name in the catalogue, such as ``os/debian-12``."""
    return f"live/{recipe.arch}" if recipe.kind == "live" else f"os/{recipe.name}"


def build(settings: Settings, wish: Wish, say: Callable[[str], None]) -> dict[str, Any]:
    """Build, sign and publish; return what was made and what each step cost.

    Raises:
        ImageError: a program is missing or fails; the catalogue is as it was before.
        ConflictError: another build is at work.
    """
    tools.check()
    recipe = wish.recipe
    recipe.kernel(wish.kernel)
    key = signing.open_key(settings.secrets)
    where = sources.for_recipe(recipe, wish.sources)
    workshop = Workshop(Path(settings.images.cache), say)
    catalogue = Catalogue(settings.images.folder)
    with workshop.alone():
        if wish.refresh:
            workshop.refresh()
        maker = live if recipe.kind == "live" else system
        made = maker.build(workshop, recipe, where, wish.kernel, key.public().pem)
        files = maker.entries(made)
        packages = maker.versions(workshop, recipe, where, wish.kernel)
        at = int((made / "epoch").read_text(encoding="ascii"))
        found = Manifest(
            format=manifest.FORMAT,
            name=recipe.name,
            version=version(at, files),
            arch=recipe.arch,
            files=files,
            packages=dict(sorted(packages.items())),
            kernel=wish.kernel,
        )
        target = _publish(catalogue, image_of(recipe), made, found, key)
    return {
        "image": image_of(recipe),
        "version": found.version,
        "folder": str(target),
        "bytes": {name: entry.bytes for name, entry in files.items()},
        "steps": workshop.took,
    }


def plan(settings: Settings, wish: Wish) -> dict[str, Any]:
    """Return what `build` would do, without doing any of it."""
    recipe = wish.recipe
    return {
        "image": image_of(recipe),
        "suite": recipe.suite,
        "kernel": recipe.kernel(wish.kernel),
        "packages": recipe.packages,
        "sources": sources.for_recipe(recipe, wish.sources),
        "folder": settings.images.folder,
        "cache": settings.images.cache,
    }


def version(at: int, files: dict[str, FileEntry]) -> str:
    """Return the date of the newest package list and a digest of the files: equal files, equal version."""
    seen = signing.fingerprint(
        "".join(f"{name} {one.sha256}\n" for name, one in sorted(files.items()))
    )
    return f"{time.strftime('%Y%m%d', time.gmtime(at))}-{seen[:8]}"


def _publish(
    catalogue: Catalogue, image: str, made: Path, found: Manifest, key: signing.Key
) -> Path:
    draft = catalogue.draft(image)
    try:
        for name in found.files:
            shutil.copyfile(made / name, draft / name)
        return catalogue.publish(image, draft, found, key)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
