"""A site's configuration as everybody reads it: declarations, effective values, reasons, and the reach of a change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from racksalt.model.errors import InvalidInputError, NotFoundError
from racksalt.site.explain import Explanation, explain_merged
from racksalt.site.impact import FileImpact, impact, scope_of
from racksalt.site.layers import NOTHING, Layer, Merged, lift
from racksalt.site.problems import SiteProblem, one_of
from racksalt.site.schema import Declarations, Place

_KEPT_OUTCOMES = 4096


class Source(Protocol):
    """Where a site comes from: a folder (``racksalt.adapters.site_files``), or plain data."""

    def declarations(self) -> Declarations:
        """Return what is declared now, or what was last declared without errors."""
        ...

    def layers(self, place: Place) -> tuple[Layer, ...]:
        """Return the layers of one node, lowest first, reading only their files.

        An unchanged file gives the same Layer object each time.
        """
        ...

    def layer(self, file: str) -> Layer | None:
        """Return one file's layer; None if there is no such file."""
        ...

    def problems(self) -> list[SiteProblem]:
        """Return what is wrong with the files now, while the last good ones are used."""
        ...


class Site:
    """The one door to a site's configuration. Every answer is as of the files at the time of the call."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # Layers are equal only to themselves, so a changed file never meets an old outcome.
        self._merged = lru_cache(maxsize=_KEPT_OUTCOMES)(self._lay)

    @property
    def declarations(self) -> Declarations:
        """Return zones, racks, nodes, networks, policy and additions to the machine."""
        return self._source.declarations()

    def problems(self) -> list[SiteProblem]:
        """Return what is wrong with the files; until it is mended, what they last said holds."""
        return self._source.problems()

    def effective(self, node: str, rack: str | None, zone: str | None) -> Merged:
        """Return a node's configuration. The work does not grow with the number of nodes."""
        return self._merged(self._source.layers(Place(node, rack, zone)))

    def explain(self, key: str, node: str, rack: str | None, zone: str | None) -> Explanation:
        """Explain one key of a node's configuration.

        Raises NotFoundError if no layer of this node mentions the key.
        """
        return explain_merged(self.effective(node, rack, zone), key)

    def place(self, node: str) -> Place:
        """Return where a declared node stands; NotFoundError names ids that look alike."""
        declared = self.declarations
        if node not in declared.nodes:
            raise NotFoundError(
                f"no node {node!r} is declared", one_of(node, sorted(declared.nodes))
            )
        return declared.place(node)

    def impact(
        self,
        file: str,
        against: Mapping[str, Any] | None = None,
        places: Sequence[Place] | None = None,
        others: Mapping[str, Collection[str]] | None = None,
    ) -> FileImpact:
        """Return which nodes a layer file reaches, and what of it prevails on each.

        Args:
            file: a path that ends like ``rack/r1.sls``, with or without folders before.
            against: the values that the file would have instead (``{}`` for a deleted file); None asks about the
                file as it is.
            places: the nodes to look at; by default, those that the site declares.
            others: names of zones, racks and nodes that are known though the site does not declare them, by kind.

        Raises:
            InvalidInputError: no layer can have such a file, or nobody knows the zone, rack or node of its name.
            NotFoundError: there is no such file, and no values were given that it would have.
        """
        scope = scope_of(file)
        now = self._source.layer(scope.file)
        if now is None and against is None:
            raise NotFoundError(
                f"no file {scope.file!r} under the pillar folder",
                "give the values that it would have, to see what a new file would change",
            )
        nodes = self.declarations.places() if places is None else places
        reached = [place for place in nodes if scope.covers(place)]
        if scope.layer != "global" and not reached:
            self._is_known(scope.kind, scope.name, (others or {}).get(scope.kind, ()))
        new = None if against is None else Layer(scope.origin, against)
        return impact(scope, reached, self._source.layers, self._merged, new)

    def _is_known(self, kind: str, name: str, others: Collection[str]) -> None:
        names = sorted({*getattr(self.declarations, f"{kind}s"), *others})
        if name not in names:
            raise InvalidInputError(f"no {kind} {name!r} is declared", one_of(name, names))

    def _lay(self, layers: tuple[Layer, ...]) -> Merged:
        # Lower layers first, so that the nodes of a rack share all but their own.
        if not layers:
            return NOTHING
        return lift(layers[-1]).over(self._merged(layers[:-1]))
