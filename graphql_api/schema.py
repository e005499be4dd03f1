"""The schema. Its text is committed as schema.graphql (``make gen``); a change that breaks clients fails the lint."""

from __future__ import annotations

import strawberry

from graphql_api.compiled.executor import CompiledExecutor
from graphql_api.types.mutation import Mutation
from graphql_api.types.query import Query
from graphql_api.types.scalars import CONFIG
from graphql_api.types.subscription import Subscription

schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    execution_context_class=CompiledExecutor,
    config=CONFIG,
)
