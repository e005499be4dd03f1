"""The catalogue: versions that appear whole, and one that is current."""

from __future__ import annotations

import pytest

from racksalt.model.errors import ConflictError, ImageError, NotFoundError
from tests.support.images import Shelf


@pytest.fixture
def shelf(tmp_path):
    """An empty catalogue."""
    return Shelf(tmp_path)


def test_a_new_version_takes_the_place_of_the_old_one_which_stays(shelf):
    """The boot API sees the new one at once; the old one can be chosen again."""
    assert shelf.catalogue.live("x86_64") is None
    shelf.live("1", b"old")
    old = shelf.catalogue.live("x86_64")
    shelf.live("2", b"new")
    new = shelf.catalogue.live("x86_64")
    assert (old.path, new.path) == ("live/x86_64/1", "live/x86_64/2")
    assert old.sha256 != new.sha256
    assert (shelf.folder / "x86_64/live.squashfs").read_bytes() == b"new"
    shelf.catalogue.use("live/x86_64", "1")
    assert shelf.catalogue.live("x86_64") == old
    assert (shelf.folder / "x86_64/live.squashfs").read_bytes() == b"old"


def test_a_draft_is_in_no_list_and_goes_with_the_next_one(shelf):
    """Half an image, left by a full disk or a killed build, is nowhere to be seen."""
    shelf.live("1")
    draft, _ = shelf.draft("live/x86_64", "2", {"vmlinuz": b"half"})
    assert [name for _, name, _ in shelf.catalogue.versions()] == ["1"]
    shelf.live("3")
    assert not draft.exists()


def test_a_full_disk_leaves_the_old_image_in_use(shelf, monkeypatch):
    """Whatever fails before the end, the current version is the one of before."""
    shelf.live("1", b"old")
    before = shelf.catalogue.live("x86_64")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("racksalt.images.catalogue._sync", full)
    with pytest.raises(OSError, match="No space"):
        shelf.live("2", b"new")
    assert shelf.catalogue.live("x86_64") == before
    assert shelf.catalogue.verify("live/x86_64", "1") == []


def test_building_the_same_version_again_changes_nothing_that_is_well(shelf):
    """A version that was damaged is replaced by the new build of it."""
    folder = shelf.put("os/a", "1", {"root.ext4.zst": b"x"})
    at = (folder / "root.ext4.zst").stat().st_ino
    shelf.put("os/a", "1", {"root.ext4.zst": b"x"})
    assert (folder / "root.ext4.zst").stat().st_ino == at
    (folder / "root.ext4.zst").write_bytes(b"y")
    shelf.put("os/a", "1", {"root.ext4.zst": b"x"})
    assert shelf.catalogue.verify("os/a", "1") == []


def test_verify_reads_every_byte_and_knows_the_key(shelf, tmp_path):
    """One byte, another name, or another site's key."""
    folder = shelf.put("os/a", "1", {"root.ext4.zst": b"x"})
    assert shelf.catalogue.verify("os/a", "1") == []
    (folder / "root.ext4.zst").write_bytes(b"y")
    assert "another checksum" in shelf.catalogue.verify("os/a", "1")[0]
    shelf.put("os/b", "1", {"root.ext4.zst": b"x"}, name="c")
    assert shelf.catalogue.verify("os/b", "1") == ["the manifest is that of c 1"]
    stranger = Shelf(tmp_path / "other").key.public()
    assert "not by the key" in shelf.catalogue.verify("os/a", "1", stranger)[0]


def test_the_current_version_cannot_be_removed(shelf):
    """Another one must be chosen first; what is removed is gone."""
    shelf.live("1")
    shelf.live("2")
    with pytest.raises(ConflictError, match="in use"):
        shelf.catalogue.remove("live/x86_64", "2")
    shelf.catalogue.remove("live/x86_64", "1", test=True)
    shelf.catalogue.remove("live/x86_64", "1")
    assert [row.version for row in shelf.catalogue.listing()] == ["2"]


@pytest.mark.parametrize(
    ("image", "version"),
    [("os/none", "1"), ("os/a", "9"), ("..", ".."), ("os/a", "../../x"), ("", ""), ("os//a", "1")],
)
def test_what_is_not_there_is_not_found(shelf, image, version):
    """Nor is anything outside the folder."""
    shelf.put("os/a", "1", {"f": b"x"})
    with pytest.raises(NotFoundError, match="there is no image"):
        shelf.catalogue.path(image, version)


def test_a_live_image_without_a_system_is_refused(shelf):
    """The boot script would promise what cannot be fetched."""
    draft, manifest = shelf.draft("live/x86_64", "1", {"vmlinuz": b"k"})
    shelf.catalogue.publish("live/x86_64", draft, manifest, shelf.key)
    with pytest.raises(ImageError, match="is no live image"):
        shelf.catalogue.live("x86_64")


def test_a_list_shows_what_cannot_be_read_too(shelf):
    """With the reason, instead of failing over it."""
    folder = shelf.put("os/a", "1", {"f": b"x"})
    (folder / "manifest.json").write_bytes(b"{")
    (row,) = shelf.catalogue.listing()
    assert (row.image, row.version, row.current) == ("os/a", "1", True)
    assert "is no manifest" in row.problem
