"""Typed filters and orderings. They are frozen: fields are added, never renamed or given another meaning.

Every field that is given must hold; ``and``, ``or`` and ``not`` combine filters. A list of words means any of them.
"""

from __future__ import annotations

from enum import Enum

import strawberry

from graphql_api.types.scalars import (
    Agent,
    DateTime,
    Direction,
    EntryKind,
    Mac,
    NodeState,
    PowerState,
)


@strawberry.input(description="Text that must fit all that is given; upper and lower case differ.")
class StringMatch:
    """Matches text."""

    eq: str | None = None
    in_: list[str] | None = strawberry.field(name="in", default=None)
    prefix: str | None = None
    contains: str | None = None


@strawberry.input(description="A whole number within both bounds; a null value fits no bound.")
class IntRange:
    """Matches numbers."""

    gte: int | None = None
    lte: int | None = None


@strawberry.input(description="A moment within both bounds.")
class TimeRange:
    """Matches moments."""

    gte: DateTime | None = None
    lte: DateTime | None = None


@strawberry.input(description="Which zones.")
class ZoneFilter:
    """Matches zones."""

    name: StringMatch | None = None


@strawberry.input(description="Which racks.")
class RackFilter:
    """Matches racks."""

    name: StringMatch | None = None
    zone: StringMatch | None = None


@strawberry.input(description="Which networks.")
class NetworkFilter:
    """Matches networks."""

    name: StringMatch | None = None
    zone: StringMatch | None = None
    purpose: StringMatch | None = None
    rack: StringMatch | None = None


@strawberry.input(description="Which nodes.")
class NodeFilter:
    """Matches nodes."""

    and_: list[NodeFilter] | None = strawberry.field(name="and", default=None)
    or_: list[NodeFilter] | None = strawberry.field(name="or", default=None)
    not_: NodeFilter | None = strawberry.field(name="not", default=None)
    id: StringMatch | None = None
    name: StringMatch | None = None
    state: list[NodeState] | None = None
    power: list[PowerState] | None = None
    agent: list[Agent] | None = None
    rack: StringMatch | None = None
    zone: StringMatch | None = None
    serial: StringMatch | None = None
    product: StringMatch | None = None
    stage: StringMatch | None = None
    goal: StringMatch | None = None
    approved: bool | None = None
    memory_mib: IntRange | None = None
    cpu_cores: IntRange | None = None
    state_since: TimeRange | None = None


@strawberry.input(description="Which rows of the journal.")
class TransitionFilter:
    """Matches journal entries."""

    node: StringMatch | None = None
    kind: list[EntryKind] | None = None
    event: list[str] | None = None
    from_state: list[NodeState] | None = None
    to_state: list[NodeState] | None = None


@strawberry.enum
class NodeOrderField(Enum):
    """What nodes can be ordered by; ties go by id."""

    ID = "id"
    STATE = "state"
    STATE_SINCE = "state_since"
    RACK = "rack"
    ZONE = "zone"
    MEMORY_MIB = "memory_mib"


@strawberry.input(description="An ordering; ties go by id.")
class NodeOrder:
    """Orders nodes."""

    field: NodeOrderField = NodeOrderField.ID
    direction: Direction = Direction.ASC


@strawberry.input(one_of=True, description="One of a node's natural keys.")
class NodeKey:
    """Exactly one key."""

    id: strawberry.ID | None = strawberry.UNSET
    name: str | None = strawberry.UNSET
    serial: str | None = strawberry.UNSET
    mac: Mac | None = strawberry.UNSET
    address: str | None = strawberry.UNSET
