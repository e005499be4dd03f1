"""Runs the boot API and the GraphQL API, each in a process of its own; on request also a conductor without Salt.

However much is asked about the site, no machine waits for its boot script.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import uvicorn
import uvloop

from racksalt.apart import apart
from racksalt.bootstrap import open_app
from racksalt.garbage import collect_seldom
from racksalt.open_files import allow_many
from racksalt.settings import Settings

KEEP_ALIVE_S = 75
"""How long a connection waits for its next request: longer than the stages that a machine reports one by one."""


class _Server(uvicorn.Server):
    """A server whose process handles the signals itself."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals alone."""
        yield


def serve(settings: Settings, *, conductor: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, then raise SystemExit.

    Args:
        settings: hosts, ports, database.
        conductor: also carry out effects, for a site or a lab without a Salt master.
    """
    # Loaded here and once: the web apps are no business of a process that only shows help.
    import graphql_api.app
    import racksalt.boot_api.app

    boots = apart(("boot API", "GraphQL API")) == "boot API"
    collect_seldom()
    allow_many()
    app = open_app(settings)
    try:
        if boots and conductor:
            app.start()
        listen = settings.boot_api if boots else settings.graphql
        web = racksalt.boot_api.app if boots else graphql_api.app
        made = web.create_app(app)
        uvloop.run(_serve(_server(made, listen.host, listen.port)))
    finally:
        app.close()


async def _serve(server: _Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve()


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
        timeout_keep_alive=KEEP_ALIVE_S,
        ws_max_size=65536,
    )
    return _Server(config)
