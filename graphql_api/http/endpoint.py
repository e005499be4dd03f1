"""GraphQL over HTTP: POST with JSON, GET for queries, and server-sent events for what is followed live.

Status codes follow the GraphQL over HTTP draft: a client that accepts application/graphql-response+json gets 4xx
for what was not executed; one that asks for application/json gets 200 with errors, except 400 BAD_REQUEST, 405 METHOD,
429 RATE_LIMITED and 500. A missing or bad token is 401.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from graphql_api import execution
from graphql_api.auth import UnauthenticatedError, bearer_of
from graphql_api.documents import RefusedDocumentError
from graphql_api.http import page, sse
from graphql_api.problems import UserError

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest

    from graphql_api.auth import Caller
    from graphql_api.services import Services

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
EVENTS = "text/event-stream"
NO_STORE = {"cache-control": "no-store"}


class Endpoint:
    """Answers /graphql."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # Generations are counted from 0 by each process: another one's tags are not ours.
        self._process = secrets.token_hex(4)

    async def __call__(self, request: HttpRequest) -> Response:
        """Answer one HTTP request."""
        accept = request.headers.get("accept", "")
        asks = {"query", "documentId"} & set(request.query_params)
        if request.method == "GET" and not asks and "text/html" in accept:
            return page.render()
        try:
            caller = await self._services.gate.caller(
                bearer_of(request.headers.get("authorization"))
            )
            body = await self._body(request)
            asked = execution.parse_request(body, self._services.limits.variables_depth)
            planned = execution.plan(self._services, asked)
            return await self._answer(request, caller, planned)
        except UnauthenticatedError as error:
            headers = {"www-authenticate": 'Bearer realm="racksalt"', **NO_STORE}
            return _response(request, execution.refusal(error), 401, headers)
        except (UserError, RefusedDocumentError) as error:
            return _response(request, execution.refusal(error), _status(error))
        except Exception as error:  # noqa: BLE001 - masked and logged with an id
            return _response(request, execution.refusal(error), 500)

    async def _answer(
        self, request: HttpRequest, caller: Caller, planned: execution.Planned
    ) -> Response:
        services = self._services
        events = EVENTS in request.headers.get("accept", "")
        if planned.kind == "mutation" and request.method == "GET":
            raise UserError("METHOD", "a mutation must be sent with POST")
        if planned.kind == "subscription" and not events:
            raise UserError(
                "METHOD",
                "a subscription needs Accept: text/event-stream, or WebSocket (graphql-transport-ws)",
            )
        headers = dict(NO_STORE)
        if request.method == "GET" and not events and not planned.prepared.live:
            tag = self._tag(caller, planned)
            headers = {"etag": tag, "cache-control": "private, no-cache", "vary": "authorization"}
            if tag in _tags(request.headers.get("if-none-match", "")):
                return Response(status_code=304, headers=headers)
        context = execution.admit(services, caller, planned)
        if events:
            return sse.response(request, services, context, planned)
        answer = await execution.run(services, context, planned)
        if not answer.whole:
            # What failed may succeed the next time, under the same revision.
            headers = dict(NO_STORE)
        return _response(request, answer, 400 if answer.refused else 200, headers)

    async def _body(self, request: HttpRequest) -> Any:
        if request.method == "GET":
            found: dict[str, Any] = dict(request.query_params)
            if "variables" in found:
                found["variables"] = _json(found["variables"].encode(), "variables")
            return found
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != JSON:
            raise UserError("BAD_REQUEST", f"send content-type: {JSON}, not {kind or 'none'}")
        most = self._services.limits.body_bytes
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise UserError("LIMIT", f"the body has more than {most} bytes, which is the limit")
            chunks.append(chunk)
        return _json(b"".join(chunks), "the body")

    def _tag(self, caller: Caller, planned: execution.Planned) -> str:
        """Name the content: process and revision, what the caller may see, the document and its variables."""
        seen = hashlib.sha256(
            orjson.dumps(
                [
                    planned.prepared.id,
                    planned.operation_name,
                    planned.variables,
                    sorted(caller.scopes),
                ],
                option=orjson.OPT_SORT_KEYS,
            )
        ).hexdigest()[:20]
        return f'W/"{self._process}-{self._services.snapshot.revision}-{seen}"'


def _json(raw: bytes, what: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UserError("BAD_REQUEST", f"{what} is not JSON: {error}") from None


def _tags(header: str) -> set[str]:
    return {tag.strip() for tag in header.split(",")}


def _status(error: Exception) -> int:
    code = (error.extensions or {}).get("code") if isinstance(error, UserError) else None
    return {"RATE_LIMITED": 429, "METHOD": 405, "FORBIDDEN": 403}.get(str(code), 400)


def _response(
    request: HttpRequest,
    answer: execution.Answer,
    status: int,
    headers: dict[str, str] | None = None,
) -> Response:
    accept = request.headers.get("accept", "")
    kind = GRAPHQL if GRAPHQL in accept else JSON
    # 400 tells a client of plain application/json nothing about GraphQL: it gets 200 and reads the errors.
    status = 200 if status == 400 and kind == JSON and _well_formed(answer) else status
    return Response(answer.body, status, media_type=kind, headers=headers or NO_STORE)


def _well_formed(answer: execution.Answer) -> bool:
    return b'"code":"BAD_REQUEST"' not in answer.body
