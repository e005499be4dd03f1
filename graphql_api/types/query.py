"""The roots. Arguments are here and on connections only; everything below is plain attributes."""

from __future__ import annotations

import asyncio
from typing import Any

import strawberry
from strawberry.types import Info

from graphql_api import lookup, paging
from graphql_api.auth import TOPOLOGY_READ
from graphql_api.context import Context
from graphql_api.filtering import network_test, node_test, rack_test, record_test, zone_test
from graphql_api.history import seq_of
from graphql_api.records import RecordPage
from graphql_api.types.erasure import EraseCertificate, erase_certificates
from graphql_api.types.filters import (
    NetworkFilter,
    NodeFilter,
    NodeKey,
    NodeOrder,
    RackFilter,
    TransitionFilter,
    ZoneFilter,
)
from graphql_api.types.hardware import BurnResult, burn_results
from graphql_api.types.journal import PageInfo, TransitionConnection
from graphql_api.types.scalars import BigInt, Cursor, Direction, NodeState
from graphql_api.types.topology import Network, Node, Rack, Zone

Asked = Info[Context, None]


@strawberry.type
class NodeEdge:
    """Mirrors paging.Edge."""

    cursor: Cursor
    node: Node


@strawberry.type(description="A page of nodes.")
class NodeConnection:
    """Mirrors paging.Page."""

    edges: list[NodeEdge]
    nodes: list[Node]
    total_count: int = strawberry.field(description="All nodes that fit the filter.")
    page_info: PageInfo


@strawberry.type
class RackEdge:
    """Mirrors paging.Edge."""

    cursor: Cursor
    node: Rack


@strawberry.type(description="A page of racks.")
class RackConnection:
    """Mirrors paging.Page."""

    edges: list[RackEdge]
    nodes: list[Rack]
    total_count: int = strawberry.field(description="All racks that fit the filter.")
    page_info: PageInfo


@strawberry.type(description="How many nodes are in a state.")
class StateCount:
    """One state and its count."""

    state: NodeState
    count: int


@strawberry.type(description="The holder of the token.")
class Viewer:
    """Who asks."""

    id: strawberry.ID
    name: str
    scopes: list[str]


@strawberry.type(
    description="What this operation was reckoned to cost and what is left for the token."
)
class RateLimit:
    """Points of this minute."""

    cost: int
    cost_limit: int
    limit: int
    remaining: int
    resets_in_s: int


def _listed(rows: Any, test: Any) -> list[Any]:
    return list(rows) if test is None else [row for row in rows if test(row)]


def zones(info: Asked, filter: ZoneFilter | None = None) -> list[Zone]:  # noqa: A002
    """All zones that fit."""
    info.context.require(TOPOLOGY_READ)
    return _listed(info.context.snapshot.zones.values(), zone_test(filter))


def networks(info: Asked, filter: NetworkFilter | None = None) -> list[Network]:  # noqa: A002
    """All networks that fit."""
    info.context.require(TOPOLOGY_READ)
    return _listed(info.context.snapshot.networks.values(), network_test(filter))


def racks(
    info: Asked,
    filter: RackFilter | None = None,  # noqa: A002
    first: int = paging.DEFAULT,
    after: Cursor | None = None,
) -> RackConnection:
    """A page of racks in order of name."""
    info.context.require(TOPOLOGY_READ)
    paging.limited(first, "racks")
    rows = _listed(info.context.snapshot.racks.values(), rack_test(filter))
    return paging.paginate(rows, lookup.by_name, first, after, tag="racks")  # type: ignore[return-value]


def nodes(
    info: Asked,
    filter: NodeFilter | None = None,  # noqa: A002
    order_by: NodeOrder | None = None,
    first: int = paging.DEFAULT,
    after: Cursor | None = None,
) -> NodeConnection:
    """A page of nodes, in order of id unless asked otherwise."""
    info.context.require(TOPOLOGY_READ)
    paging.limited(first, "nodes")
    test = node_test(filter)
    rows = info.context.snapshot.ordered
    if test is not None:
        rows = [row for row in rows if test(row)]
    field = order_by.field.value if order_by else "id"
    key = lookup.ORDERS[field]
    if field != "id":
        rows = sorted(rows, key=key)
    direction = order_by.direction if order_by else Direction.ASC
    return paging.paginate(  # type: ignore[return-value]
        rows,
        key,
        first,
        after,
        tag=f"nodes {field} {direction.value}",
        descending=direction is Direction.DESC,
    )


def node(info: Asked, by: NodeKey) -> Node | None:
    """The node with this key, or null."""
    info.context.require(TOPOLOGY_READ)
    return lookup.node_by(info.context.snapshot, by)  # type: ignore[return-value]


def node_states(info: Asked, filter: NodeFilter | None = None) -> list[StateCount]:  # noqa: A002
    """How many nodes that fit are in each state that occurs."""
    info.context.require(TOPOLOGY_READ)
    counts = lookup.count_states(info.context.snapshot, node_test(filter))
    return [StateCount(state=state, count=count) for state, count in counts]  # type: ignore[arg-type]


async def transitions(
    info: Asked,
    filter: TransitionFilter | None = None,  # noqa: A002
    first: int = paging.DEFAULT,
    after: Cursor | None = None,
) -> TransitionConnection:
    """A page of the journal, oldest first."""
    context = info.context
    context.require(TOPOLOGY_READ)
    paging.limited(first, "transitions")
    found: RecordPage = await asyncio.to_thread(
        lookup.journal_page, context, record_test(filter), first, seq_of(after, RecordPage.ALL) or 0
    )
    return found  # type: ignore[return-value]


def revision(info: Asked) -> BigInt:
    """The journal entry that this answer has caught up with."""
    return BigInt(info.context.snapshot.seq)


def viewer(info: Asked) -> Viewer:
    """The holder of the token."""
    caller = info.context.caller
    return Viewer(id=strawberry.ID(caller.id), name=caller.name, scopes=sorted(caller.scopes))


def rate_limit(info: Asked) -> RateLimit:
    """What is left of the token's points."""
    context = info.context
    left, resets = context.services.budget.left(context.caller.id)
    return RateLimit(
        cost=context.cost,
        cost_limit=context.services.limits.cost,
        limit=context.services.limits.points_per_minute,
        remaining=left,
        resets_in_s=resets,
    )


@strawberry.type(description="Everything that can be read. Every field needs a token.")
class Query:
    """The query root."""

    zones: list[Zone] = strawberry.field(resolver=zones, description="All zones.")
    racks: RackConnection = strawberry.field(resolver=racks, description="Racks, by name.")
    nodes: NodeConnection = strawberry.field(
        resolver=nodes, description="Nodes; first is at most 1000."
    )
    node: Node | None = strawberry.field(
        resolver=node, description="One node by one of its natural keys."
    )
    node_states: list[StateCount] = strawberry.field(
        resolver=node_states, description="How many nodes are in each state that occurs."
    )
    networks: list[Network] = strawberry.field(resolver=networks, description="All networks.")
    transitions: TransitionConnection = strawberry.field(
        resolver=transitions,
        description="The journal, oldest first. A page may be short of first although more follows: go on while "
        "hasNextPage.",
    )
    erase_certificates: list[EraseCertificate] = strawberry.field(
        resolver=erase_certificates,
        description="A node's signed erase certificates, newest first; first is at most 100. Needs audit:read.",
    )
    burn_in: list[BurnResult] = strawberry.field(
        resolver=burn_results,
        description="Burn-in figures beside those of the same parts of other nodes; first is at most 1000.",
    )
    revision: BigInt = strawberry.field(
        resolver=revision, description="The last journal entry that this answer knows of."
    )
    viewer: Viewer = strawberry.field(resolver=viewer, description="Who asks.")
    rate_limit: RateLimit = strawberry.field(
        resolver=rate_limit, description="Cost of this operation and what is left."
    )
