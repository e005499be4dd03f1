"""Generated files are what the code says now, and the checks of them do bite."""

from __future__ import annotations

import pytest

from tools import breaking, gen


@pytest.mark.parametrize("part", gen.PARTS, ids=lambda part: f"{part.path}-{part.name}")
def test_generated_parts_are_fresh(part):
    """Each generated part equals what its generator returns now."""
    assert not gen.stale(part), "run `make gen` and commit the result"


def test_a_stale_part_is_seen(tmp_path, monkeypatch):
    """A part that differs is stale once, and fresh after it was written."""
    monkeypatch.setattr(gen, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated:x -->\nold\n<!-- /generated:x -->\nafter\n")
    part = gen.Part("page.md", "x", lambda: "new")
    assert gen.stale(part)
    assert gen.stale(part, write=True)
    assert not gen.stale(part)
    assert page.read_text() == ("before\n<!-- generated:x -->\nnew\n<!-- /generated:x -->\nafter\n")


def test_a_page_without_markers_is_an_error(tmp_path, monkeypatch):
    """A part whose markers were deleted is not silently dropped."""
    monkeypatch.setattr(gen, "ROOT", tmp_path)
    with pytest.raises(LookupError, match="no markers"):
        gen.stale(gen.Part("page.md", "x", lambda: "new"))


def test_a_breaking_schema_change_is_named():
    """Removing a field breaks clients, adding one does not."""
    old, new = "type Query { a: Int b: Int }", "type Query { a: Int c: Int }"
    (found,) = breaking.breaking(old, new)
    assert "Query.b was removed" in found
    assert breaking.breaking(old, "type Query { a: Int b: Int c: Int }") == []
