"""Programs that builds run: all that is missing at once, failures with their last words."""

from __future__ import annotations

import pytest

from racksalt.images import tools
from racksalt.model.errors import ImageError


def test_all_missing_programs_are_told_with_their_packages(monkeypatch):
    """Not one after the other."""
    monkeypatch.setattr(tools, "find", lambda name: None if name in {"zstd", "depmod"} else "/x")
    with pytest.raises(ImageError, match=r"not installed: zstd, depmod .*install .*kmod zstd"):
        tools.check()


def test_who_is_not_root_is_told(monkeypatch):
    """Owners could not be kept."""
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="built by root"):
        tools.check([])


def test_a_failure_ends_with_the_program_s_last_words(tmp_path):
    """Only those of this program, though the log has all; it is named."""
    log = tmp_path / "log"
    tools.run(["sh", "-c", "echo earlier"], log)
    with pytest.raises(ImageError, match=r"status 3: one \| two") as error:
        tools.run(["sh", "-c", "echo one; echo two >&2; exit 3"], log)
    assert "earlier" not in error.value.message
    assert "earlier" in log.read_text()
    assert str(log) in error.value.hint


def test_programs_get_no_more_of_the_environment_than_they_need(tmp_path, monkeypatch):
    """A build does not depend on who builds, and a secret of theirs does not end in an image."""
    monkeypatch.setenv("MY_TOKEN", "secret")
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    tools.run(["env"], tmp_path / "log", env={"SOURCE_DATE_EPOCH": "5"})
    told = (tmp_path / "log").read_text()
    assert "SOURCE_DATE_EPOCH=5" in told
    assert "LC_ALL=C.UTF-8" in told
    assert "MY_TOKEN" not in told
    assert "fr_FR" not in told
