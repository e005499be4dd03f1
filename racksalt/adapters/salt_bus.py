"""Salt's event bus: what racksalt tells it, and the reader that turns what it says into hints.

The bus delivers at most once and drops a subscriber that does not read, so the reader only parses
and appends to a queue in memory; a second thread hands batches to the sink. Nothing here decides:
each hint is checked later against a channel that cannot be forged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import salt.transport
import salt.utils.event

from racksalt.adapters.salt_hints import Hint, hint_of

if TYPE_CHECKING:
    from racksalt.adapters.salt_client import Opts

log = logging.getLogger(__name__)

Sink = Callable[[Sequence[Hint]], None]
Running = Callable[[Collection[str]], set[tuple[str, str]]]
"""Which (job id, node) pairs of these job ids are running."""
CAPACITY = 50_000
BATCH = 500
_RETRY_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
_STORED_WITHIN_S = 2.0
_LOG_EVERY_S = 10.0
_LOOK_S = 0.5
"""How often the reader looks whether it is to stop."""


class SaltAnnouncer:
    """The port ``Announcer`` on the master's bus; connects when first used and again when it broke."""

    def __init__(self, opts: Opts) -> None:
        self._opts = opts
        self._lock = threading.Lock()
        self._bus: Any = None

    def publish(self, tag: str, payload: dict[str, Any]) -> None:
        """Fire one event; it may be lost, and a bus that is away is not an error."""
        with self._lock:
            for _ in range(2):
                try:
                    if self._bus is None:
                        self._bus = salt.utils.event.get_master_event(
                            self._opts, self._opts["sock_dir"], listen=False
                        )
                    if self._bus.fire_event(dict(payload), tag):
                        return
                except Exception:
                    log.debug("the bus did not take %s", tag, exc_info=True)
                self._drop()
        log.warning("the event bus is away; %s was not announced", tag)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """Forget a connection that may be broken."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.destroy()


class BusReader:
    """Reads the master's bus for ever and hands batches of hints to ``sink``.

    ``sink`` may raise: the batch is handed in again until it is taken, so it must be idempotent
    (ids are in the hints). At most CAPACITY hints wait in memory; beyond that the newest are dropped
    and the log says how many. ``stored(jid, node)`` tells when a job's return is in the job cache:
    Salt fires the event of a return a moment before it stores it, so these hints wait for that.
    ``running`` tells which jobs are racksalt's: hints of other jobs are dropped before anything else,
    since every minion returns jobs all day and may fire any number of such events. ``admits`` says of each hint
    whether it may wait at all: whoever fires much must not fill the memory while the database is away.
    """

    def __init__(
        self,
        opts: Opts,
        sink: Sink,
        *,
        stored: Callable[[str, str], bool] | None = None,
        running: Running | None = None,
        admits: Callable[[Hint], bool] | None = None,
    ) -> None:
        self._opts = opts
        self._sink = sink
        self._stored, self._running, self._admits = stored, running, admits
        self._queue: deque[Hint] = deque()
        self._waiting: dict[tuple[str, str], tuple[float, Hint]] = {}
        self._more = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.read = 0
        self.dropped = 0
        self.written = 0

    def start(self) -> None:
        """Start both threads."""
        for name, run in (("racksalt-bus-read", self._read), ("racksalt-bus-write", self._write)):
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Stop reading, hand in what was read, end both threads."""
        self._stop.set()
        self._more.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def _read(self) -> None:
        """Read until stopped; connect again whenever the bus went away."""
        while not self._stop.is_set():
            try:
                asyncio.run(self._subscribe())
            except Exception:
                log.exception("reading the event bus failed; connecting again")
                self._stop.wait(1.0)

    async def _subscribe(self) -> None:
        """Take every event until stopped.

        Salt's ``get_event`` starts and stops a loop of its own for each event, which costs more than the event does.
        """
        client = salt.transport.ipc_publish_client("master", self._opts, asyncio.get_running_loop())
        with contextlib.closing(client):
            reading = asyncio.create_task(self._take_all(client))
            while not reading.done():
                await asyncio.wait({reading}, timeout=_LOOK_S)
                if self._stop.is_set():
                    # Again and again: Salt's client may lose one cancellation while it connects.
                    reading.cancel()
            if not reading.cancelled():
                reading.result()

    async def _take_all(self, client: Any) -> None:
        """Take events; the client connects by itself, at first and whenever the bus went away."""
        while True:
            self._unpack(await client.recv())

    def _unpack(self, raw: bytes) -> None:
        """Take one message of the bus; one that cannot be read must not make the reader miss the next."""
        try:
            tag, data = salt.utils.event.SaltEvent.unpack(raw)
        except Exception:
            log.exception("a message of the event bus cannot be read")
        else:
            self._take({"tag": tag, "data": data})

    def _take(self, event: dict[str, Any]) -> None:
        """Append one event's hint, if it is one."""
        self.read += 1
        try:
            hint = hint_of(event["tag"], event["data"], time.time())
        except Exception:
            # Whoever fired it must not make the reader miss what comes meanwhile.
            log.exception("an event of the bus makes no sense")
            return
        if hint is None or (self._admits is not None and not self._admits(hint)):
            return
        if len(self._queue) >= CAPACITY:
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.error("the inbox does not take hints; %d were dropped", self.dropped)
            return
        self._queue.append(hint)
        self._more.set()

    def _write(self) -> None:
        """Hand batches to the sink until stopped and empty."""
        while True:
            batch = self._batch()
            if batch:
                self._hand_in(batch)
            elif self._queue:
                continue
            elif self._stop.is_set():
                return
            else:
                self._more.wait(0.05 if self._waiting else 1.0)
                self._more.clear()

    def _batch(self) -> list[Hint]:
        """Return up to BATCH hints that are ready."""
        taken = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        returned = {(hint.data["jid"], hint.node): hint for hint in taken if _is_return(hint)}
        deadline = time.monotonic() + _STORED_WITHIN_S
        for pair in self._ours(returned):
            self._waiting.setdefault(pair, (deadline, returned[pair]))
        ready = [
            pair
            for pair, (deadline, hint) in self._waiting.items()
            if self._is_stored(hint) or deadline <= time.monotonic() or self._stop.is_set()
        ]
        return [
            *(hint for hint in taken if not _is_return(hint)),
            *(self._waiting.pop(pair)[1] for pair in ready),
        ]

    def _ours(self, pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those (job id, node) pairs that are running; a database that is away drops none."""
        if self._running is None or not pairs:
            return list(pairs)
        try:
            running = self._running({jid for jid, _ in pairs})
        except Exception:
            log.debug("the running jobs could not be looked up", exc_info=True)
            return list(pairs)
        return [pair for pair in pairs if pair in running]

    def _is_stored(self, hint: Hint) -> bool:
        """Ask the job cache; a job cache that fails is no reason to hold the hint back."""
        try:
            return self._stored is None or self._stored(hint.data["jid"], hint.node)
        except Exception:
            log.debug("the job cache could not be asked", exc_info=True)
            return True

    def _hand_in(self, batch: list[Hint]) -> None:
        """Give the batch to the sink until it takes it."""
        logged_at = 0.0
        for attempt in range(10**9):
            try:
                self._sink(batch)
            except Exception as error:
                if self._stop.is_set():
                    log.exception("%d hints could not be handed in before the stop", len(batch))
                    return
                if time.monotonic() - logged_at > _LOG_EVERY_S:
                    log.warning("%d hints wait: the inbox refuses (%s)", len(batch), error)
                    logged_at = time.monotonic()
                self._stop.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            else:
                self.written += len(batch)
                return


def _is_return(hint: Hint) -> bool:
    """Say whether the hint tells of a returned job."""
    return hint.kind == "returned"
