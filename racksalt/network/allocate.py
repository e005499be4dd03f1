"""Which addresses a node has on which networks: sticky, and never one that somebody else has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from racksalt.model.node import Address, Family, Nic
from racksalt.model.place import Network
from racksalt.network.pools import family_of, may_keep, normal, subnet_of

FAMILIES: Final[tuple[Family, ...]] = (4, 6)
Take = Callable[[Network, Family], str | None]
"""Gives a free address; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An address that a node shall have. ``nic`` is the id of the NIC that holds it, None for a bond or a VLAN.

    ``fixed`` is the address that the site's files give it.
    """

    network: Network
    family: Family
    nic: str | None = None
    fixed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What changes for one node. ``lacking`` are the needs for which there was no address."""

    put: tuple[Address, ...] = ()
    gone: tuple[Address, ...] = ()
    lacking: tuple[Need, ...] = ()


def boot_networks(
    networks: Iterable[Network], zone: str | None, rack: str | None
) -> list[tuple[Network, Family]]:
    """Return on which networks, and by which family, a node of this rack boots: the nearest of each family.

    A rack's own network comes before its zone's, and that before one that reaches everywhere.
    """
    reach = [it for it in networks if it.purpose == "provisioning" and it.reaches(zone, rack)]
    found = []
    for family in FAMILIES:
        fit = [it for it in reach if subnet_of(it, family) is not None]
        nearest = min(map(_distance, fit), default=None)
        found += [(it, family) for it in fit if _distance(it) == nearest]
    return sorted(found, key=lambda it: (_distance(it[0]), it[0].name, it[1]))


def _distance(network: Network) -> int:
    return 0 if network.rack is not None else 1 if network.zone is not None else 2


def name_of(node: str, declared: str | None, boots: Sequence[tuple[Network, Family]]) -> str | None:
    """Return a node's full name: the declared one, else its id in the domain of the network that it boots from."""
    if declared:
        return declared
    domain = next((network.domain for network, _ in boots if network.domain), None)
    if domain is None:
        return None
    return node if node.endswith(f".{domain}") else f"{node}.{domain}"


def boot_nic(nics: Sequence[Nic], held: Iterable[Address] = ()) -> Nic | None:
    """Return the NIC that the node boots from; of several, the one that has a reserved address stays."""
    able = [nic for nic in nics if nic.pxe] or list(nics)
    holding = {address.nic for address in held}
    return next((nic for nic in able if nic.id in holding), able[0] if able else None)


def allocate(
    node: str,
    needs: Sequence[Need],
    held: Sequence[Address],
    take: Take,
    *,
    may_stay: Collection[str] = (),
) -> Outcome:
    """Return what must change so that the node has each address that it needs, and no other.

    An address that it has stays, also where its network got another name. ``may_stay`` are networks whose addresses
    are kept though the node has no need of them now.
    """
    put: list[Address] = []
    gone: list[Address] = []
    lacking: list[Need] = []
    left = list(held)
    for need in needs:
        present = _present(need, left)
        text = _text(need, present, take)
        wanted = _row(node, need, text) if text is not None else None
        if wanted is None:
            lacking.append(need)
        elif wanted != present:
            put.append(wanted)
        if present is not None:
            left.remove(present)
            gone += [present] if wanted is None or wanted.id != present.id else []
    gone += [it for it in left if it.network not in may_stay]
    return Outcome(put=tuple(put), gone=tuple(gone), lacking=tuple(lacking))


def _present(need: Need, held: Sequence[Address]) -> Address | None:
    """Return the address that the node has for this need, under this name of the network or another."""
    own = [it for it in held if (it.network, it.family) == (need.network.name, need.family)]
    return next(
        (
            it
            for it in [*own, *held]
            if it.family == need.family and may_keep(need.network, it.address)
        ),
        own[0] if own else None,
    )


def _text(need: Need, present: Address | None, take: Take) -> str | None:
    if need.fixed is not None:
        return normal(need.fixed)
    if present is not None and may_keep(need.network, present.address):
        return present.address
    return take(need.network, need.family)


def _row(node: str, need: Need, text: str) -> Address:
    return Address(
        # One row for each address, whoever has it: the database itself refuses a second one.
        id=f"{need.network.name}/{text}",
        node=node,
        nic=need.nic,
        network=need.network.name,
        address=text,
        family=family_of(text),
        kind="reservation",
    )
