"""Where packages come from: the host's own sources, for the recipe's suite."""

from __future__ import annotations

import pytest

from racksalt.images import sources
from racksalt.images.recipe import Recipe
from racksalt.model.errors import ImageError

DEB822 = """# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://tools.example/x
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def _recipe(suite="bookworm", **more):
    fields = {"name": "t", "kind": "os", "title": "t", "packages": [], "distribution": "debian"}
    return Recipe(**{**fields, "suite": suite, **more})


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """The configuration of a Debian 12 host."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(
        "# no\ndeb-src http://src.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.asc] http://safe.example/debian bookworm-security main\n"
    )
    release = tmp_path / "os-release"
    release.write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    monkeypatch.setattr(sources, "OS_RELEASE", release)
    return tmp_path


def test_only_the_distribution_s_own_sources_are_used(apt):
    """Other repositories of the host have no business in an image; both formats are read."""
    told = sources.for_recipe(_recipe(), apt=apt)
    assert "mirror.example" in told
    assert "http://safe.example/debian\nSuites: bookworm-security" in told
    assert "Signed-By: /k.asc" in told
    assert not [name for name in ("tools.", "off.", "src.") if name in told]


def test_another_release_of_the_distribution_comes_from_the_same_place(apt):
    """The recipe's suite takes the host's place, with updates and security."""
    told = sources.for_recipe(_recipe("trixie", components=("main", "contrib")), apt=apt)
    assert "Suites: trixie trixie-updates" in told
    assert "Suites: trixie-security" in told
    assert "Components: main contrib" in told
    assert "bookworm" not in told


def test_another_distribution_needs_its_own_sources(apt, tmp_path):
    """It is refused with what to do; a file that is named is used as it is."""
    with pytest.raises(ImageError, match="--sources FILE"):
        sources.for_recipe(_recipe(distribution="ubuntu"), apt=apt)
    file = tmp_path / "mine"
    file.write_text("Types: deb\n")
    assert sources.for_recipe(_recipe(distribution="ubuntu"), file, apt=apt) == "Types: deb\n"


def test_a_host_without_sources_of_its_release_is_told(apt):
    """There would be nothing to build from."""
    (apt / "sources.list").unlink()
    (apt / "sources.list.d/debian.sources").unlink()
    with pytest.raises(ImageError, match="have no suite bookworm"):
        sources.for_recipe(_recipe(), apt=apt)
