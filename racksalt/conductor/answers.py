"""Brings outcomes from the writer's thread to callers in an event loop: one wake-up for all that a commit settled."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from racksalt.conductor.handle import Outcome


class Answers:
    """The callers of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._settled: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._waking = False

    def expect(self) -> Answer:
        """Return what the writer settles and the caller awaits."""
        return Answer(self)

    def settle(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        """Settle a future from another thread, soon."""
        self._settled.append((future, value, error))
        if not self._waking:
            self._waking = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._waking = False  # the loop has ended, and with it whoever waited

    def _deliver(self) -> None:
        # Before the first look: what comes after the last one wakes the loop again.
        self._waking = False
        while self._settled:
            future, value, error = self._settled.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


class Answer:
    """What one caller waits for: the writer's side is that of a concurrent future."""

    __slots__ = ("_answers", "future")

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.future: asyncio.Future[Outcome] = answers.loop.create_future()

    def set_running_or_notify_cancel(self) -> bool:
        """Say whether somebody still waits."""
        return not self.future.cancelled()

    def set_result(self, outcome: Outcome) -> None:
        """Tell the outcome."""
        self._answers.settle(self.future, outcome, None)

    def set_exception(self, error: BaseException) -> None:
        """Tell that there is none."""
        self._answers.settle(self.future, None, error)
