"""Conduits: a named set of a node's NICs, found by speed and position, so that one name fits mixed hardware.

A pattern has an optional sign, a speed and a position: ``10g1`` is the first NIC of 10 Gbit/s, ``+1g2`` (or ``1g+2``)
the second of at least 1 Gbit/s, ``-10g1`` the first of at most 10 Gbit/s, ``?10g1`` the first of 10 Gbit/s, or of the
next faster ones, or of the next slower ones; ``any2`` is the second NIC whatever its speed, even an unknown one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar

from racksalt.model.errors import InvalidInputError

_PATTERN: Final = re.compile(
    r"^(?P<before>[?+-]?)(?:(?P<any>any)|(?P<speed>\d{1,6}(?:\.\d)?)(?P<unit>[mg])(?P<after>[?+-]?))(?P<place>\d{1,3})\Z"
)
_DIGITS: Final = re.compile(r"(\d+)")
HINT: Final = "write speed and position such as 10g1, +1g2 (at least) or any1"
BondMode = Literal[
    "active-backup",
    "802.3ad",
    "balance-rr",
    "balance-xor",
    "broadcast",
    "balance-tlb",
    "balance-alb",
]


class Port(Protocol):
    """What a pattern looks at: a NIC."""

    @property
    def name(self) -> str:
        """The kernel's name."""
        ...

    @property
    def pci(self) -> str | None:
        """The PCI address (``0000:05:00.1``), None where there is none."""
        ...

    @property
    def speed_mbps(self) -> int | None:
        """The speed in Mbit/s, None if nobody knows it."""
        ...


P = TypeVar("P", bound=Port)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One NIC by speed and position. ``sign`` "" exactly, + at least, - at most, ? the nearest; speed None: any."""

    text: str
    sign: str
    speed_mbps: int | None
    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """How the NICs of an alternative become one interface, in the words of Linux bonding.

    ``miimon_ms`` is how often the link is looked at.
    """

    mode: BondMode = "active-backup"
    miimon_ms: int = 100
    lacp_rate: Literal["slow", "fast"] = "fast"
    hash_policy: Literal["layer2", "layer2+3", "layer3+4"] = "layer2+3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way to make the conduit: patterns, and a bond if there are several NICs."""

    nics: tuple[str, ...]
    bond: Bond | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduit:
    """A conduit and its alternatives; the first that a node's NICs fit is taken."""

    name: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """A NIC that a node is expected to have: ``name`` puts it in its place."""

    name: str
    speed_mbps: int | None
    pci: str | None = None


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that a text is.

    Raises:
        InvalidInputError: it is none, or its position is 0.
    """
    found = _PATTERN.match(text)
    if found is None or (found["before"] and found["after"]):
        raise InvalidInputError(f"{text!r} is no pattern for a NIC", HINT)
    if found["any"] and found["before"]:
        raise InvalidInputError(f"{text!r}: any speed has no sign", HINT)
    if int(found["place"]) < 1:
        raise InvalidInputError(f"{text!r}: positions begin with 1", HINT)
    speed = None
    if not found["any"]:
        speed = round(float(found["speed"]) * (1000 if found["unit"] == "g" else 1))
    return Pattern(text, found["before"] or found["after"] or "", speed, int(found["place"]))


def in_order(ports: Sequence[P]) -> list[P]:
    """Return the NICs by position: by PCI address, then by name, numbers within it by value (eth2 before eth10)."""
    return sorted(ports, key=_position)


def _position(port: Port) -> tuple[Any, ...]:
    return port.pci is None, port.pci or "", _natural(port.name), port.name


def pick(pattern: Pattern, ordered: Sequence[P]) -> P | None:
    """Return the NIC that the pattern means among NICs ``in_order``; None if there are too few that fit."""
    fitting = _fitting(pattern, ordered)
    return fitting[pattern.place - 1] if pattern.place <= len(fitting) else None


def choose(alternative: Alternative, ports: Sequence[P]) -> tuple[list[P], str]:
    """Return the alternative's NICs and ""; or nothing, and why they are not there.

    Raises:
        InvalidInputError: one of its texts is no pattern.
    """
    ordered = in_order(ports)
    found: list[P] = []
    for text in alternative.nics:
        pattern = parse_pattern(text)
        port = pick(pattern, ordered)
        if port is None:
            return [], f"{text}: {_lacks(pattern, ordered)}"
        if port in found:
            return [], f"{text}: is {port.name}, which an earlier pattern has taken"
        found.append(port)
    return found, ""


def _fitting(pattern: Pattern, ordered: Sequence[P]) -> list[P]:
    wanted = pattern.speed_mbps
    if wanted is None:
        return list(ordered)
    known = [(port.speed_mbps, port) for port in ordered if port.speed_mbps is not None]
    if pattern.sign == "?":
        known.sort(key=lambda it: (it[0] < wanted, abs(it[0] - wanted)))
        return [port for _, port in known]
    if pattern.sign == "+":
        return [port for speed, port in known if speed >= wanted]
    if pattern.sign == "-":
        return [port for speed, port in known if speed <= wanted]
    return [port for speed, port in known if speed == wanted]


def _lacks(pattern: Pattern, ordered: Sequence[Port]) -> str:
    has = ", ".join(f"{port.name} {told_speed(port.speed_mbps)}" for port in ordered)
    count = len(_fitting(pattern, ordered))
    return f"only {count} of the NICs fit ({has})" if count else f"no NIC fits ({has or 'none'})"


def told_speed(mbps: int | None) -> str:
    """Return a speed as patterns write it: 10g, 2.5g, 100m."""
    if mbps is None:
        return "of unknown speed"
    return f"{mbps / 1000:g}g" if mbps >= 1000 else f"{mbps}m"


def parse_speed(text: str) -> int:
    """Return the Mbit/s that a text such as ``10g`` says.

    Raises:
        InvalidInputError: it says none.
    """
    pattern = parse_pattern(f"{text}1") if text[-1:] in ("m", "g") else None
    if pattern is None or pattern.speed_mbps is None or pattern.sign:
        raise InvalidInputError(f"{text!r} is no speed", "write 1g, 10g or 100m")
    return pattern.speed_mbps


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(bit), "") if bit.isdigit() else (-1, bit) for bit in _DIGITS.split(name)]
