"""What is wrong with a layer's values, before they are laid over others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from racksalt.site.impact import scope_of
from racksalt.site.layers import REMOVE, Claim, Layer, Path, claims, colon, lift
from racksalt.site.pillar import FACTS, OWN
from racksalt.site.problems import SiteProblem, one_of
from racksalt.site.schema import Declarations
from racksalt.site.secrets import is_encrypted, is_reference, sounds_secret, tells_password


def check_values(file: str, values: Mapping[str, Any]) -> Iterator[SiteProblem]:
    """Yield what is wrong with one file's values, whatever the other files say."""
    own = values.get(OWN, {})
    if not isinstance(own, Mapping):
        yield SiteProblem(file, OWN, "is not a map", "write its keys below it, indented")
    else:
        for key in FACTS:
            if key in own:
                hint = "it comes from the store; use another key"
                yield SiteProblem(file, f"{OWN}:{key}", "is one of a node's own facts", hint)
    yield from _walk(file, values, "")


def _walk(file: str, values: Mapping[str, Any], above: str) -> Iterator[SiteProblem]:
    for name, value in values.items():
        key = f"{above}:{name}" if above else name
        if isinstance(value, Mapping):
            yield from _walk(file, value, key)
        elif isinstance(value, list) and _holds_removal(value):
            yield SiteProblem(
                file,
                key,
                f"{REMOVE} in a list takes nothing away",
                "lists replace as a whole: write the list that you want",
            )
        elif isinstance(value, list | str) and _gives_away(key, value):
            hint = "refer to it (sdb://…) or encrypt it (PGP)"
            yield SiteProblem(file, key, "looks like a secret in plain text", hint, "warning")


def _gives_away(key: str, value: list[Any] | str) -> bool:
    if isinstance(value, list):
        return any(map(tells_password, value))
    return tells_password(value) or (sounds_secret(key) and not _may_be_told(value))


def _may_be_told(value: str) -> bool:
    return value in ("", REMOVE) or is_reference(value) or is_encrypted(value)


def _holds_removal(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_removal, value))
    if isinstance(value, Mapping):
        return any(map(_holds_removal, value.values()))
    return isinstance(value, str) and value == REMOVE


def check_together(layers: Iterable[Layer]) -> Iterator[SiteProblem]:
    """Yield the keys that two files of one layer both set: which of them should win, nobody could tell."""
    values: dict[Path, str] = {}
    maps: dict[Path, str] = {}
    for layer in layers:
        file = layer.origin.file
        for path, claim in list(claims(lift(layer).root)):
            others = [values.get(path[:n]) for n in range(1, len(path) + 1)]
            if isinstance(claim, Claim):
                others.append(maps.get(path))
                values.setdefault(path, file)
            for n in range(1, len(path)):
                maps.setdefault(path[:n], file)
            other = next((it for it in others if it not in (None, file)), None)
            if other:
                hint = "the files of one layer must not overlap; keep one of the two"
                yield SiteProblem(file, colon(path), f"is set in {other} too", hint)


def check_owners(files: Iterable[str], declared: Declarations) -> Iterator[SiteProblem]:
    """Yield the files of zones, racks and nodes that the site does not declare, if it declares any of that kind."""
    for file in files:
        scope = scope_of(file)
        names = getattr(declared, f"{scope.kind}s", {})
        if names and scope.name not in names:
            yield SiteProblem(
                file,
                "",
                f"no {scope.kind} {scope.name!r} is declared",
                one_of(scope.name, sorted(names)),
                "warning",
            )
