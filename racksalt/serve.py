"""Runs the boot API and the GraphQL API in one process, on two ports; on request also a conductor without Salt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import Any

import uvicorn
import uvloop

from racksalt.bootstrap import App, open_app
from racksalt.garbage import collect_seldom
from racksalt.settings import Settings

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server whose process handles the signals itself: there are two of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals alone."""
        yield


def serve(settings: Settings, *, conductor: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: hosts, ports, database.
        conductor: also carry out effects, for a site or a lab without a Salt master.
    """
    collect_seldom()
    app = open_app(settings)
    try:
        if conductor:
            app.start()
        uvloop.run(_serve(app))
    finally:
        app.close()


async def _serve(app: App) -> None:
    # Imported here: the two web apps are no business of a process that only shows help.
    import graphql_api.app
    import racksalt.boot_api.app

    boot, graphql = app.settings.boot_api, app.settings.graphql
    servers = [
        _server(racksalt.boot_api.app.create_app(app), boot.host, boot.port),
        _server(graphql_api.app.create_app(app), graphql.host, graphql.port),
    ]
    loop = asyncio.get_running_loop()

    def end() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    await asyncio.gather(*(server.serve() for server in servers))


def _server(app: Any, host: str, port: int) -> _Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # Boot tokens are bound to source addresses: no header may claim another one.
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        ws_max_size=65536,
    )
    return _Server(config)
