"""Serves the boot API from a thread, so that the process which hosts the conductor can host it too."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from racksalt.boot_api.app import create_app
from racksalt.model.errors import SettingsError

if TYPE_CHECKING:
    from racksalt.boot_api.context import Limits
    from racksalt.bootstrap import App

LOG = logging.getLogger(__name__)
BACKLOG = 2048
STOP_S = 5


class BootServer:
    """The boot API of ``app`` on ``settings.boot_api.host`` and ``port`` (0: any free one)."""

    def __init__(self, app: App, limits: Limits | None = None) -> None:
        self._app = app
        self._limits = limits
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.address: tuple[str, int] | None = None

    def start(self) -> tuple[str, int]:
        """Listen, begin to serve in a thread, and return (host, port).

        From here on the kernel queues connections, so no request is refused while the rest starts.

        Raises:
            SettingsError: the address cannot be had, or a setting cannot go into a boot script.
        """
        wanted = self._app.settings.boot_api
        application = create_app(self._app, self._limits)
        family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((wanted.host, wanted.port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise SettingsError(
                f"the boot API cannot listen on {wanted.host} port {wanted.port}: {error.strerror}",
                "change boot_api.host or boot_api.port in the settings, or stop who listens there",
            ) from None
        self.address = listening.getsockname()[:2]
        config = uvicorn.Config(
            application,
            access_log=False,
            log_config=None,
            # An address in X-Forwarded-For can be forged, and tokens are bound to addresses.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="boot-api", daemon=True
        )
        self._thread.start()
        return self.address

    def stop(self) -> None:
        """Finish the requests that are being served, then end; no harm when not started."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(STOP_S * 2)
        if self._thread.is_alive():
            LOG.error("the boot API did not end within %s s", STOP_S * 2)

    @property
    def is_serving(self) -> bool:
        """Say whether requests are being answered."""
        return bool(
            self._server and self._server.started and self._thread and self._thread.is_alive()
        )
