"""Outcomes reach callers in an event loop, whatever became of loop and caller meanwhile."""

from __future__ import annotations

import asyncio
import threading

import pytest

from racksalt.conductor.answers import Answers
from racksalt.model.errors import StoreError


def in_thread(work):
    """Run it where the writer would."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_each_caller_gets_its_own():
    """Hundreds settled in one go: every caller has what is its, errors too."""

    async def scene():
        answers = Answers(asyncio.get_running_loop())
        waiting = [answers.expect() for _ in range(500)]

        def commit():
            for number, answer in enumerate(waiting):
                assert answer.set_running_or_notify_cancel()
                if number % 5:
                    answer.set_result(number)
                else:
                    answer.set_exception(StoreError(str(number), "hint"))

        in_thread(commit)
        told = await asyncio.gather(*(it.future for it in waiting), return_exceptions=True)
        for number, outcome in enumerate(told):
            assert outcome == number if number % 5 else str(number) in str(outcome)

    asyncio.run(scene())


def test_later_commits_wake_again():
    """A wake-up covers what was settled before it; the next one gets its own."""

    async def scene():
        answers = Answers(asyncio.get_running_loop())
        for number in range(20):
            answer = answers.expect()
            in_thread(lambda it=answer, n=number: it.set_result(n))
            assert await asyncio.wait_for(answer.future, 5) == number

    asyncio.run(scene())


def test_a_caller_that_left_is_in_nobodys_way():
    """Cancelled before or after the commit took it up: the others are told all the same."""

    async def scene():
        answers = Answers(asyncio.get_running_loop())
        early, late, kept = (answers.expect() for _ in range(3))
        early.future.cancel()
        assert not early.set_running_or_notify_cancel()
        late.future.cancel()
        in_thread(lambda: (late.set_result(1), kept.set_result(2))).join()
        assert await asyncio.wait_for(kept.future, 5) == 2

    asyncio.run(scene())


def test_a_loop_that_has_ended_is_no_error():
    """The writer goes on when whoever asked is gone with its loop."""

    async def ask():
        return Answers(asyncio.get_running_loop()).expect()

    answer = asyncio.run(ask())
    answer.set_result(1)
    answer.set_result(2)
    with pytest.raises(asyncio.InvalidStateError):
        answer.future.result()
