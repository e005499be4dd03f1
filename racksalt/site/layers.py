"""Laying layers over one another: maps merge, all else replaces, and each value remembers its layer.

The merge keeps a tree of *claims* instead of plain values, because plain values cannot tell "a map with these keys"
from "nothing that was below, and these keys". With the tree, laying is associative: layers may be grouped in any way,
so the common ones (global, zone, rack) are laid once and shared by every node of a rack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

REMOVE: Final = "__remove__"
"""As the value of a key: takes away what lower layers say at and below that key."""

Path = tuple[str, ...]
"""The keys from the root down to a value."""


class Origin(NamedTuple):
    """Who says so: a layer (``global``, ``zone:z1``, ``rack:r1``, ``node:n1``) and its file below ``pillar/``."""

    layer: str
    file: str

    def __str__(self) -> str:
        """Return ``rack:r1 (rack/r1.sls)``."""
        return f"{self.layer} ({self.file})"


@dataclass(frozen=True, eq=False)
class Layer:
    """One file's values and where they come from. ``values`` is never changed; a changed file is a new Layer.

    Two layers are equal only if they are the same object, so a Layer is a cheap key of a cache.
    """

    origin: Origin
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """A value that is no map (or REMOVE) and the layer that sets it."""

    value: Any
    origin: Origin

    @property
    def is_removal(self) -> bool:
        """Return whether this claim takes a key away instead of setting it."""
        return isinstance(self.value, str) and self.value == REMOVE


@dataclass(frozen=True, slots=True)
class Branch:
    """A map of claims. ``origin`` is the highest layer that has a map here.

    ``cut`` is true when a layer replaced what was here before: nothing of the layers below shows through.
    """

    children: Mapping[str, Claim | Branch]
    origin: Origin
    cut: bool = False


class Merged:
    """The outcome of laying some layers: ``values``, and ``sources`` with the layer of each of them.

    Read only: values are shared with the layers and with other outcomes. ``plain()`` gives a copy to keep.
    """

    __slots__ = ("_sources", "_values", "layers", "root")

    def __init__(self, root: Branch, layers: tuple[Layer, ...]) -> None:
        self.root = root
        self.layers = layers
        """The layers that went in, lowest first: hidden values are kept in them (see ``explain``)."""
        self._values: dict[str, Any] | None = None
        self._sources: dict[str, Origin] | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """Return the effective values, without anything that was removed."""
        if self._values is None:
            self._values = _values(self.root)
        return self._values

    @property
    def sources(self) -> Mapping[str, Origin]:
        """Return the winning layer of each leaf by its key in Salt's colon form, e.g. ``ntp:servers``."""
        if self._sources is None:
            self._sources = {colon(path): leaf.origin for path, leaf in leaves(self.root)}
        return self._sources

    def plain(self) -> dict[str, Any]:
        """Return a copy of the values that the caller may change."""
        copied: dict[str, Any] = copy_plain(self.values)
        return copied

    def over(self, other: Merged) -> Merged:
        """Return this outcome laid over ``other``, which lies below."""
        return Merged(_lay(other.root, self.root), (*other.layers, *self.layers))


NOBODY: Final = Origin("", "")
NOTHING: Final = Merged(Branch({}, NOBODY), ())
"""No layer at all: below and above everything, it changes nothing."""


def lift(layer: Layer) -> Merged:
    """Return one layer as an outcome of its own."""
    return Merged(_branch(layer.values, layer.origin), (layer,))


def merge(layers: Iterable[Layer]) -> Merged:
    """Lay the layers, given lowest first: maps merge, lists and scalars replace, REMOVE takes away."""
    result = NOTHING
    for layer in layers:
        result = lift(layer).over(result)
    return result


def colon(path: Path) -> str:
    """Return a path in the form that Salt's ``pillar.get`` takes, e.g. ``ntp:servers``."""
    return ":".join(path)


def claims(node: Claim | Branch, path: Path = ()) -> Iterator[tuple[Path, Claim | Branch]]:
    """Yield all that is said at or below ``node`` with its path: values, removals, empty maps."""
    if isinstance(node, Claim) or not node.children:
        yield path, node
        return
    for key, child in node.children.items():
        yield from claims(child, (*path, key))


def leaves(branch: Branch, path: Path = ()) -> Iterator[tuple[Path, Claim | Branch]]:
    """Yield what is effective at or below ``branch``: values, and maps in which nothing is left."""
    for key, child in branch.children.items():
        if isinstance(child, Claim):
            if not child.is_removal:
                yield (*path, key), child
        elif all(map(_is_removal, child.children.values())):
            yield (*path, key), child
        else:
            yield from leaves(child, (*path, key))


def find(root: Branch, key: str) -> tuple[Path, Claim | Branch] | None:
    """Return what stands at a key in colon form; None if nothing does. Keys may themselves contain colons."""
    return _find(root, key, ())


def holder(root: Branch, path: Path) -> Claim | Branch:
    """Return what stands at a path or, if nothing does, the deepest thing above it."""
    node: Claim | Branch = root
    for key in path:
        below = node.children.get(key) if isinstance(node, Branch) else None
        if below is None:
            return node
        node = below
    return node


def prevails(root: Branch, path: Path, claim: Claim | Branch) -> bool:
    """Return whether what a layer says at a path is what holds; an empty map holds wherever there is a map."""
    node: Claim | Branch | None = root
    for key in path:
        node = node.children.get(key) if isinstance(node, Branch) else None
    if isinstance(claim, Branch):
        return isinstance(node, Branch)
    return node is not None and node.origin == claim.origin


def copy_plain(value: Any) -> Any:
    """Return a deep copy of plain data (maps, lists, scalars)."""
    if isinstance(value, Mapping):
        return {key: copy_plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [copy_plain(child) for child in value]
    return value


@dataclass(frozen=True, slots=True)
class Difference:
    """One leaf that two outcomes do not share; the value of a side without it is None."""

    key: str
    before: Any
    after: Any
    added: bool = field(default=False)
    removed: bool = field(default=False)


def differences(before: Merged, after: Merged) -> list[Difference]:
    """Return the leaves whose effective value differs, in the order of their keys."""
    old, new = _leaves(before), _leaves(after)
    return [
        Difference(colon(path), old.get(path), new.get(path), path not in old, path not in new)
        for path in sorted({*old, *new})
        if path not in old or path not in new or not same(old[path], new[path])
    ]


def same(one: Any, other: Any) -> bool:
    """Return whether two plain values are alike, types included: 1, 1.0 and true are three different values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _leaves(merged: Merged) -> dict[Path, Any]:
    """Return each effective leaf by its path; an empty map counts as a leaf."""
    return {
        path: leaf.value if isinstance(leaf, Claim) else {} for path, leaf in leaves(merged.root)
    }


def _branch(values: Mapping[str, Any], origin: Origin) -> Branch:
    """Return a layer's map as claims of that layer."""
    return Branch({key: _claim(value, origin) for key, value in values.items()}, origin)


def _claim(value: Any, origin: Origin) -> Claim | Branch:
    return _branch(value, origin) if isinstance(value, Mapping) else Claim(value, origin)


def _lay(low: Claim | Branch, high: Branch) -> Branch:
    """Return ``high`` over ``low``; a map over something that is no map hides all that was there."""
    if high.cut:
        return high
    if isinstance(low, Claim):
        return Branch(high.children, high.origin, cut=True)
    children = dict(low.children)
    for key, child in high.children.items():
        below = children.get(key)
        children[key] = child if below is None or isinstance(child, Claim) else _lay(below, child)
    return Branch(children, low.origin if high.origin == NOBODY else high.origin, low.cut)


def _values(branch: Branch) -> dict[str, Any]:
    return {
        key: child.value if isinstance(child, Claim) else _values(child)
        for key, child in branch.children.items()
        if not _is_removal(child)
    }


def _is_removal(node: Claim | Branch) -> bool:
    return isinstance(node, Claim) and node.is_removal


def _find(node: Claim | Branch, key: str, path: Path) -> tuple[Path, Claim | Branch] | None:
    if isinstance(node, Claim):
        return None
    if key in node.children:
        return (*path, key), node.children[key]
    for head, child in node.children.items():
        if key.startswith(head + ":"):
            found = _find(child, key[len(head) + 1 :], (*path, head))
            if found:
                return found
    return None
