"""Server-sent events (WHATWG HTML, section 9.2): ``next`` per answer, ``complete`` at the end, a comment as heartbeat.

Each event of the journal carries its seq as the event's id; a client that comes again with Last-Event-ID gets what
it missed, by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import orjson
from starlette.responses import StreamingResponse

from graphql_api import execution, live, tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request as HttpRequest

    from graphql_api.context import Context
    from graphql_api.services import Services

HEARTBEAT_S = 15.0
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def response(
    request: HttpRequest, services: Services, context: Context, planned: execution.Planned
) -> StreamingResponse:
    """Return the stream of one operation; a query or mutation is a stream of one answer."""
    last = request.headers.get("last-event-id", "")
    since = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    token = request.headers.get("authorization")
    events = _events(services, context, planned, since, token)
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


async def _events(
    services: Services,
    context: Context,
    planned: execution.Planned,
    since: int | None,
    token: str | None,
) -> AsyncGenerator[bytes, None]:
    yield b":\n\n"
    if planned.kind != "subscription":
        answer = await execution.run(services, context, planned)
        yield b"event: next\ndata: " + answer.body + b"\n\nevent: complete\ndata:\n\n"
        return
    answers = live.answers(services, context, planned, since=since, authorization=token)
    pending: asyncio.Future[live.Sent] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(answers))
            done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_S)
            if not done:
                yield b":\n\n"
                continue
            try:
                sent = pending.result()
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001 - masked and logged with an id
                body = orjson.dumps({"errors": execution.errors_of(error)})
                yield b"event: next\ndata: " + body + b"\n\n"
                break
            finally:
                pending = None
            mark = b"" if sent.seq is None else b"id: %d\n" % sent.seq
            yield b"event: next\n" + mark + b"data: " + sent.body + b"\n\n"
        yield b"event: complete\ndata:\n\n"
    finally:
        # A client that went away cancels this; what it subscribed to must be left all the same.
        with anyio.CancelScope(shield=True):
            if pending is not None:
                await tasks.end([pending])
            await answers.aclose()
