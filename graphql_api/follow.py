"""Replay, then live, without a gap and without a repetition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from graphql_api.auth import AUDIT_READ
from graphql_api.feed import ClosedError, SlowConsumerError
from graphql_api.problems import UserError
from graphql_api.records import Record, record, visible

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from graphql_api.context import Context

CHUNK = 1000


async def follow(
    context: Context, test: Callable[[Record], bool] | None, since: int | None
) -> AsyncGenerator[Record, None]:
    """Yield entries after ``since`` (None: from now on) in order of seq, then what is committed from then on.

    They come without their node, as the feed has them: live.answers looks it up in the snapshot of that moment.
    The live feed is joined before the journal is read, so nothing falls between the two. Raises UserError with
    code SLOW_CONSUMER or GOING_AWAY and ``since``, the seq to come again with; with code SINCE_AHEAD for a ``since``
    that the journal has not reached.
    """
    feed = context.services.feed
    audit = context.caller.may(AUDIT_READ)
    subscriber = feed.join(audit=audit)
    last = subscriber.joined if since is None else since
    try:
        if last > subscriber.joined:
            await _refuse_ahead(context, last)
        while last < subscriber.joined:
            entries = await asyncio.to_thread(context.services.source.journal, last, CHUNK)
            for entry in entries:
                if entry.seq > subscriber.joined:
                    break
                one = record(entry, {}, audit=audit)
                if visible(entry, audit=audit) and (test is None or test(one)):
                    yield one
                last = entry.seq
            if len(entries) < CHUNK or entries[-1].seq > subscriber.joined:
                last = max(last, subscriber.joined)
        while True:
            one = await subscriber.get()
            if one.seq > last and (test is None or test(one)):
                yield one
            last = max(last, one.seq)
    except SlowConsumerError:
        raise UserError(
            "SLOW_CONSUMER", f"too slow; subscribe again with since: {last}", since=last
        ) from None
    except ClosedError:
        raise UserError(
            "GOING_AWAY", f"the server stops; subscribe again with since: {last}", since=last
        ) from None
    finally:
        feed.leave(subscriber)


async def _refuse_ahead(context: Context, since: int) -> None:
    """Raise UserError if the journal itself is behind ``since``, and not only this process.

    After a backup was restored the journal goes on from a lower seq. A client that kept its own would not be told
    of what comes until the journal is there again, and never know.
    """
    head = await asyncio.to_thread(context.services.source.head)
    if since > head:
        raise UserError(
            "SINCE_AHEAD",
            f"since: {since} is ahead of the journal, which ends with {head}; read anew, and follow from there",
            head=head,
        )
