"""The sections ``networks`` and ``conduits``: from maps to nouns. What makes no sense is checked apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from racksalt.model.conduit import Alternative, Bond, Conduit
from racksalt.model.place import Network, Range
from racksalt.site.fields import Section, parse
from racksalt.site.network_checks import address
from racksalt.site.schema import NodeDeclaration


def networks(sections: Mapping[str, Section]) -> dict[str, Network]:
    """Return the networks that parse, with those of their ranges that parse."""
    found = {}
    for name, where in sections.items():
        given = {"name": name, "ranges": _ranges(where)}
        network = parse(Network, where, given=given, skip=("ranges",))
        if network is not None:
            found[name] = network
    return found


def conduits(sections: Mapping[str, Section]) -> dict[str, Conduit]:
    """Return the conduits that parse: a map is the one alternative, a list has several, the best first."""
    found = {}
    for name, where in sections.items():
        before = len(where.problems)
        bodies = where.body if isinstance(where.body, list) else [where.body]
        keys = range(len(bodies)) if isinstance(where.body, list) else ("",)
        pieces = [
            replace(where, key=f"{where.key}:{key}" if key != "" else where.key, body=body)
            for key, body in zip(keys, bodies, strict=True)
        ]
        if not pieces:
            where.say("", "has no alternative", "write at least `nics:`")
        alternatives = [it for piece in pieces if (it := _alternative(piece))]
        if len(where.problems) == before:
            found[name] = Conduit(name=name, alternatives=tuple(alternatives))
    return found


def _alternative(where: Section) -> Alternative | None:
    inner = where.below("bond")
    bond = parse(Bond, inner) if inner is not None else None
    return parse(Alternative, _listed(where, "nics"), given={"bond": bond}, skip=("bond",))


def _listed(where: Section, key: str) -> Section:
    """Return the piece with a text at ``key`` taken as the list of its words."""
    if isinstance(where.body, Mapping) and isinstance(where.body.get(key), str):
        return replace(where, body={**where.body, key: where.body[key].split()})
    return where


def with_nics(where: Section) -> Section:
    """Return a node's piece with ``nics`` as a list, and its addresses as lists by network."""
    where = _listed(where, "nics")
    addresses = where.body.get("addresses") if isinstance(where.body, Mapping) else None
    if not isinstance(addresses, Mapping):
        return where
    lists = {name: [it] if isinstance(it, str) else it for name, it in addresses.items()}
    return replace(where, body={**where.body, "addresses": lists})


def as_document(network: Network) -> dict[str, Any]:
    """Return a network as a file would declare it."""
    told = {key: value for key, value in asdict(network).items() if value is not None}
    told["ranges"] = {it.pop("name"): it for it in told["ranges"]}
    del told["name"]
    return told


def conduit_document(conduit: Conduit) -> list[dict[str, Any]]:
    """Return a conduit as a file would declare it."""
    return [asdict(it) for it in conduit.alternatives]


def claims(nodes: Iterable[NodeDeclaration]) -> dict[str, str]:
    """Return which node the files give each address to; what is no address is told elsewhere."""
    found: dict[str, str] = {}
    for node in nodes:
        for text in (it for texts in node.addresses.values() for it in texts):
            one = address(text)
            if one is not None:
                found.setdefault(str(one), node.id)
    return found


def _ranges(where: Section) -> tuple[Range, ...]:
    inner = where.below("ranges")
    if inner is None:
        return ()
    if not isinstance(inner.body, Mapping):
        inner.say("", "is not a map", "write a range's name and a colon for each entry")
        return ()
    found: list[Any] = []
    for name, body in inner.body.items():
        piece = Section(inner.file, f"{inner.key}:{name}", body, inner.problems)
        if not isinstance(name, str):
            piece.say("", "the name is not text", "put it in quotes")
            continue
        found.append(parse(Range, piece, given={"name": name}))
    return tuple(it for it in found if it is not None)
