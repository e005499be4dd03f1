"""Where packages come from: the apt sources of the machine that builds, for the suite of the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from racksalt.images.recipe import Recipe
from racksalt.model.errors import ImageError

APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
_POCKETS = ("", "-updates", "-security")
_OPTION = re.compile(r"([a-z-]+)=(\S+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One address with its suites, as apt knows it."""

    uri: str
    suites: tuple[str, ...]
    signed_by: str

    def stanza(self, components: Iterable[str]) -> str:
        """Return it in the format of deb822 (sources.list(5))."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {' '.join(self.suites)}"]
        lines.append(f"Components: {' '.join(components)}")
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def for_recipe(recipe: Recipe, file: Path | None = None, apt: Path = APT) -> str:
    """Return apt sources (deb822) for a recipe.

    Args:
        recipe: its suite takes the place of the host's own where the distribution is the same.
        file: sources to use as they are, for a distribution that the host does not run.
        apt: the host's folder of apt.

    Raises:
        ImageError: the host has no source for this distribution.
    """
    if file is not None:
        return file.read_text(encoding="utf-8")
    host = _os_release(OS_RELEASE)
    if host.get("ID") != recipe.distribution:
        raise ImageError(
            f"this machine runs {host.get('ID')}, {recipe.name} is made of {recipe.distribution}",
            "name a file with its apt sources: --sources FILE",
        )
    own = host.get("VERSION_CODENAME", "")
    found = [
        Source(source.uri, suites, source.signed_by)
        for source in read(apt)
        if (suites := _suites(source.suites, own, recipe.suite))
    ]
    if not found:
        raise ImageError(
            f"the apt sources of this machine have no suite {own}", f"look at {apt}/sources.list.d"
        )
    return "\n".join(source.stanza(recipe.components) for source in found)


def read(apt: Path) -> list[Source]:
    """Return the host's binary sources, of both formats."""
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    return [
        source
        for file in files
        if file.is_file()
        for source in (_deb822 if file.suffix == ".sources" else _lines)(
            file.read_text(encoding="utf-8", errors="replace")
        )
    ]


def _suites(suites: Iterable[str], own: str, wanted: str) -> tuple[str, ...]:
    return tuple(
        f"{wanted}{pocket}" for name in suites for pocket in _POCKETS if name == f"{own}{pocket}"
    )


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)", line.strip())
        if found:
            options = dict(_OPTION.findall(found[1] or ""))
            yield Source(found[2], (found[3],), options.get("signed-by", ""))


def _deb822(text: str) -> Iterator[Source]:
    for block in re.split(r"\n\s*\n", text):
        plain = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", plain, re.MULTILINE))
        off = fields.get("Enabled", "yes").strip().lower() in {"no", "false"}
        if off or "deb" not in fields.get("Types", "").split():
            continue
        for uri in fields.get("URIs", "").split():
            yield Source(uri, tuple(fields.get("Suites", "").split()), fields.get("Signed-By", ""))


def _os_release(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)
    return {key: value.strip("\"'") for key, value in found}
