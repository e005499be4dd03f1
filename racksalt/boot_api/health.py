"""Whether a boot could be answered now: for load balancers and supervisors."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import orjson
from starlette.responses import Response

from racksalt.boot_api.errors import JSON, respond
from racksalt.model.errors import RacksaltError, StoreError

if TYPE_CHECKING:
    from starlette.requests import Request

    from racksalt.boot_api.context import Context

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
"""How old a look at the database may be: strangers that ask all the time keep it no busier than this."""
PATIENCE_S = 2.0
"""When a database that does not answer is away."""
MARK = "healthz"


class Health:
    """``GET /healthz``: 200 when the database takes what is written.

    Every boot is journalled, and a full disk can still be read. The look has a thread of its own, so that one which
    hangs keeps no node waiting, and is shared by all that ask meanwhile.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="boot-api-health")
        self._looking: Future[int | None] | None = None
        self._since = 0.0

    async def __call__(self, _request: Request) -> Response:
        """Return ``{"status": "ok", "head": newest journal number}``, or the error with 503."""
        head = await self._head()
        if head is None:
            return respond(
                StoreError("it does not answer, or takes nothing: no boot can be journalled")
            )
        return Response(orjson.dumps({"status": "ok", "head": head}), media_type=JSON)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)

    async def _head(self) -> int | None:
        now = self._context.monotonic()
        looking = self._looking
        if looking is None or (looking.done() and now - self._since >= LOOK_S):
            self._since = now
            self._looking = looking = self._thread.submit(self._look)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(looking)), PATIENCE_S)
        except asyncio.TimeoutError:
            return None

    def _look(self) -> int | None:
        store = self._context.store
        try:
            store.set_mark(MARK, int(self._context.clock()))
            return store.head()
        except RacksaltError as error:
            LOG.error("%s", error)
            return None
