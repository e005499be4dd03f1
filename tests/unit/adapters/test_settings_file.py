"""The settings file."""

from __future__ import annotations

import pytest

from racksalt.adapters.settings_file import read_settings, write_settings
from racksalt.model.errors import SettingsError
from racksalt.settings import BootApi, ConductorSettings, Settings


def test_what_is_written_is_read_back(tmp_path):
    """Writing and reading are each other's reverse."""
    settings = Settings(
        database="sqlite:///x", boot_api=BootApi(port=0), conductor=ConductorSettings(workers=3)
    )
    write_settings(tmp_path / "s.yaml", settings)
    assert read_settings(tmp_path / "s.yaml") == settings


def test_an_empty_file_is_all_defaults(tmp_path):
    """A file with comments only is fine."""
    (tmp_path / "s.yaml").write_text("# nothing yet\n")
    assert read_settings(tmp_path / "s.yaml") == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("databse: x\n", "databse"),
        ("conductor: {workers: many}\n", r"conductor\.workers"),
        ("boot_api: {port: -1}\n", r"boot_api\.port"),
        ("a: [1\n", "line"),
        ("- a\n", "s.yaml"),
    ],
)
def test_an_error_names_file_and_place(tmp_path, text, told):
    """Whoever mends it knows where to look."""
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SettingsError, match=told) as caught:
        read_settings(tmp_path / "s.yaml")
    assert "s.yaml" in caught.value.message
    assert caught.value.hint


def test_a_missing_file_says_so(tmp_path):
    """No file, no guess."""
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "none.yaml")


def test_a_password_in_a_broken_file_stays_in_the_file(tmp_path):
    """A database's address may hold a password; an error never quotes the file."""
    (tmp_path / "s.yaml").write_text("database: postgresql://racksalt:hunter2@db: x: [\n")
    with pytest.raises(SettingsError) as caught:
        read_settings(tmp_path / "s.yaml")
    assert "hunter2" not in str(caught.value)
    assert "line 1" in str(caught.value)


def test_a_file_that_is_no_text_is_told(tmp_path):
    """Binary rubbish is an error with the file's name, no traceback."""
    file = tmp_path / "racksalt.yaml"
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SettingsError, match="no text in UTF-8"):
        read_settings(file)
