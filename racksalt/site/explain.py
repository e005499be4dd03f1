"""Why a value is what it is: the winning layer, and what it hides."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from racksalt.model.errors import NotFoundError
from racksalt.site.layers import (
    REMOVE,
    Claim,
    Layer,
    Merged,
    Origin,
    claims,
    colon,
    copy_plain,
    find,
    holder,
    leaves,
    lift,
    merge,
    prevails,
)
from racksalt.site.secrets import shown

_NEAR = 5


class Hidden(NamedTuple):
    """What a lower layer says and a higher one hides. A ``value`` of ``__remove__`` is a removal."""

    layer: str
    file: str
    value: Any
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One key of one node's configuration and where its value comes from.

    ``key`` is in colon form. ``value`` is the effective value, a map for a key with others below it, None if
    ``removed``. ``winner`` is the layer of the value, the highest one that has a say in the map, or the one that takes
    the key away; ``sources`` has the layer of each leaf. ``hidden`` lists what lost, the highest layer first.
    """

    key: str
    value: Any
    winner: Origin
    removed: bool
    sources: dict[str, Origin]
    hidden: list[Hidden]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for people and programs; what looks like a secret is hidden."""
        return {
            "key": self.key,
            "value": shown(self.key, self.value),
            "removed": self.removed,
            "layer": self.winner.layer,
            "file": self.winner.file,
            "sources": {
                key: {"layer": origin.layer, "file": origin.file}
                for key, origin in self.sources.items()
            },
            "hidden": [{**it._asdict(), "value": shown(it.key, it.value)} for it in self.hidden],
        }


def explain(layers: Iterable[Layer], key: str) -> Explanation:
    """Explain a key such as ``ntp:servers`` (or a map such as ``ntp``) of the given layers, lowest first.

    Raises NotFoundError if no layer mentions the key; ``detail['near']`` has keys that look like it.
    """
    return explain_merged(merge(layers), key)


def explain_merged(merged: Merged, key: str) -> Explanation:
    """Explain a key of an outcome that is there already; see ``explain``."""
    found = find(merged.root, key) or _cut_off(merged, key)
    if found is None:
        raise _unknown(merged, key)
    path, node = found
    if isinstance(node, Claim):
        value = None if node.is_removal else copy_plain(node.value)
        sources = {} if node.is_removal else {colon(path): node.origin}
    else:
        value = _values_at(merged, path)
        sources = {colon(below): leaf.origin for below, leaf in leaves(node, path)}
        sources = sources or {colon(path): node.origin}
    removed = isinstance(node, Claim) and node.is_removal
    return Explanation(
        key=colon(path),
        value=value,
        winner=node.origin,
        removed=removed,
        sources=sources,
        hidden=[
            it for it in _hidden(merged, path) if not (removed and it.layer == node.origin.layer)
        ],
    )


def _hidden(merged: Merged, path: tuple[str, ...]) -> Iterable[Hidden]:
    """Yield what each layer says at, above or below the path and does not prevail, the highest layer first."""
    for layer in reversed(merged.layers):
        for where, claim in claims(lift(layer).root):
            touches = where[: len(path)] == path or path[: len(where)] == where
            if touches and not prevails(merged.root, where, claim):
                value = copy_plain(claim.value) if isinstance(claim, Claim) else {}
                yield Hidden(layer.origin.layer, layer.origin.file, value, colon(where))


def _cut_off(merged: Merged, key: str) -> tuple[tuple[str, ...], Claim] | None:
    """Return a key that some layer sets and a higher one takes away with all around it, as removed by the latter."""
    alone = [lift(layer).root for layer in reversed(merged.layers)]
    for root in alone:
        found = find(root, key)
        if found:
            path = found[0]
            above = (holder(it, path[:-1]) for it in alone)
            cutter = next(node for node in above if isinstance(node, Claim))
            return path, Claim(REMOVE, cutter.origin)
    return None


def _values_at(merged: Merged, path: tuple[str, ...]) -> Any:
    value: Any = merged.values
    for key in path:
        value = value[key]
    return copy_plain(value)


def _unknown(merged: Merged, key: str) -> NotFoundError:
    known = {colon(path[:n]) for path, _ in claims(merged.root) for n in range(1, len(path) + 1)}
    last = key.rsplit(":", 1)[-1]
    near = difflib.get_close_matches(key, sorted(known), _NEAR)
    near += [it for it in sorted(known) if it.rsplit(":", 1)[-1] == last and it not in near]
    names = ", ".join(near[:_NEAR]) or ", ".join(sorted(merged.values)) or "none at all"
    what = "near it are" if near else "the top keys are"
    return NotFoundError(f"no layer sets {key!r}", f"{what}: {names}", near=near[:_NEAR])
