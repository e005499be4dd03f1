"""Which node is this machine? A score over system UUID, serial number and MACs, never one alone.

Each of the three lies in practice: NICs are replaced, makers print one UUID on a whole batch, and
serial numbers read "To be filled by O.E.M.". So agreement and contradiction are weighed, and what
stays doubtful is parked for a person instead of guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from racksalt.model.errors import InvalidInputError
from racksalt.model.node import serial_key

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["match", "conflict", "unknown"]

MAC_WEIGHT = 2
UUID_WEIGHT = 3
SERIAL_WEIGHT = 3

_HEX12 = re.compile(r"[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,64}")
_ONE_CHARACTER = re.compile(r"(.)\1*")

# Reference numbers that makers forgot to replace, seen on boards of more than one maker.
_BATCH_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "ffffffff-ffff-ffff-ffff-fffffffffff0",
    }
)
_BLANK_SERIALS = frozenset(
    serial_key(text)
    for text in (
        "to be filled by o.e.m.",
        "default string",
        "system serial number",
        "chassis serial number",
        "base board serial number",
        "serial number",
        "not specified",
        "not available",
        "not applicable",
        "not present",
        "no enclosure",
        "none",
        "null",
        "n/a",
        "na",
        "oem",
        "empty",
        "unknown",
        "invalid",
        "0123456789",
        "1234567890",
        "123456789",
        "01234567890123456789",
        "12345678",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a machine says of itself; values that say nothing are None (see ``claim``)."""

    mac: str
    uuid: str | None = None
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one node: from inventory, from the site files, or not at all."""

    node: str
    macs: frozenset[str] = frozenset()
    uuid: str | None = None
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``node`` is who the machine is (match) or would be confused with (conflict).

    ``score`` is the sum of the weights that agree less those that contradict.
    """

    kind: Kind
    node: str | None
    score: int
    reasons: tuple[str, ...]


def claim(mac: str, uuid: str = "", serial: str = "") -> Claim:
    """Return the claim with every value brought to one form; InvalidInputError for a bad MAC."""
    return Claim(mac=normalise_mac(mac), uuid=normalise_uuid(uuid), serial=normalise_serial(serial))


def normalise_mac(text: str) -> str:
    """Return the MAC in lower-case colon form; raise InvalidInputError when it is none.

    Taken in: colons, hyphens, neither, and the leading hardware type ``01-`` of PXELINUX.
    Refused: all zero, and group addresses (IEEE 802-2014 §8.2.2), which no interface can own.
    """
    digits = re.sub(r"[:\-.]", "", text.strip().lower()[:32])
    if len(digits) == 14 and digits.startswith("01"):
        digits = digits[2:]
    if not _HEX12.fullmatch(digits):
        raise InvalidInputError(f"{text[:40]!r} is no MAC address", "give it as 52:54:00:12:34:56")
    if digits == "0" * 12 or int(digits[:2], 16) & 1:
        raise InvalidInputError(f"{text[:40]!r} is no address of one interface (zero or group)")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def normalise_uuid(text: str | None) -> str | None:
    """Return the system UUID in lower case; None when it tells no machine from another."""
    uuid = (text or "").strip().strip("{}").lower()
    if not _UUID.fullmatch(uuid) or uuid in _BATCH_UUIDS:
        return None
    return None if _ONE_CHARACTER.fullmatch(uuid.replace("-", "")) else uuid


def normalise_serial(text: str | None) -> str | None:
    """Return the serial number without outer spaces; None when it tells no machine from another.

    Numbers with ``&`` or ``#`` tell nothing either: iPXE's ``uristring`` does not escape all that
    ends a value in a query (seen with its build of 2019: ``&``), so the rest of it gets lost.
    """
    serial = (text or "").strip()
    if "&" in serial or "#" in serial:
        return None
    key = serial_key(serial)
    if key is None or not _PRINTABLE.fullmatch(serial) or key in _BLANK_SERIALS:
        return None
    # "000000", "xxxxxx", "......" and one or two characters are what an unset field reads like.
    return None if len(serial) < 3 or _ONE_CHARACTER.fullmatch(key) else serial


def swapped(uuid: str) -> str:
    """Return the UUID with its first three fields in the other byte order.

    SMBIOS before 2.6 did not say which order they have (SMBIOS §7.2.1), and firmware, iPXE and the
    kernel differ; both spellings mean one machine.
    """
    a, b, c, rest = uuid.split("-", 3)
    turned = (bytes.fromhex(part)[::-1].hex() for part in (a, b, c))
    return "-".join([*turned, rest])


def same_uuid(one: str, other: str) -> bool:
    """Say whether two UUIDs mean one machine, whatever their byte order."""
    return one == other or swapped(one) == other


def score(known: Known, claimed: Claim) -> Verdict:
    """Return how well a machine's claim fits one node.

    match     nothing contradicts, and the MAC is the node's own together with its UUID or serial,
              as far as it has them on record; or UUID and serial both are its own; or one of them
              is, and nothing has been seen of the node's NICs yet.
    conflict  something is the node's own and something else is not, or too little agrees: a MAC
              is no secret, so alone it is enough only where there is nothing else to compare.
    unknown   nothing agrees; or the UUID alone does, and serial and MAC tell the two apart.
    """
    mac = claimed.mac in known.macs
    uuid, serial = _agrees_uuid(known, claimed), _agrees_serial(known, claimed)
    reasons = _reasons(known, claimed, mac=mac, uuid=uuid, serial=serial)
    points = MAC_WEIGHT * mac + UUID_WEIGHT * uuid + SERIAL_WEIGHT * serial
    kind: Kind
    if not mac and uuid != 1 and serial != 1:
        kind = "unknown"
    elif -1 in {uuid, serial}:
        told_apart = not mac and uuid == 1 and bool(known.macs)
        kind = "unknown" if told_apart else "conflict"
    elif mac:
        nothing_else = known.uuid is None and known.serial is None
        kind = "match" if nothing_else or 1 in {uuid, serial} else "conflict"
    elif uuid == serial or not known.macs:
        kind = "match"
    else:
        kind = "conflict"
    return Verdict(
        kind=kind,
        node=None if kind == "unknown" else known.node,
        score=points,
        reasons=reasons,
    )


def decide(candidates: Iterable[Known], claimed: Claim) -> Verdict:
    """Return which of the candidates the machine is.

    The owner of the MAC has a say over all others: when it matches, it is the one, whatever others
    have on record (a machine can report the UUID and serial of another, but a MAC has one owner);
    when it contradicts, nobody is matched. Without an owner one match wins; two are a conflict,
    because one machine cannot be two nodes.
    """
    verdicts = [(known, score(known, claimed)) for known in candidates]
    reasons = tuple(reason for _, verdict in verdicts for reason in verdict.reasons)
    matches = [verdict for _, verdict in verdicts if verdict.kind == "match"]
    conflicts = [verdict for _, verdict in verdicts if verdict.kind == "conflict"]
    owners = [verdict for known, verdict in verdicts if claimed.mac in known.macs]
    vetoes = [verdict for verdict in owners if verdict.kind == "conflict"]
    if len(owners) == 1 and not vetoes:
        return owners[0]
    if len(matches) == 1 and not vetoes:
        return matches[0]
    doubtful = vetoes or (matches[:1] if len(matches) > 1 else conflicts[:1])
    if doubtful:
        first = doubtful[0]
        return Verdict(kind="conflict", node=first.node, score=first.score, reasons=reasons)
    return Verdict(kind="unknown", node=None, score=0, reasons=reasons)


def _agrees_uuid(known: Known, claimed: Claim) -> Literal[-1, 0, 1]:
    """Return 1 when both UUIDs are there and mean one machine, -1 when they differ, 0 otherwise."""
    if known.uuid is None or claimed.uuid is None:
        return 0
    return 1 if same_uuid(known.uuid, claimed.uuid) else -1


def same_serial(one: str, other: str) -> bool:
    """Say whether two serial numbers are one: only their letters and digits count."""
    return serial_key(one) == serial_key(other)


def _agrees_serial(known: Known, claimed: Claim) -> Literal[-1, 0, 1]:
    """Return 1 when both serial numbers are there and one, -1 when they differ, 0 otherwise."""
    if known.serial is None or claimed.serial is None:
        return 0
    return 1 if same_serial(known.serial, claimed.serial) else -1


def _reasons(known: Known, claimed: Claim, *, mac: bool, uuid: int, serial: int) -> tuple[str, ...]:
    """Return one sentence per thing that speaks for or against the node."""
    node = known.node
    told = []
    if mac:
        told.append(f"MAC {claimed.mac} is one of {node}")
    elif known.macs:
        told.append(f"MAC {claimed.mac} has not been seen on {node}")
    for what, said, kept, agrees in (
        ("system UUID", claimed.uuid, known.uuid, uuid),
        ("serial number", claimed.serial, known.serial, serial),
    ):
        if agrees == 1:
            told.append(f"{what} {said} is that of {node}")
        elif agrees == -1:
            told.append(f"{what} is {said}, but {node} has {kept}")
        elif mac and kept is not None:
            told.append(f"{what} is not told, but {node} has one")
    return tuple(told)
