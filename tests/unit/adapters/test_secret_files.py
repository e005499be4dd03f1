"""The one random key that racksalt makes for itself."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from racksalt.adapters.secret_files import open_secrets
from racksalt.model.errors import SettingsError


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path):
    """The second opening finds what the first made."""
    first = open_secrets(tmp_path / "secrets")
    assert open_secrets(tmp_path / "secrets") == first
    assert stat.S_IMODE((tmp_path / "secrets/boot.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_processes_that_start_at_once_get_the_same_key(tmp_path):
    """Whoever comes second takes the first one's key, and no draft is left."""
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: open_secrets(tmp_path / "s"), range(32)))
    assert len(found) == 1
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["boot.key"]


def test_two_installations_have_different_keys(tmp_path):
    """The key is random, and its two uses get two values."""
    one, other = open_secrets(tmp_path / "a"), open_secrets(tmp_path / "b")
    assert len({one.boot, one.pepper, other.boot, other.pepper}) == 4


def test_a_key_that_others_can_read_is_refused(tmp_path):
    """Somebody may have read it; the message says how to mend it."""
    open_secrets(tmp_path)
    (tmp_path / "boot.key").chmod(0o640)
    with pytest.raises(SettingsError, match="others may read it") as caught:
        open_secrets(tmp_path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", ["", "abcd", "not hexadecimal"])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path, content):
    """A new key would make all tokens worthless without a word."""
    path = tmp_path / "boot.key"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"boot\.key"):
        open_secrets(tmp_path)
    assert path.read_text() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """The error names the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/boot\.key"):
        open_secrets(tmp_path / "file")


def test_secrets_print_as_nothing(tmp_path):
    """Neither a log nor a traceback shows them."""
    found = open_secrets(tmp_path)
    assert repr(found) == f"{found}" == "<Secrets>"
