"""Reads the journal: a node's history, batched over all nodes of an answer, and pages of the whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphql_api.auth import AUDIT_READ
from graphql_api.problems import UserError
from graphql_api.records import RecordPage, page, record, visible

if TYPE_CHECKING:
    from graphql_api.context import Context

MOST = 100
"""Most entries of one node's history in one answer."""
_Batch = dict[str, "asyncio.Future[Any]"]


def seq_of(cursor: str | None, tag: str) -> int | None:
    """Return the sequence number that a cursor of the list stands for; a foreign cursor is refused."""
    if cursor is None:
        return None
    seq = cursor.removeprefix(tag)
    if seq == cursor or not seq.isascii() or not seq.isdigit() or len(seq) > 15:
        raise UserError(
            "BAD_USER_INPUT",
            f"after: {cursor[:40]!r} is not a cursor of this list; use pageInfo.endCursor of the same query",
        )
    return int(seq)


class Histories:
    """One per request. All histories asked for in one turn of the event loop become one SQL statement."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[tuple[int, int | None], _Batch] = {}

    async def of_node(self, node: str, first: int, after: str | None) -> RecordPage:
        """Return one node's entries, newest first, older than the cursor ``after``."""
        if not 1 <= first <= MOST:
            raise UserError("LIMIT", f"history: first must be between 1 and {MOST}, not {first}")
        key = (first, seq_of(after, RecordPage.OF_NODE))
        batch = self._waiting.get(key)
        loop = asyncio.get_running_loop()
        if batch is None:
            batch = self._waiting[key] = {}
            loop.call_soon(self._start, key)
        if node not in batch:
            batch[node] = loop.create_future()
        entries = await batch[node]
        context = self._context
        audit = context.caller.may(AUDIT_READ)
        looked_at = entries[:first]
        records = [
            record(one, context.snapshot.nodes, audit=audit)
            for one in looked_at
            if visible(one, audit=audit)
        ]
        end = looked_at[-1].seq if looked_at else None
        return page(records, RecordPage.OF_NODE, more=len(entries) > first, end=end)

    def _start(self, key: tuple[int, int | None]) -> None:
        batch = self._waiting.pop(key)
        task = asyncio.ensure_future(self._read(key, batch))
        self._context.services.hold(task)

    async def _read(self, key: tuple[int, int | None], batch: _Batch) -> None:
        first, before = key
        try:
            found = await asyncio.to_thread(
                self._context.services.source.histories, list(batch), before, first + 1
            )
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for it
            for waiting in batch.values():
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for node, waiting in batch.items():
            if not waiting.done():
                waiting.set_result(found.get(node, ()))
