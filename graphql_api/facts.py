"""Reads the lists of nodes' inventories, batched over all nodes of an answer; burn-in figures beside their peers'."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphql_api.auth import TOPOLOGY_READ
from graphql_api.problems import UserError
from racksalt.conductor.hardware import HardwareOperations
from racksalt.model.errors import NotFoundError

if TYPE_CHECKING:
    from graphql_api.context import Context

MOST = 1000
"""Most burn-in figures in one answer."""


class FactsLoader:
    """One per request. All nodes whose facts are asked for in one turn of the event loop are read together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    async def of_node(self, node: str) -> Any:
        """Return (facts, proposal) of a node, each None where there is none."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._start)
        if node not in self._waiting:
            self._waiting[node] = asyncio.get_running_loop().create_future()
        return await self._waiting[node]

    def _start(self) -> None:
        batch, self._waiting = self._waiting, {}
        self._context.services.hold(asyncio.ensure_future(self._read(batch)))

    async def _read(self, batch: dict[str, asyncio.Future[Any]]) -> None:
        try:
            found = await asyncio.to_thread(self._context.services.source.facts, list(batch))
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for it
            for waiting in batch.values():
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for node, waiting in batch.items():
            if not waiting.done():
                waiting.set_result(found.get(node, (None, None)))


async def burn_in(context: Context, node: str | None, first: int, *, worse: bool) -> list[Any]:
    """Return burn-in figures beside those of their peers, as the operations compare them."""
    context.require(TOPOLOGY_READ)
    if not 1 <= first <= MOST:
        raise UserError("LIMIT", f"burnIn: first must be between 1 and {MOST}, not {first}")
    hands = HardwareOperations(context.operations)
    try:
        found = await asyncio.to_thread(hands.burn_in, [node] if node else [], worse=worse)
    except NotFoundError:
        return []
    return found[:first]
