"""Many small requests share few trips."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from racksalt.boot_api.batch import Batcher


@pytest.fixture
def threads():
    """Give worker threads, ended with the test."""
    with ThreadPoolExecutor(2) as found:
        yield found


def test_requests_that_come_while_a_batch_is_away_share_the_next(threads):
    """The first goes alone; those that gather meanwhile go together, at most so many at once."""
    away, started, batches = threading.Event(), threading.Event(), []

    def work(keys):
        batches.append(list(keys))
        started.set()
        assert away.wait(10)
        return [key * 2 for key in keys]

    async def run():
        batcher = Batcher(work, threads, max_batch=3)
        tasks = [asyncio.create_task(batcher.get(1))]
        assert await asyncio.to_thread(started.wait, 10)
        tasks += [asyncio.create_task(batcher.get(key)) for key in range(2, 7)]
        await asyncio.sleep(0)
        away.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(run()) == [2, 4, 6, 8, 10, 12]
    assert batches == [[1], [2, 3, 4], [5, 6]]


def test_an_error_reaches_everybody_of_its_batch_and_nobody_else(threads):
    """A failed trip fails those on it; the next trip is a new one."""

    def work(keys):
        if 0 in keys:
            raise ValueError("no zero")
        return list(keys)

    async def run():
        batcher = Batcher(work, threads)
        with pytest.raises(ValueError, match="no zero"):
            await batcher.get(0)
        return await batcher.get(1)

    assert asyncio.run(run()) == 1


def test_who_goes_away_does_not_disturb_the_others(threads):
    """A cancelled request leaves its batch intact."""
    away, started = threading.Event(), threading.Event()

    def work(keys):
        started.set()
        assert away.wait(10)
        return list(keys)

    async def run():
        batcher = Batcher(work, threads)
        gone, other = asyncio.create_task(batcher.get(1)), asyncio.create_task(batcher.get(2))
        assert await asyncio.to_thread(started.wait, 10)
        gone.cancel()
        await asyncio.sleep(0)
        away.set()
        return await other

    assert asyncio.run(run()) == 2
