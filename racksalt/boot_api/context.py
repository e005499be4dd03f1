"""What every endpoint shares: the settings, the conductor, reads in batches, limits, refusals."""

from __future__ import annotations

import logging
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from racksalt.boot.identity import Claim, Known, normalise_serial, normalise_uuid, swapped
from racksalt.boot_api.batch import Batcher
from racksalt.boot_api.errors import RateLimitedError
from racksalt.conductor.view import View
from racksalt.limits import Recent, Sampler, TokenBuckets
from racksalt.model.errors import RacksaltError
from racksalt.model.event import Event
from racksalt.model.node import serial_key
from racksalt.store.boot_reads import marks, nodes_with_boots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from racksalt.conductor.handle import Outcome
    from racksalt.model.node import BootEnvironment, Node
    from racksalt.psm.kernel import Machine
    from racksalt.settings import Settings
    from racksalt.store import Store

LOG = logging.getLogger(__name__)
NOBODY = "unknown-machines"
"""What the journal calls those that were turned away, in the entry that counts them."""


class Takes(Protocol):
    """The conductor, as far as the boot API needs it."""

    async def submit(self, event: Event) -> Outcome:
        """Return what became of the event, after it was committed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often is too often. Rates are per second; a burst is what may come at once.

    A healthy node sends a few requests per boot and one every ``HOLD_S`` while it is held, so the
    defaults leave room for a rack behind one address. Requests from this machine itself are not
    limited by address: whoever can send them can do worse.
    """

    address_rate: float = 50.0
    address_burst: float = 400.0
    unknown_rate: float = 100.0
    """MACs that are not known yet, all together: each may become a node."""
    unknown_burst: float = 2000.0
    boot_rate: float = 0.2
    """Boot requests that are journalled, of one node and one address. All addresses to which the
    node's present boot was not given share one such budget: whoever forges requests can use up no
    other than that."""
    boot_burst: float = 20.0
    repeat_s: float = 60.0
    """How long a boot request that came to the same as the address's last one is not journalled."""
    turned_away_per_minute: int = 10
    """Unknown machines beyond the site's limit that are journalled; the rest becomes one summary."""
    node_rate: float = 5.0
    """Accepted reports of one node: each is a row of the journal."""
    node_burst: float = 100.0
    refusals_per_minute: int = 5
    """Refusals of one node that are journalled; the rest becomes one summary a minute."""


class Context:
    """The boot API's one mutable object. Not for use from more than one event loop."""

    def __init__(  # noqa: D417 - the rest is told by its type
        self,
        *,
        settings: Settings,
        store: Store,
        conductor: Takes,
        machine: Machine,
        secret: bytes,
        effective: Callable[[Node], Mapping[str, Any]] | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what the endpoints work with.

        Args:
            effective: returns a node's merged configuration; None: there is none to serve.
        """
        limits = limits or Limits()
        self.settings = settings
        self.store = store
        self.conductor = conductor
        self.machine = machine
        self.secret = secret
        self.effective = effective
        self.clock = clock
        self.monotonic = monotonic
        self.threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="boot-api")
        # An edit of a large site keeps whoever reads it waiting; that is not to be all threads.
        self.reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="boot-api-site")
        self.identify = Batcher[Claim, list[Known]](self._identities, self.threads)
        self.views = Batcher[str, View | None](self._views, self.threads)
        self.by_address = TokenBuckets[str](limits.address_rate, limits.address_burst)
        self.unknown = TokenBuckets[None](limits.unknown_rate, limits.unknown_burst)
        self.boot_requests = TokenBuckets[tuple[str, str]](limits.boot_rate, limits.boot_burst)
        self.answered = Recent[tuple[str, str], tuple[object, ...]](limits.repeat_s)
        self.by_node = TokenBuckets[str](limits.node_rate, limits.node_burst)
        self.refusals = Sampler[str](limits.refusals_per_minute)
        self.turned_away = Sampler[str](1)
        self.crowd = Sampler[str](limits.turned_away_per_minute)
        self.full = False
        """Whether the last unknown machine was turned away."""

    def close(self) -> None:
        """Stop the reader threads."""
        self.threads.shutdown(wait=False)
        self.reader.shutdown(wait=False)

    def boots(self, node: Node) -> BootEnvironment:
        """Return what PXE gives to this node: its own disk where it runs from that, else its state's.

        A node that ran from its own disk when its problem arose goes on doing so. A state that is
        no more gives ``hold``.
        """
        if node.boot_environment == "local":
            return "local"
        found = self.machine.states.get(node.state)
        return found.boots if found else "hold"

    def throttle(self, address: str) -> None:
        """Raise RateLimitedError when this address asks too often."""
        if is_loopback(address):
            return
        wait_s = self.by_address.wait_s(address, self.monotonic())
        if wait_s:
            raise RateLimitedError(
                f"too many requests from {address}",
                f"ask again in {wait_s:.1f} s",
                retry_after_s=wait_s,
            )

    async def refuse(self, node: str, event: str, why: str, detail: dict[str, Any]) -> None:
        """Journal a refusal of a known node, unless it has had its share for this minute.

        ``detail`` is kept with the entry; its ``address`` names who was refused.
        """
        if not self.refusals.admit(node, self.monotonic()):
            return
        await self._journal(node, event, why, detail)

    async def summarise(self) -> None:
        """Journal how many refusals were left out in the minute that is over."""
        now = self.monotonic()
        self.turned_away.passed(now)
        for node, count in self.refusals.passed(now):
            why = f"{count} more refusals in {self.refusals.window_s:.0f} s, not listed one by one"
            await self._journal(node, "refusals_summarised", why, {})
        for _, count in self.crowd.passed(now):
            why = f"{count} more unknown machines turned away in {self.crowd.window_s:.0f} s"
            await self._journal(NOBODY, "refusals_summarised", why, {})

    async def _journal(self, node: str, event: str, why: str, detail: dict[str, Any]) -> None:
        told = Event(
            id=f"refused:{secrets.token_hex(12)}",
            node=node,
            name=event,
            at=self.clock(),
            source="boot",
            actor=str(detail.get("address", "")),
            data={"refused": why, **detail},
        )
        try:
            await self.conductor.submit(told)
        except RacksaltError:
            # The refusal itself stands; only its record is lost, and the log has it.
            LOG.warning("could not journal a refusal of %s: %s", node, why)

    def _identities(self, claims: Sequence[Claim]) -> list[list[Known]]:
        """Return, for each claim, the nodes that share a mark with any of the claims."""
        uuids = {form for claim in claims if claim.uuid for form in _spellings(claim.uuid)}
        serials = {claim.serial for claim in claims if claim.serial}
        found = [
            Known(
                node=row.node,
                macs=row.macs,
                uuid=normalise_uuid(row.system_uuid),
                serial=normalise_serial(row.serial),
            )
            for row in marks(self.store, {claim.mac for claim in claims}, uuids, serials)
        ]
        return sort_out(found, claims)

    def _views(self, nodes: Sequence[str]) -> list[View | None]:
        now = self.clock()
        found = nodes_with_boots(self.store, nodes)
        return [
            View(node=found[name][0], boots=found[name][1], hardware=None, now=now)
            if name in found
            else None
            for name in nodes
        ]


def sort_out(found: Sequence[Known], claims: Sequence[Claim]) -> list[list[Known]]:
    """Return for each claim those nodes that share a mark with it, in time linear in both."""
    by_mark: dict[str | None, list[Known]] = {}
    for known in found:
        uuid = _spellings(known.uuid) if known.uuid else []
        for mark in {*known.macs, *uuid, serial_key(known.serial)} - {None}:
            by_mark.setdefault(mark, []).append(known)
    sorted_out = []
    for claim in claims:
        shared: dict[str, Known] = {}
        marks_of = (claim.mac, claim.uuid, serial_key(claim.serial))
        for mark in marks_of:
            shared.update((known.node, known) for known in by_mark.get(mark, ()))
        sorted_out.append(list(shared.values()))
    return sorted_out


def _spellings(uuid: str) -> list[str]:
    """Return every way in which the same system UUID may have been written down."""
    both = (uuid, swapped(uuid))
    return [form for one in both for form in (one, one.upper())]


def is_loopback(address: str) -> bool:
    """Say whether a connection's address, as inet_ntop(3) spells it, is this machine itself."""
    return address.startswith("127.") or address == "::1"
