"""The boot API as an ASGI application: routes, life span, errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from racksalt.boot_api.context import Context
from racksalt.boot_api.errors import JSON
from racksalt.boot_api.files import Files
from racksalt.boot_api.health import Health
from racksalt.boot_api.nodes import Nodes
from racksalt.boot_api.pxe import Pxe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from racksalt.boot_api.context import Limits
    from racksalt.bootstrap import App
    from racksalt.model.node import Node

LOG = logging.getLogger(__name__)
SUMMARY_EVERY_S = 20.0


def create_app(app: App, limits: Limits | None = None) -> Starlette:
    """Return the boot API of an installation. ``app`` is not closed with it."""

    def effective(node: Node) -> Mapping[str, Any]:
        return app.site.effective(node.id, node.rack, node.zone).plain()

    return application(
        Context(
            settings=app.settings,
            store=app.store,
            conductor=app.conductor,
            machine=app.machine,
            secret=app.secrets.boot,
            effective=effective,
            limits=limits,
        )
    )


def application(context: Context) -> Starlette:
    """Return the application; ``context`` is closed when the application ends."""
    nodes, health = Nodes(context), Health(context)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        summaries = asyncio.create_task(_summarise(context))
        try:
            yield
        finally:
            summaries.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await summaries
            await context.summarise()
            health.close()
            context.close()

    return Starlette(
        routes=[
            Route("/v1/boot/script", Endpoint(Pxe(context)), methods=["GET"]),
            Route("/v1/nodes/{node}/reports", Endpoint(nodes.report), methods=["POST"]),
            Route("/v1/nodes/{node}/parameters", Endpoint(nodes.parameters), methods=["GET"]),
            Route("/v1/nodes/{node}/enrolment", Endpoint(nodes.enrolment), methods=["POST"]),
            Route("/images/{path:path}", Endpoint(Files(context)), methods=["GET"]),
            Route("/healthz", Endpoint(health), methods=["GET"]),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _unexpected},
    )


class Endpoint:
    """A function from request to response, without the layers that Starlette lays around each of them."""

    def __init__(self, serve: Callable[[Request], Awaitable[Response]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        response = await self._serve(Request(scope, receive))
        await response(scope, receive, send)


async def _summarise(context: Context) -> None:
    """Now and then journal what was left out."""
    while True:
        await asyncio.sleep(SUMMARY_EVERY_S)
        try:
            await context.summarise()
        except Exception:
            LOG.exception("could not summarise refusals")


async def _http_error(_request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses itself: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    told = {
        "code": "not_found" if error.status_code == 404 else "invalid_input",
        "message": str(error.detail),
        "hint": "the paths are /v1/boot/script, /images/… and /v1/nodes/{id}/parameters, reports, enrolment",
    }
    return Response(orjson.dumps(told), error.status_code, error.headers, JSON)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer a defect of ours: the log has the cause, the answer tells nothing of it."""
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    told = {"code": "internal", "message": "the boot API met an error", "hint": "see its log"}
    return Response(orjson.dumps(told), 500, media_type=JSON)
