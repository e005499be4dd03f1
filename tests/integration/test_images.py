"""Images built for real from the distribution's packages: a very small one, twice."""

from __future__ import annotations

import subprocess

import pytest

from racksalt.images import build, sources
from racksalt.images.catalogue import Catalogue
from racksalt.images.recipe import load
from racksalt.model.errors import ImageError
from racksalt.settings import ImageSettings, Settings
from tests.support.needs import lacking, need

RECIPE = """
name: tiny
kind: os
title: A shell and nothing else
distribution: debian
suite: bookworm
variant: extract
python: ""
packages: [busybox-static]
without: [usr/share/doc]
spare_mib: 4
"""


@pytest.fixture
def ready(tmp_path):
    """Settings with folders of the test's own, and the recipe; skipped where nothing can be built."""
    need("mmdebstrap", "mke2fs", "mksquashfs", "zstd", "unshare", root=True)
    need("depmod", "grub-mkstandalone")
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    recipe = load(str(tmp_path / "tiny.yaml"))
    try:
        sources.for_recipe(recipe)
    except ImageError as error:
        lacking(error.message)
    return tmp_path, recipe


def _settings(folder, name):
    images = ImageSettings(folder=str(folder / f"images-{name}"), cache=str(folder / f"c-{name}"))
    return Settings(secrets=str(folder / "secrets"), images=images)


def _build(settings, recipe):
    said = []
    wish = build.Wish(recipe=recipe, kernel="cloud")
    return build.build(settings, wish, said.append), said


@pytest.mark.slow
def test_the_same_packages_give_the_same_bytes_wherever_they_are_built(ready):
    """Built in two places: one version, one checksum; built again in one: at once, from what is there."""
    folder, recipe = ready
    first, _ = _build(_settings(folder, "a"), recipe)
    second, _ = _build(_settings(folder, "b"), recipe)
    assert first["version"] == second["version"]
    catalogues = [Catalogue(_settings(folder, name).images.folder) for name in "ab"]
    files = [catalogue.path("os/tiny") / "root.ext4.zst" for catalogue in catalogues]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert catalogues[0].verify("os/tiny", first["version"]) == []
    again, said = _build(_settings(folder, "a"), recipe)
    assert again["version"] == first["version"]
    assert all(step["cached"] for step in again["steps"]), said
    raw = folder / "root.ext4"
    subprocess.run(["zstd", "-q", "-d", str(files[0]), "-o", str(raw)], check=True)
    subprocess.run(["/sbin/e2fsck", "-fn", str(raw)], check=True, capture_output=True)
    listed = ["/sbin/debugfs", "-R", "ls -p /usr/bin", str(raw)]
    told = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    assert "busybox" in told or "busybox" in _bin(raw)


def _bin(raw):
    listed = ["/sbin/debugfs", "-R", "ls -p /bin", str(raw)]
    return subprocess.run(listed, check=True, capture_output=True, text=True).stdout


def test_a_build_that_fails_says_why_and_goes_on_later(ready, monkeypatch):
    """A package that does not exist ends the build with apt's words; the catalogue stays empty."""
    folder, _ = ready
    settings = _settings(folder, "c")
    wrong = folder / "tiny.yaml"
    wrong.write_text(RECIPE.replace("busybox-static", "no-such-package-at-all"))
    with pytest.raises(ImageError, match="no-such-package-at-all"):
        _build(settings, load(str(wrong)))
    assert list(Catalogue(settings.images.folder).versions()) == []
    assert not [p for p in (folder / "c-c").iterdir() if p.is_dir() and not p.name.startswith(".")]
