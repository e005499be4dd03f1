"""Which nodes a layer file reaches, which of its values prevail there, and what a change would do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from racksalt.model.errors import InvalidInputError
from racksalt.site.layers import (
    Branch,
    Claim,
    Difference,
    Layer,
    Merged,
    Origin,
    Path,
    claims,
    colon,
    differences,
    holder,
    lift,
    prevails,
)
from racksalt.site.schema import Place
from racksalt.site.secrets import shown

KINDS: Final = ("global", "zone", "rack", "node")
"""The layers, lowest first; also the names of their folders."""


class Scope(NamedTuple):
    """The layer that a file belongs to: its folder, and what it is called within."""

    kind: str
    name: str

    @property
    def file(self) -> str:
        """Return the file below the pillar folder."""
        return f"{self.kind}/{self.name}.sls"

    @property
    def layer(self) -> str:
        """Return the layer's name, e.g. ``global`` or ``rack:r1``."""
        return self.kind if self.kind == "global" else f"{self.kind}:{self.name}"

    @property
    def origin(self) -> Origin:
        """Return layer and file."""
        return Origin(self.layer, self.file)

    def covers(self, place: Place) -> bool:
        """Return whether a node at this place has this layer."""
        if self.kind == "global":
            return True
        return self.name == {"zone": place.zone, "rack": place.rack, "node": place.node}[self.kind]


def scope_of(file: str) -> Scope:
    """Return the layer of a file named by any path that ends like ``rack/r1.sls``.

    Raises InvalidInputError for a file that is no layer.
    """
    parts = file.replace("\\", "/").split("/")
    folder, name = (parts[-2] if len(parts) > 1 else ""), parts[-1]
    if folder in KINDS and name.endswith(".sls") and name != ".sls":
        return Scope(folder, name[: -len(".sls")])
    near = difflib.get_close_matches(folder, KINDS, 1) or ["rack"]
    raise InvalidInputError(
        f"{file!r} is not a layer's file", f"name one such as {near[0]}/NAME.sls"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeImpact:
    """What one file means to one node. Keys are in colon form.

    ``wins`` are the keys whose effective value comes from the file, removals included; ``hidden`` has the others with
    the layer that hides each. ``changes`` is what the proposed content would alter (empty if none was proposed).
    """

    node: str
    wins: list[str]
    hidden: list[tuple[str, Origin]]
    changes: list[Difference] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for people and programs; what looks like a secret is hidden."""
        return {
            "node": self.node,
            "wins": self.wins,
            "hidden": [
                {"key": key, "by": origin.layer, "file": origin.file} for key, origin in self.hidden
            ],
            "changes": [
                {
                    "key": it.key,
                    "before": shown(it.key, it.before),
                    "after": shown(it.key, it.after),
                    "kind": "added" if it.added else "removed" if it.removed else "changed",
                }
                for it in self.changes
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImpact:
    """What one file means to the nodes in its layer's scope.

    ``nodes`` has each node that the file reaches, or with a proposed content each node that would change.
    """

    file: str
    layer: str
    proposed: bool
    nodes: list[NodeImpact]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "file": self.file,
            "layer": self.layer,
            "proposed": self.proposed,
            "nodes": [node.as_dict() for node in self.nodes],
        }


def impact(
    scope: Scope,
    reached: Iterable[Place],
    layers_of: Callable[[Place], tuple[Layer, ...]],
    laid: Callable[[tuple[Layer, ...]], Merged],
    new: Layer | None = None,
) -> FileImpact:
    """Return what the scope's file means to each place, or what ``new`` in its stead would change.

    ``laid`` gives the outcome of some layers, lowest first.
    """
    told = []
    for place in reached:
        now = layers_of(place)
        then = now if new is None else _instead(now, new)
        changes = [] if new is None else differences(laid(now), laid(then))
        if new is None or changes:
            told.append(_told(place.node, scope.origin, then, laid(then), changes))
    return FileImpact(file=scope.file, layer=scope.layer, proposed=new is not None, nodes=told)


def _told(
    node: str,
    origin: Origin,
    layers: tuple[Layer, ...],
    merged: Merged,
    changes: list[Difference],
) -> NodeImpact:
    wins: list[str] = []
    hidden: list[tuple[str, Origin]] = []
    for path, claim in said_by(layers, origin):
        if prevails(merged.root, path, claim):
            wins.append(colon(path))
        else:
            hidden.append((colon(path), holder(merged.root, path).origin))
    return NodeImpact(node=node, wins=sorted(wins), hidden=sorted(hidden), changes=changes)


def said_by(layers: Iterable[Layer], origin: Origin) -> Iterator[tuple[Path, Claim | Branch]]:
    """Yield what the layer of this origin says, if it is among them."""
    for layer in layers:
        if layer.origin == origin and layer.values:
            yield from claims(lift(layer).root)


def _instead(layers: tuple[Layer, ...], new: Layer) -> tuple[Layer, ...]:
    """Return the layers with ``new`` in the place of the one with its origin, or where it would stand."""
    others = [layer for layer in layers if layer.origin != new.origin]
    return tuple(sorted([*others, new], key=lambda layer: rank(layer.origin)))


def rank(origin: Origin) -> tuple[int, str]:
    """Return what layers are sorted by, lowest first: the kind of layer, then the name of the file."""
    return KINDS.index(origin.layer.partition(":")[0]), origin.file
