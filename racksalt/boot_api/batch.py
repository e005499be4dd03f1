"""Many small requests, few trips to the database.

While one batch is on its way in a worker thread, the requests that come in meanwhile gather for
the next: alone a request waits for nobody, and in a storm hundreds share one query or one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")
MAX_BATCH = 200


class Batcher(Generic[Key, Value]):
    """Gathers keys and answers them with one call of ``work`` (same order, same length)."""

    def __init__(
        self,
        work: Callable[[Sequence[Key]], Sequence[Value]],
        threads: ThreadPoolExecutor,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._work = work
        self._threads = threads
        self._max_batch = max_batch
        self._waiting: list[tuple[Key, asyncio.Future[Value]]] = []
        self._running: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Value:
        """Return what ``work`` has for ``key``; raises what it raised for the whole batch."""
        answer: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = (
                self._waiting[: self._max_batch],
                self._waiting[self._max_batch :],
            )
            keys = [key for key, _ in batch]
            try:
                values = await loop.run_in_executor(self._threads, self._work, keys)
            except Exception as error:  # noqa: BLE001 - handed to each who waits for it
                _fail([answer for _, answer in batch], error)
                continue
            for (_, answer), value in zip(batch, values, strict=True):
                if not answer.done():  # the client may have gone away
                    answer.set_result(value)
        self._running = None


def _fail(answers: Sequence[asyncio.Future[Value]], error: Exception) -> None:
    """Hand the error to everyone who still waits."""
    for answer in answers:
        if not answer.done():
            answer.set_exception(error)
