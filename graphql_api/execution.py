"""One operation from text to answer: document, scopes, cost, execution, errors."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import orjson
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, execute
from strawberry.execution.is_awaitable import optimized_is_awaitable

from graphql_api.auth import AUDIT_READ, UnauthenticatedError
from graphql_api.compiled.executor import CompiledExecutor
from graphql_api.context import Context
from graphql_api.documents import RefusedDocumentError
from graphql_api.problems import UserError, formatted

if TYPE_CHECKING:
    from graphql_api.auth import Caller
    from graphql_api.compiled.executor import Plans
    from graphql_api.documents import Prepared
    from graphql_api.services import Services

log = logging.getLogger(__name__)
COMPILED = os.environ.get("RACKSALT_COMPILED", "1") != "0"
"""RACKSALT_COMPILED=0 leaves everything to graphql-core."""


@dataclass(slots=True)
class Request:
    """What a client sent, whatever the transport."""

    query: str | None = None
    document_id: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Planned:
    """An operation that may be run."""

    prepared: Prepared
    operation: OperationDefinitionNode
    variables: dict[str, Any]
    operation_name: str | None

    @property
    def kind(self) -> str:
        """``query``, ``mutation`` or ``subscription``."""
        return str(self.operation.operation.value)

    def plans(self) -> Plans | None:
        """Return the compiled plans that the operation may use and add to; None where nothing is compiled."""
        return self.prepared.plans(self.operation, self.variables) if COMPILED else None


@dataclass(slots=True)
class Answer:
    """An answer ready to be sent. ``refused`` is true when nothing was executed, ``whole`` when nothing failed."""

    body: bytes
    refused: bool = False
    whole: bool = False


def parse_request(body: Any, most_depth: int) -> Request:
    """Return the request in a decoded body; UserError if it is not one."""
    if isinstance(body, list):
        raise UserError("BAD_REQUEST", "batches are not accepted; send one operation")
    if not isinstance(body, dict):
        raise UserError("BAD_REQUEST", "the body must be a JSON object")
    texts = {}
    for key in ("query", "documentId", "operationName"):
        value = body.get(key)
        if value is not None and not isinstance(value, str):
            raise UserError("BAD_REQUEST", f"{key} must be text")
        texts[key] = value or None
    variables = body.get("variables")
    if variables is None:
        variables = {}
    if not isinstance(variables, dict):
        raise UserError("BAD_REQUEST", "variables must be an object")
    if _depth(variables) > most_depth:
        raise UserError("LIMIT", f"variables nest deeper than {most_depth}")
    if (texts["query"] is None) == (texts["documentId"] is None):
        raise UserError("BAD_REQUEST", "send either query or documentId")
    return Request(texts["query"], texts["documentId"], texts["operationName"], variables)


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        level = [
            below
            for one in level
            if isinstance(one, (dict, list))
            for below in (one.values() if isinstance(one, dict) else one)
        ]
    return deepest


def plan(services: Services, request: Request) -> Planned:
    """Return the operation to run; raises RefusedDocumentError or UserError."""
    documents, text = services.documents, request.query
    known = documents.by_id(request.document_id or "") if text is None else None
    prepared = known or documents.get(text or "")
    operation = prepared.operation(request.operation_name)
    return Planned(prepared, operation, request.variables, request.operation_name)


def admit(services: Services, caller: Caller, planned: Planned) -> Context:
    """Reckon the cost and take it from the caller's points; raises UserError naming the limit."""
    schema = services.schema._schema  # noqa: SLF001 - strawberry's own name for it
    points = planned.prepared.points(
        planned.operation,
        schema,
        services.fanouts,
        planned.variables,
        audit=caller.may(AUDIT_READ),
    )
    if points > services.limits.cost:
        raise UserError(
            "COST_LIMIT",
            f"this operation would cost {points} points; the limit is {services.limits.cost}: "
            "ask for fewer rows (first) or fewer levels",
            cost=points,
            limit=services.limits.cost,
        )
    services.budget.spend(caller.id, points)
    return Context(services, caller, services.snapshot, points)


async def run(services: Services, context: Context, planned: Planned) -> Answer:
    """Execute a query or mutation and return the encoded answer.

    Its revision is that of what was read first: while a field waits for the database, the snapshot moves on under it.
    A client that goes on from there may be told of an entry twice, and misses none.
    """
    revision = context.snapshot.revision
    result = execute(
        services.schema._schema,  # noqa: SLF001 - strawberry's own name for it
        planned.prepared.document,
        context_value=context,
        variable_values=planned.variables,
        operation_name=planned.operation_name,
        executor_class=CompiledExecutor,
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        plans=planned.plans(),
    )
    if isawaitable(result):
        result = await result
    return encode(services, result, revision=revision, cost=context.cost)


def encode(services: Services, result: ExecutionResult, *, revision: str, cost: int) -> Answer:
    """Return the answer's bytes; one that is over the size limit becomes an error that names it."""
    extensions = {"racksalt": {"revision": revision, "cost": cost}}
    answer: dict[str, Any] = {"data": result.data, "extensions": extensions}
    if result.errors:
        answer["errors"] = [formatted(error) for error in result.errors]
    refused = (
        result.data is None
        and bool(result.errors)
        and all(error.path is None for error in result.errors or ())
    )
    if refused:
        del answer["data"]
    body = orjson.dumps(answer)
    if len(body) > services.limits.answer_bytes:
        return refusal(
            UserError(
                "LIMIT",
                f"the answer has {len(body)} bytes; the limit is {services.limits.answer_bytes}",
            )
        )
    return Answer(body, refused=refused, whole=not result.errors)


def refusal(error: Exception) -> Answer:
    """Return the answer to a request that is not executed."""
    return Answer(orjson.dumps({"errors": errors_of(error)}), refused=True)


def errors_of(error: Exception) -> list[dict[str, Any]]:
    """Return an exception as the errors of an answer; unknown ones are masked."""
    if isinstance(error, RefusedDocumentError):
        return [formatted(one) for one in error.errors]
    if isinstance(error, UnauthenticatedError):
        error = UserError(error.code, str(error))
    if isinstance(error, GraphQLError):
        return [formatted(error)]
    wrapped = GraphQLError("internal error", original_error=error)
    return [formatted(wrapped)]
