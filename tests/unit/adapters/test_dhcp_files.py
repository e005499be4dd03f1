"""The folder of generated files."""

from __future__ import annotations

import os

import pytest

from racksalt.adapters.dhcp_files import Folder
from racksalt.model.errors import DhcpError


@pytest.fixture
def folder(tmp_path):
    """An open folder with one watched sub-folder."""
    found = Folder(tmp_path / "dhcp", ("hosts.d",))
    found.open()
    yield found
    found.close()


def test_files_are_there_as_they_were_written(folder):
    """Those in watched folders are found again, whole."""
    folder.write("main.conf", "port=53\n")
    folder.write("hosts.d/n1", "a\n")
    folder.write("hosts.d/n1", "b\n")
    assert folder.read("main.conf") == "port=53\n"
    assert folder.present() == {"hosts.d/n1": "b\n"}
    folder.remove("hosts.d/n1")
    folder.remove("hosts.d/n1")
    assert folder.present() == {}
    assert folder.read("gone") is None


def test_a_watcher_never_sees_a_part_of_a_file(folder):
    """A file comes into a watched folder by a rename: its number of the inode is another one each time."""
    seen = set()
    for text in ("one\n", "two\n"):
        folder.write("hosts.d/n1", text)
        seen.add(os.stat(folder.root / "hosts.d/n1").st_ino)  # noqa: PTH116
        assert list((folder.root / "new").iterdir()) == []
    assert len(seen) == 2


def test_the_server_that_is_no_root_can_read_what_is_written(tmp_path):
    """Whatever the umask is."""
    before = os.umask(0o077)
    try:
        folder = Folder(tmp_path / "dhcp", ("hosts.d",))
        folder.open()
        folder.write("hosts.d/n1", "a\n")
    finally:
        os.umask(before)
    folder.close()
    modes = {name: (folder.root / name).stat().st_mode & 0o777 for name in ("", "hosts.d")}
    assert modes == {"": 0o755, "hosts.d": 0o755}
    assert (folder.root / "hosts.d/n1").stat().st_mode & 0o777 == 0o644


def test_two_services_cannot_have_one_folder(folder):
    """The second one is told; after the first one's end it may."""
    second = Folder(folder.root, ("hosts.d",))
    with pytest.raises(DhcpError, match="another DHCP service"):
        second.open()
    folder.close()
    second.open()
    second.close()


def test_what_a_killed_service_left_half_written_is_cleared_away(folder):
    """It never was in a watched folder."""
    folder.close()
    (folder.root / "new/half").write_text("hal")
    folder.open()
    assert list((folder.root / "new").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """With the setting that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DhcpError, match=r"dhcp\.folder"):
        Folder(tmp_path / "file/dhcp").open()
