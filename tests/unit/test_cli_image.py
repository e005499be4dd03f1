"""``racksalt image`` on a small catalogue."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from racksalt.adapters.settings_file import write_settings
from racksalt.cli import cli
from racksalt.settings import ImageSettings, Settings
from tests.support.images import Shelf


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on a catalogue with two versions of one image and one of another."""
    shelf = Shelf(tmp_path)
    for version in ("1", "2"):
        shelf.live(version)
    shelf.put("os/debian-12", "7", {"root.ext4.zst": b"x"})
    settings = Settings(
        secrets=str(tmp_path / "secrets"),
        images=ImageSettings(folder=str(shelf.folder), cache=str(tmp_path / "cache")),
    )
    write_settings(tmp_path / "racksalt.yaml", settings)
    monkeypatch.setenv("RACKSALT_SETTINGS", str(tmp_path / "racksalt.yaml"))

    def run(*words, status=0):
        done = CliRunner().invoke(cli, ["image", *words])
        assert done.exit_code == status, done.output
        return done.output

    run.shelf = shelf
    return run


def test_all_versions_are_listed_with_those_in_use(run):
    """As JSON for programs."""
    rows = json.loads(run("list", "--json"))
    assert [(row["image"], row["version"], row["current"]) for row in rows] == [
        ("live/x86_64", "1", False),
        ("live/x86_64", "2", True),
        ("os/debian-12", "7", True),
    ]


def test_a_version_is_chosen_and_another_removed(run):
    """With --dry-run nothing changes."""
    run("use", "live/x86_64", "1", "--dry-run")
    assert run.shelf.catalogue.live("x86_64").version == "2"
    run("use", "live/x86_64", "1")
    assert run.shelf.catalogue.live("x86_64").version == "1"
    run("remove", "live/x86_64", "2", "--dry-run")
    run("remove", "live/x86_64", "2")
    assert len(json.loads(run("list", "--json"))) == 2


def test_verify_fails_for_one_wrong_byte_and_names_it(run):
    """Exit status 1, so that a timer can watch it."""
    assert all(row["ok"] for row in json.loads(run("verify", "--json")))
    (run.shelf.folder / "os/debian-12/7/root.ext4.zst").write_bytes(b"y")
    rows = json.loads(run("verify", "--json", status=1))
    assert [row["image"] for row in rows if not row["ok"]] == ["os/debian-12"]
    run("verify", "live/x86_64")


def test_verify_says_that_there_is_nothing_to_verify(run):
    """A timer that watches an empty folder is told so; a program gets an empty list, too."""
    words = ["image", "verify", "--json"]
    for more, told in ((["--version", "9"], "of version 9"), ([], "no image in")):
        if not more:
            shutil.rmtree(run.shelf.folder)
        done = CliRunner().invoke(cli, [*words, *more])
        assert (done.exit_code, done.stdout) == (1, "[]\n")
        assert told in str(done.exception)


def test_the_public_key_is_shown_and_the_private_one_never(run):
    """Asking again makes no new one."""
    first = json.loads(run("key", "--json"))
    assert first["public_key"].startswith("-----BEGIN PUBLIC KEY")
    assert json.loads(run("key", "--json")) == first
    assert "PRIVATE" not in run("key")


def test_the_key_can_be_shown_before_the_first_build(run):
    """The folder of images is made for it, and any user may read it, whatever the umask of who asks."""
    shutil.rmtree(run.shelf.folder)
    umask = os.umask(0o077)
    try:
        told = json.loads(run("key", "--json"))
    finally:
        os.umask(umask)
    assert Path(told["file"]).read_text() == told["public_key"]
    assert stat.S_IMODE(run.shelf.folder.stat().st_mode) == 0o755
    assert stat.S_IMODE(Path(told["file"]).stat().st_mode) == 0o644


def test_a_build_can_be_looked_at_before(run, tmp_path):
    """--dry-run names packages and folders, and fetches nothing."""
    file = tmp_path / "my.sources"
    file.write_text("Types: deb\nURIs: http://mirror.example/debian\n")
    words = ("build", "live", "--kernel", "cloud", "--sources", str(file), "--dry-run", "--json")
    plan = json.loads(run(*words))
    assert plan["image"] == "live/x86_64"
    assert plan["kernel"] == "linux-image-cloud-amd64"
    assert "mirror.example" in plan["sources"]
    assert not (tmp_path / "cache").exists()


def test_recipes_are_listed(run):
    """With what they are made of."""
    rows = {row["recipe"]: row for row in json.loads(run("recipes", "--json"))}
    assert rows["live"]["kind"] == "live"
    assert rows["debian-12"]["suite"] == "bookworm"
