"""Redfish over TLS for the machines of a lab (DSP0266 1.15): one server, a port of loopback for each BMC.

What is served: service root, sessions, one system with reset, boot override and BIOS settings, firmware inventory and
SimpleUpdate with tasks, chassis with temperature, fan and power. Which BMC is meant says the port that was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from racksalt.lab.bmc import CommandLog, Fate
from racksalt.lab.machine import Machine
from racksalt.lab.redfish_bmc import IMAGE_BYTES, RedfishBmc, RefusedError, Task
from racksalt.lab.redfish_resources import (
    ENDPOINTS,
    OPEN,
    TASKS,
    UPDATES,
    Endpoint,
    basic_login,
    read_body,
    refusal,
    task_content,
)
from racksalt.lab.redfish_tls import Certificate
from racksalt.model.node import Bmc

FETCH_S = 10.0
RESEND_S = 0.5
"""What a lost packet costs on TCP."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets=sockets)
        self.listens.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the lab, which ends this server with everything else."""
        yield


class RedfishFront:
    """The server of all Redfish BMCs of one lab. Nothing listens before `start`."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.bmcs: dict[int, RedfishBmc] = {}
        self._sockets: list[socket.socket] = []
        self._server: _Server | None = None
        self._running: asyncio.Task[None] | None = None
        self._updates: set[asyncio.Task[None]] = set()
        self._dice = random.Random("redfish")

    def add(self, bmc: RedfishBmc, host: str = "127.0.0.1", port: int = 0) -> int:
        """Bind a BMC's port, 0 takes a free one; return it. Before `start` only."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        self._sockets.append(bound)
        number = int(bound.getsockname()[1])
        self.bmcs[number] = bmc
        return number

    def bind(
        self, bmc: Bmc, password: str, machine: Machine, fate: Fate, log: CommandLog
    ) -> RedfishBmc:
        """Bind the BMC of a lab's machine where the site says; return it."""
        made = RedfishBmc(
            bmc.node, machine, bmc.username, password, machine.hardware, fate=fate, log=log
        )
        self.add(made, bmc.address, bmc.port)
        return made

    async def start(self) -> None:
        """Serve from now on."""
        config = uvicorn.Config(
            Starlette(routes=self._routes()),
            ssl_certfile=str(self.certificate.file),
            ssl_keyfile=str(self.certificate.key),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=120,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._running = asyncio.create_task(self._server.serve(sockets=self._sockets))
        ready = asyncio.create_task(self._server.listens.wait())
        await asyncio.wait({ready, self._running}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def close(self) -> None:
        """Stop listening; no harm when it does not."""
        for update in self._updates:
            update.cancel()
        if self._server is not None and self._running is not None:
            self._server.should_exit = True
            for connection in list(self._server.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.gather(self._running, return_exceptions=True)
        for bound in self._sockets:
            bound.close()

    # ------------------------------------------------------------ who is meant, who asks

    def _routes(self) -> list[Route]:
        update = f"{UPDATES}/Actions/UpdateService.SimpleUpdate"
        table = (*ENDPOINTS, ("POST", update, self._simple_update))
        return [Route(path, self._guarded(do), methods=[method]) for method, path, do in table]

    def _guarded(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        is_open = endpoint in OPEN

        async def answer(request: Request) -> Response:
            bmc = self.bmcs[request.scope["server"][1]]
            await self._suffer(bmc)
            if not is_open and not bmc.knows(
                request.headers.get("x-auth-token"), basic_login(request)
            ):
                return refusal(RefusedError(401, "NoValidSession", "There is no valid session."))
            try:
                return await endpoint(bmc, request, await read_body(request))
            except RefusedError as error:
                return refusal(error)

        return answer

    async def _suffer(self, bmc: RedfishBmc) -> None:
        """Let the BMC's fate act. TCP mends lost packets by itself, so loss is seconds here."""
        fate = bmc.fate
        if fate.dead:
            await asyncio.Event().wait()
        lost = 0
        while fate.drop_rate and self._dice.random() < fate.drop_rate:
            lost += 1
        await asyncio.sleep(fate.latency_s + lost * RESEND_S)

    async def _simple_update(
        self, bmc: RedfishBmc, _request: Request, body: dict[str, Any]
    ) -> Response:
        url = body.get("ImageURI")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise RefusedError(400, "ActionParameterValueFormatError", "ImageURI is no address.")
        targets = [str(one).rsplit("/", 1)[-1] for one in body.get("Targets") or ()]
        task = bmc.begin_update()
        work = asyncio.create_task(_update(bmc, task, url, targets))
        self._updates.add(work)
        work.add_done_callback(self._updates.discard)
        content = task_content(task)
        return JSONResponse(content, 202, {"Location": f"{TASKS}/{task.id}"})


async def _update(bmc: RedfishBmc, task: Task, url: str, targets: list[str]) -> None:
    try:
        image = await asyncio.to_thread(_fetch, url)
    except (OSError, ValueError) as error:
        bmc.fail_update(task, f"The image could not be fetched: {type(error).__name__}.")
    else:
        bmc.finish_update(task, image, targets)


def _fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=FETCH_S) as response:
        return bytes(response.read(IMAGE_BYTES))
