"""Sense checks of conduits: patterns that are none, and conduits that no declared node can have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from racksalt.model.conduit import (
    Alternative,
    Conduit,
    Expected,
    choose,
    parse_pattern,
    parse_speed,
)
from racksalt.model.errors import InvalidInputError
from racksalt.site.network_checks import meet, reaches
from racksalt.site.problems import SiteProblem, at, one_of
from racksalt.site.schema import Declarations, NodeDeclaration

Profile = tuple[str, ...] | int | None
"""What the files say of a node's NICs: their speeds, their number, or nothing."""


def check_conduits(site: Declarations) -> Iterator[SiteProblem]:
    """Yield what makes no sense in conduits, in the networks on them, and in the NICs that nodes are said to have."""
    yield from _speeds(site)
    for conduit in site.conduits.values():
        unsound = list(_patterns(site, conduit))
        yield from unsound
        if not unsound:
            yield from _unmet(site, conduit)
    known = site.known("conduits")
    for network in site.networks.values():
        if network.conduit is not None and network.conduit not in known:
            yield at(site.files, "networks", network.name, "conduit")(
                f"no conduit {network.conduit!r}", one_of(network.conduit, sorted(known))
            )
    for one, other in combinations(site.networks.values(), 2):
        same = one.conduit is not None and one.conduit == other.conduit
        if same and not (one.is_tagged() or other.is_tagged()) and meet(site, one, other):
            yield at(site.files, "networks", other.name, "conduit")(
                f"{one.name} is untagged on {one.conduit!r} too", "give one of them a tagged VLAN"
            )


def _patterns(site: Declarations, conduit: Conduit) -> Iterator[SiteProblem]:
    many = len(conduit.alternatives) > 1
    for number, alternative in enumerate(conduit.alternatives):
        key = f"{number}:nics" if many else "nics"
        say = at(site.files, "conduits", conduit.name, key)
        if not alternative.nics:
            yield say("names no NIC", "write a pattern such as 1g1")
        for text in alternative.nics:
            try:
                parse_pattern(text)
            except InvalidInputError as error:
                yield say(error.message, error.hint)
            if alternative.nics.count(text) > 1 and text == alternative.nics[-1]:
                yield say(f"names {text} twice", "a NIC is in a conduit once")
        if len(alternative.nics) > 1 and alternative.bond is None:
            yield say("several NICs need a bond", "add `bond: {mode: active-backup}`")


def _speeds(site: Declarations) -> Iterator[SiteProblem]:
    for node in site.nodes.values():
        for text in node.nics:
            try:
                parse_speed(text)
            except InvalidInputError as error:
                yield at(site.files, "nodes", node.id, "nics")(error.message, error.hint)


def _unmet(site: Declarations, conduit: Conduit) -> Iterator[SiteProblem]:
    """Yield a conduit that none of the nodes that it is for can have, as far as the files say what NICs they have."""
    carried = [it for it in site.networks.values() if it.conduit == conduit.name]
    racks = {it.rack for it in site.nodes.values()}
    on = {it for it in racks if not carried or any(reaches(site, net, it) for net in carried)}
    reached = [node for node in site.nodes.values() if node.rack in on]
    profiles = dict.fromkeys(map(_profile, reached))
    if not profiles or any(_can(conduit, profile) for profile in profiles):
        return
    why = _why(conduit.alternatives[0], next(iter(profiles)))
    yield at(site.files, "conduits", conduit.name)(
        f"none of the {len(reached)} nodes that it is for can have it: {reached[0].id}: {why}",
        "add an alternative that fits them, or correct their `nics`",
    )


def _profile(node: NodeDeclaration) -> Profile:
    if node.nics:
        return node.nics
    # One MAC alone is that of the NIC that boots; who lists several lists them all.
    return len(node.macs) if len(node.macs) > 1 else None


def _can(conduit: Conduit, profile: Profile) -> bool:
    return any(not _why(alternative, profile) for alternative in conduit.alternatives)


def _why(alternative: Alternative, profile: Profile) -> str:
    """Return why NICs of which the files say this cannot be the alternative's; "" if they can."""
    if profile is None:
        return ""
    if isinstance(profile, int):
        most = max([len(alternative.nics), *(parse_pattern(it).place for it in alternative.nics)])
        return "" if most <= profile else f"needs {most} NICs, and {profile} MACs are declared"
    try:
        return choose(alternative, _expected(profile))[1]
    except InvalidInputError:
        return ""  # told by ``_speeds``


def _expected(speeds: Iterable[str]) -> list[Expected]:
    return [Expected(f"nic{number}", parse_speed(text)) for number, text in enumerate(speeds, 1)]
