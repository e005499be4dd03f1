"""The journal: what happened, in total order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from graphql_api.types.scalars import BigInt, Cursor, DateTime, EntryKind, NodeState

if TYPE_CHECKING:
    from graphql_api.types.topology import Node


@strawberry.type(description="Where a page starts and ends.")
class PageInfo:
    """Mirrors records.PageInfo."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: Cursor | None
    end_cursor: Cursor | None


@strawberry.type(
    description="One row of the journal: append-only, in total order of seq. A row whose state stays the same is "
    "part of it too. Without the scope audit:read only moves are shown, not what was refused or noted."
)
class Transition:
    """Mirrors records.Record."""

    seq: BigInt
    at: DateTime
    node_id: str
    node: Annotated[Node, strawberry.lazy("graphql_api.types.topology")] | None
    kind: EntryKind
    event: str
    from_state: NodeState | None
    to_state: NodeState | None
    stage: str | None
    source: str
    actor: str | None = strawberry.field(description="Who did it; needs the scope audit:read.")
    message: str


@strawberry.type
class TransitionEdge:
    """Mirrors records.RecordEdge."""

    cursor: Cursor
    node: Transition


@strawberry.type(description="A page of the journal. It has no total: it only grows.")
class TransitionConnection:
    """Mirrors records.RecordPage."""

    edges: list[TransitionEdge]
    nodes: list[Transition]
    page_info: PageInfo
