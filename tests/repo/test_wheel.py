"""What an installed racksalt brings along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import source

SHARED = ("salt", "states", "pillar", "conf", "recipes")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel built from this checkout, unpacked: what an installation puts on the path."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(build, cwd=source.ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("racksalt-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_salt_file(installed):
    """Each file of salt/, states/, pillar/ and conf/ is in the wheel, as it is in the checkout."""
    missing = [
        str(path)
        for path in source.under(*SHARED)
        if not (installed / "racksalt/_share" / path).is_file()
    ]
    assert not missing


def test_the_wheel_adds_only_our_two_packages(installed):
    """Nothing else lands in site-packages: a top-level folder ``salt`` would be fatal there."""
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"racksalt", "graphql_api"}


def test_an_installed_package_shows_salt_its_own_folders(installed):
    """From a wheel the loader folders are the wheel's, not those of a checkout that is not there."""
    program = "import json, racksalt.saltext as s; print(json.dumps([s.__file__, s.loader_dirs()]))"
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, folders = json.loads(shown.stdout)
    assert Path(where).is_relative_to(installed)
    assert all(Path(path).is_relative_to(installed) for paths in folders.values() for path in paths)
    assert set(folders) >= {"modules", "states", "runners", "engines", "pillar"}


def test_the_wheel_carries_migrations_and_types(installed):
    """What is read by path at run time is there too."""
    assert list((installed / "racksalt/store/migrations").rglob("*.py"))
    assert (installed / "racksalt/py.typed").is_file()
    assert (installed / "graphql_api/schema.graphql").is_file()
