"""Turns rows into nouns and back; the only place that knows both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row, Select, Table, select

from racksalt.model.certificate import EraseCertificate
from racksalt.model.event import Effect, Entry, Event
from racksalt.model.hardware import BurnResult, Facts, PlaceProposal
from racksalt.model.node import Address, Bmc, Boot, Disk, Hardware, Nic, Node, serial_key
from racksalt.model.place import Network, Rack, Zone
from racksalt.store import tables as t

Noun = TypeVar("Noun")

NOUNS: dict[type[Any], Table] = {
    Zone: t.zones,
    Rack: t.racks,
    Network: t.networks,
    Node: t.nodes,
    Hardware: t.hardware,
    Nic: t.nics,
    Disk: t.disks,
    Bmc: t.bmcs,
    Address: t.addresses,
    Boot: t.boots,
    Entry: t.journal,
    EraseCertificate: t.erase_certificates,
    Facts: t.facts,
    PlaceProposal: t.place_proposals,
    BurnResult: t.burn_results,
}
MADE: dict[type[Any], dict[str, Callable[[Any], Any]]] = {
    Hardware: {"serial_key": lambda noun: serial_key(noun.serial)}
}
"""Columns that a row is looked up by and that nobody reads: each is made of the noun."""
PARTS = (Hardware, Nic, Disk, Bmc, Address)
"""What belongs to a node and is shown with it; ``Node.parts_version`` counts their changes."""


def query(noun: type[Noun]) -> Select[Any]:
    """Return the select whose rows ``reader(noun)`` understands."""
    table = NOUNS[noun]
    return select(*(table.c[f.name] for f in fields(noun)))  # type: ignore[arg-type]


def reader(noun: type[Noun]) -> Callable[[Iterable[Row[Any]]], list[Noun]]:
    """Return a function that makes nouns of rows of ``query(noun)``."""
    names = tuple(f.name for f in fields(noun))  # type: ignore[arg-type]
    return lambda rows: [noun(**dict(zip(names, row, strict=True))) for row in rows]


def values(noun: Any) -> dict[str, Any]:
    """Return a noun's columns by name."""
    row = {name: getattr(noun, name) for name in type(noun).__dataclass_fields__}
    return row | {name: made(noun) for name, made in MADE.get(type(noun), {}).items()}


def effect_of(row: Row[Any]) -> Effect:
    """Return the effect that an outbox row holds."""
    return Effect(
        id=row.id,
        node=row.node,
        name=row.name,
        boot=row.boot,
        args=row.args,
        attempts=row.attempts,
        progress=row.progress,
        created_at=row.created_at,
    )


def event_of(row: Row[Any]) -> Event:
    """Return the event that an inbox row holds."""
    return Event(
        id=row.event_id,
        node=row.node,
        name=row.name,
        at=row.at,
        source=row.source,
        actor=row.actor,
        data=row.data,
    )
