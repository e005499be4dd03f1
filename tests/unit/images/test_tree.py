"""A root put together of parts, packed the same at every build."""

from __future__ import annotations

import subprocess
import time

import pytest

from racksalt.images import tree
from racksalt.model.errors import ImageError
from tests.support.needs import need

UUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def made(tmp_path):
    """A tree of one part and one file of ours."""
    part = tmp_path / "part"
    (part / "etc").mkdir(parents=True)
    (part / "etc/old").write_text("of the part")
    (part / "etc/kept").write_text("kept")
    found = tree.Tree(tmp_path / "root", tmp_path / "log")
    found.lay(part)
    return found


def test_writing_never_changes_the_part_behind_it(made, tmp_path):
    """Parts are linked into trees and used by the next build again."""
    made.write("etc/old", b"ours")
    made.link("etc/kept", "/run/kept")
    assert (tmp_path / "part/etc/old").read_text() == "of the part"
    assert (tmp_path / "part/etc/kept").read_text() == "kept"
    made.drop(["etc/o*", "etc/none"])
    assert not (made.root / "etc/old").exists()
    assert (tmp_path / "part/etc/old").exists()


def test_our_files_keep_only_whether_they_are_programs(made, tmp_path):
    """The mask of who checked this out has no say in an image."""
    ours = tmp_path / "ours"
    (ours / "sbin").mkdir(parents=True)
    (ours / "sbin/run").touch(mode=0o700)
    (ours / "sbin/run").chmod(0o700)
    (ours / "data").touch()
    (ours / "data").chmod(0o664)
    made.copy(ours)
    modes = [oct((made.root / name).stat().st_mode & 0o777) for name in ("sbin/run", "data")]
    assert modes == ["0o755", "0o644"]
    made.copy(ours, "other", "other/data")
    assert [path.name for path in (made.root / "other").rglob("*")] == ["data"]


def test_an_ext4_image_is_the_same_again_and_sound(made, tmp_path):
    """Equal files give equal bytes; e2fsck finds nothing; the label is the one that is looked for."""
    need("mke2fs")
    images = [tmp_path / "1.ext4", tmp_path / "2.ext4"]
    for image in images:
        made.ext4(image, 1_700_000_000, label="racksalt-root", uuid=UUID, spare_mib=8)
        # Changes the time of the last change, which nothing can set back.
        (made.root / "etc/old").chmod(0o600)
        (made.root / "etc/old").chmod(0o644)
        time.sleep(1.1)
    assert images[0].read_bytes() == images[1].read_bytes()
    checked = subprocess.run(["/sbin/e2fsck", "-fn", images[0]], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    told = subprocess.run(["/sbin/dumpe2fs", "-h", images[0]], capture_output=True, check=True)
    assert b"racksalt-root" in told.stdout


def test_the_inodes_in_use_are_read_from_dumpe2fs():
    """Single numbers and ranges of free ones; the root folder counts, what ext4 reserves does not."""
    text = "Inode count:              20\nGroup 0:\n  Free inodes: 13, 15-20\n"
    assert tree.used_inodes(text) == [2, 11, 12, 14]
    with pytest.raises(ImageError, match="told no inode count"):
        tree.used_inodes("nothing")


def test_an_empty_root_is_no_image(tmp_path):
    """Rather a failed build than a machine without a system."""
    (tmp_path / "root").mkdir()
    with pytest.raises(ImageError, match="is empty"):
        tree.Tree(tmp_path / "root", tmp_path / "log").ext4(
            tmp_path / "x", 0, label="l", uuid=UUID, spare_mib=1
        )


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("boot/loader", "boot/loader"),
        ("usr/lib/absolute", "boot/loader"),
        ("/usr/lib/relative", "boot/loader"),
        ("lib/chain", "boot/loader"),
        ("usr/lib/beyond", "boot/loader"),
    ],
)
def test_links_are_followed_inside_the_root(tmp_path, path, leads_to):
    """What a link of a package names is a file of the image, never one of the machine that builds it."""
    links = {
        "usr/lib/absolute": "/boot/loader",
        "usr/lib/relative": "../../boot/loader",
        "usr/lib/chain": "absolute",
        "usr/lib/beyond": "../../../../../boot/loader",
        "lib": "usr/lib",
    }
    for folder in ("usr/lib", "boot"):
        (tmp_path / folder).mkdir(parents=True)
    for name, to in links.items():
        (tmp_path / name).symlink_to(to)
    assert tree.inside(tmp_path, path) == tmp_path / leads_to


def test_a_ring_of_links_is_an_error(tmp_path):
    """It would never end."""
    (tmp_path / "a").symlink_to("/b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ImageError, match="ring of links"):
        tree.inside(tmp_path, "a")
