"""What can be followed live."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import strawberry
from strawberry.types import Info

from graphql_api.auth import TOPOLOGY_READ
from graphql_api.context import Context
from graphql_api.filtering import record_test
from graphql_api.follow import follow
from graphql_api.types.filters import TransitionFilter
from graphql_api.types.journal import Transition
from graphql_api.types.scalars import BigInt


async def transitions(
    info: Info[Context, None],
    filter: TransitionFilter | None = None,  # noqa: A002
    since: BigInt | None = None,
) -> AsyncGenerator[Transition, None]:
    """Replay what came after ``since``, then go on as it happens."""
    info.context.require(TOPOLOGY_READ)
    start = since if info.context.since is None else info.context.since
    async for record in follow(info.context, record_test(filter), start):
        yield record  # type: ignore[misc]


@strawberry.type(
    description="What can be followed, over graphql-transport-ws or server-sent events."
)
class Subscription:
    """The subscription root."""

    transitions: AsyncGenerator[Transition, None] = strawberry.subscription(
        resolver=transitions,
        description="The journal as it grows, without gaps: give since = the last seq seen to have what came after "
        "it first; without since it begins now. A consumer that falls behind is cut with its last seq.",
    )
