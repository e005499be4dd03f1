"""Journal entries as the API shows them, and connections over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from graphql_api.snapshot.objects import timestamp
from racksalt.psm.table import MACHINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql_api.snapshot.objects import Node
    from racksalt.model.event import Entry


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """One journal entry. ``encoded`` keeps what live subscribers of one kind were sent, so it is made once."""

    seq: int
    at: str
    node_id: str
    node: Node | None
    kind: str
    event: str
    from_state: str | None
    to_state: str | None
    stage: str | None
    source: str
    actor: str | None
    message: str
    encoded: dict[object, bytes] = field(default_factory=dict)


def record(entry: Entry, nodes: Mapping[str, Node], *, audit: bool) -> Record:
    """Return the entry as shown to a caller; who did it (``actor``) needs the scope audit:read.

    What was refused for a node that nobody knows has no state.
    """
    return Record(
        entry.seq,
        timestamp(entry.at) or "",
        entry.node,
        nodes.get(entry.node),
        entry.kind,
        entry.event,
        entry.from_state if entry.from_state in MACHINE.states else None,
        entry.to_state if entry.to_state in MACHINE.states else None,
        entry.stage,
        entry.source,
        (entry.actor or None) if audit else None,
        entry.message,
    )


def visible(entry: Entry, *, audit: bool) -> bool:
    """Whether a caller may see the entry: moves are topology, what was refused or noted needs audit:read."""
    return audit or entry.kind == "transition"


@dataclass(slots=True, eq=False, repr=False)
class PageInfo:
    """Where a page starts and ends."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(slots=True, eq=False, repr=False)
class RecordEdge:
    """A record and its cursor."""

    cursor: str
    node: Record


@dataclass(slots=True, eq=False, repr=False)
class RecordPage:
    """A page of the journal; cursors are sequence numbers after the list's ``tag``."""

    ALL: ClassVar[str] = "j"
    OF_NODE: ClassVar[str] = "h"

    nodes: list[Record]
    page_info: PageInfo
    tag: str

    @property
    def edges(self) -> list[RecordEdge]:
        """The records with their cursors."""
        return [RecordEdge(f"{self.tag}{one.seq}", one) for one in self.nodes]


def page(records: list[Record], tag: str, *, more: bool, end: int | None = None) -> RecordPage:
    """Return a page; ``end`` is the cursor to go on from where it is not the last record's own."""
    last = end if end is not None else (records[-1].seq if records else None)
    info = PageInfo(
        more,
        False,
        f"{tag}{records[0].seq}" if records else None,
        None if last is None else f"{tag}{last}",
    )
    return RecordPage(records, info, tag)
