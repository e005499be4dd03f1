"""A virtual machine's disk: what is written is compared, what is erased is gone."""

from __future__ import annotations

import pytest
from salt.exceptions import CommandExecutionError

ROOT = [{"name": "root", "filesystem": "ext4"}]


def test_partitioning_loses_what_was_there(node):
    """Only the new layout is left, with the installation that made it."""
    (node.disk / "old").write_text("data")
    made = node.modules.racksalt_disk.partition(ROOT)
    assert made == node.modules.racksalt_disk.layout()
    assert made["installation"] == node.modules.racksalt_disk.installation()
    assert not (node.disk / "old").exists()


def test_an_image_is_written_once_and_mended_where_it_differs(node):
    """Only files that differ are written; the disk then has what the master has."""
    first = node.modules.racksalt_disk.image("images/minimal")
    assert sorted(first) == ["etc/motd", "etc/os-release"]
    assert node.modules.racksalt_disk.image("images/minimal") == []
    (node.disk / "etc/motd").write_text("changed")
    assert node.modules.racksalt_disk.image("images/minimal") == ["etc/motd"]


def test_an_image_that_is_not_there_is_named(node):
    """The master's file server is named with the path that it lacks."""
    with pytest.raises(CommandExecutionError, match="salt://images/nothing"):
        node.modules.racksalt_disk.image("images/nothing")


def test_erasing_leaves_nothing(node):
    """Files, folders and links are gone; the number of overwritten bytes is told."""
    (node.disk / "a/b").mkdir(parents=True)
    (node.disk / "a/b/secret").write_text("password")
    (node.disk / "link").symlink_to("/etc")
    assert node.modules.racksalt_disk.erase() == {"files": 1, "bytes": 8}
    assert list(node.disk.iterdir()) == []


def test_the_content_is_overwritten_before_it_is_removed(node):
    """Another link to the same file shows zeros afterwards."""
    secret = node.disk / "secret"
    secret.write_text("password")
    kept = node.folder / "kept"
    kept.hardlink_to(secret)
    node.modules.racksalt_disk.erase()
    assert kept.read_bytes() == bytes(8)
    kept.unlink()


def test_an_erased_disk_is_told_for_its_certificate(node):
    """The result names the disk by its serial, the method and how it was verified."""
    (node.disk / "old").write_text("data")
    told = node.modules.racksalt_disk.carry_out("erase")["data"]["erasure"]
    disk = told["disks"][0]
    assert disk["serial"] == node.describe()["disks"][0]["serial"]
    assert disk["bytes"] == 4
    assert disk["method"]
    assert told["started_at"] <= told["ended_at"]
