"""Salt's loader asks once for what the installed packages offer."""

from __future__ import annotations

from salt.utils import entrypoints

from racksalt.lab.entry_points import keep_entry_points


def test_packages_are_read_once_and_the_answer_is_the_same(monkeypatch):
    """However long a process of the lab runs, it reads no package's metadata a second time."""
    usual = entrypoints.iter_entry_points("salt.loader")
    monkeypatch.setattr(entrypoints, "iter_entry_points", entrypoints.iter_entry_points)
    keep_entry_points()
    monkeypatch.setattr(entrypoints, "importlib_metadata", None)
    assert entrypoints.iter_entry_points("salt.loader") == usual
    assert any(one.value.startswith("racksalt") for one in usual)
