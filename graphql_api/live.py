"""Answers of a subscription, encoded once for all who ask the same: document, operation and variables.

The token is looked at again while the subscription lasts: one that has expired or was revoked ends it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from graphql import ExecutionResult, GraphQLError
from graphql.execution import create_source_event_stream
from strawberry.execution.is_awaitable import optimized_is_awaitable

from graphql_api import auth, execution, tasks
from graphql_api.compiled.executor import CompiledExecutor
from graphql_api.documents import RefusedDocumentError
from graphql_api.problems import formatted
from graphql_api.records import Record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from graphql_api.context import Context
    from graphql_api.services import Services

RECHECK_S = 5.0


class Sent(NamedTuple):
    """One encoded answer and the journal entry that it tells of."""

    seq: int | None
    body: bytes


async def answers(
    services: Services,
    context: Context,
    planned: execution.Planned,
    *,
    since: int | None = None,
    authorization: str | None = None,
) -> AsyncGenerator[Sent, None]:
    """Yield the answers of a subscription until it ends.

    ``since`` (from Last-Event-ID) wins over the operation's own argument. Each answer that is made costs what the
    operation was reckoned to cost. Raises UserError, RefusedDocumentError, or UnauthenticatedError once the token is
    no longer good.
    """
    context.let_go()
    executor = _executor(services, context, planned)
    source = await _source(executor, since)
    key = _key(planned)
    recheck = _Recheck(services, authorization)
    try:
        while True:
            event = await recheck.next(source)
            if event is None:
                return
            body = event.encoded.get(key)
            if body is None:
                services.budget.spend(context.caller.id, context.cost)
                body = event.encoded[key] = await _answer(executor, context.at_present(), event)
            yield Sent(event.seq, body)
    finally:
        await recheck.close()
        await source.aclose()


def _executor(services: Services, context: Context, planned: execution.Planned) -> Any:
    built = CompiledExecutor.build(
        services.schema._schema,  # noqa: SLF001 - strawberry's own name for it
        planned.prepared.document,
        context_value=context,
        raw_variable_values=planned.variables,
        operation_name=planned.operation_name,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        plans=planned.plans(),
    )
    if isinstance(built, list):
        raise RefusedDocumentError(built)
    return built


async def _source(executor: Any, since: int | None) -> Any:
    """Return the stream of records that the subscription's field gives."""
    if since is not None:
        executor.context_value.since = since
    stream = create_source_event_stream(executor)
    if isawaitable(stream):
        stream = await stream
    if isinstance(stream, ExecutionResult):
        raise RefusedDocumentError(list(stream.errors or [GraphQLError("no stream")]))
    return stream


async def _answer(executor: Any, context: Context, event: Record) -> bytes:
    """Execute the operation for one event; its node is that of the context's snapshot."""
    shown = replace(event, node=context.snapshot.nodes.get(event.node_id))
    one = executor.build_per_event_executor(shown)
    one.context_value = context
    result = one.execute_operation(False)
    if isawaitable(result):
        result = await result
    return _encoded(result)


def _key(planned: execution.Planned) -> bytes:
    return orjson.dumps(
        [planned.prepared.id, planned.operation_name, planned.variables],
        option=orjson.OPT_SORT_KEYS,
    )


def _encoded(result: Any) -> bytes:
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [formatted(error) for error in result.errors]
    return orjson.dumps(answer)


class _Recheck:
    """Waits for the next record, and looks at the token again while it waits and while records flow."""

    def __init__(self, services: Services, authorization: str | None) -> None:
        self._gate = services.gate
        self._bearer = auth.bearer_of(authorization)
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + RECHECK_S
        self._pending: asyncio.Future[Record] | None = None

    async def next(self, source: Any) -> Record | None:
        """Return the next record; None at the end; UnauthenticatedError when the token is no longer good."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(anext(source))
        while True:
            left = self._due - self._loop.time()
            if left > 0:
                await asyncio.wait({self._pending}, timeout=left)
            if self._loop.time() >= self._due:
                await self._gate.caller(self._bearer)
                self._due = self._loop.time() + RECHECK_S
            if self._pending.done():
                done, self._pending = self._pending, None
                try:
                    return done.result()
                except StopAsyncIteration:
                    return None

    async def close(self) -> None:
        """Stop waiting."""
        if self._pending is not None:
            await tasks.end([self._pending])
