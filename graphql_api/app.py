"""The application: /graphql over HTTP, server-sent events and WebSocket, and /healthz.

``uvicorn --factory`` is not needed: the caller opens racksalt.bootstrap.App and hands it in.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from graphql_api.http.endpoint import Endpoint
from graphql_api.http.page import ASSETS
from graphql_api.http.socket import Socket
from graphql_api.schema import schema
from graphql_api.services import Services
from racksalt.psm.table import COMMANDS, MACHINE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

    from graphql_api.limits import Limits
    from graphql_api.snapshot.build import Commands
    from graphql_api.source import TopologySource
    from racksalt.bootstrap import App


def create_app(app: App) -> Starlette:
    """Return the application over an opened racksalt; the snapshot is loaded when it starts."""
    from graphql_api.store_source import StoreSource  # noqa: PLC0415 - the store is not needed to serve rows

    return build(StoreSource(app.store), app.operations, commands_of(app.machine))


def commands_of(machine: Any) -> Commands:
    """Return the commands that each state accepts, in the order of the table."""
    return {
        name: [one for one in COMMANDS if one in set(machine.legal(name))]
        for name in machine.states
    }


def build(
    source: TopologySource,
    operations: Any,
    commands: Commands | None = None,
    limits: Limits | None = None,
) -> Starlette:
    """Return the application over any source of rows and anything with the verbs of the operations."""
    services = Services(source, operations, commands or commands_of(MACHINE), schema, limits)
    endpoint = Endpoint(services)

    async def graphql(request: Request) -> Response:
        return await endpoint(request)

    async def websocket(socket: WebSocket) -> None:
        await Socket(services, socket).serve()

    async def healthz(_request: Request) -> Response:
        told = {"revision": services.snapshot.revision}
        if services.behind_since is None:
            return JSONResponse({"status": "ok", **told})
        return JSONResponse({"status": "behind", **told, "since": services.behind_since}, 503)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None, None]:
        await services.start()
        try:
            yield
        finally:
            await services.stop()

    made = Starlette(
        routes=[
            Route("/graphql", graphql, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", websocket),
            Mount("/graphql/assets", StaticFiles(directory=ASSETS)),
            Route("/healthz", healthz, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
    made.state.services = services
    return made
