"""Runs a conductor inside a Salt engine: the bus reader feeds its inbox until the master ends."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from racksalt.adapters.salt_budget import Budget
from racksalt.adapters.salt_bus import BusReader
from racksalt.adapters.salt_jobs import SaltJobs
from racksalt.boot.tokens import key_sha256
from racksalt.conductor.enrolment import Claim
from racksalt.model.errors import ProofError, StoreError
from racksalt.model.event import Event
from racksalt.store.job_reads import running_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from racksalt.adapters.salt_client import Opts
    from racksalt.adapters.salt_hints import Hint
    from racksalt.conductor import Conductor
    from racksalt.conductor.ports import Keys, MinionKey
    from racksalt.store import Store

log = logging.getLogger(__name__)
_LOOK_S = 1.0


class Inbox:
    """The sink of the bus reader: one transaction for each batch, then a word to who should look.

    Events and proofs are kept for nodes that racksalt knows; anybody can send any number of others. A sign-in
    that was announced for a key that the key store does not hold is journalled as refused: it is
    forged, or other keys under the name left it no place; the conductor makes way for it if it is vouched for.
    """

    def __init__(
        self, store: Store, conductor: Conductor, keys: Keys, budget: Budget | None = None
    ) -> None:
        self._store, self._conductor, self._keys = store, conductor, keys
        self.budget = budget or Budget()

    def __call__(self, hints: Sequence[Hint]) -> None:
        """Store the batch; raises StoreError when nothing was written."""
        known = self._known(hints)
        fired = [hint for hint in hints if hint.kind in {"event", "started"}]
        events = [_event(hint) for hint in fired if hint.node in known]
        signed = _signed([hint for hint in hints if hint.kind == "proof" and hint.node in known])
        rows = [_proof(hint) for hint in signed if hint.data["proof"]]
        events += self._refused(signed)
        if events or rows:
            with self._store.write() as transaction:
                transaction.inbox_put(events)
                transaction.proofs_put(rows)
        self._conductor.signed_in(list(dict.fromkeys(hint.node for hint in signed)))
        self._conductor.returned([hint.data["jid"] for hint in hints if hint.kind == "returned"])
        self._conductor.connected([hint.node for hint in hints if hint.kind == "started"])
        if events:
            self._conductor.poke("work")
        # Once the batch is written: one that is handed in again must not count twice.
        self.budget.strangers(sum(hint.node not in known for hint in fired))

    def tell(self) -> None:
        """Journal how many events were left out, once a minute; a store that does not take it loses the number."""
        event = self.budget.told(time.time())
        if event is None:
            return
        log.warning("%s", event.data["refused"])
        try:
            with self._store.write() as transaction:
                transaction.inbox_put([event])
        except StoreError as error:
            log.warning("not journalled: %s", error)
        self._conductor.poke("work")

    def _known(self, hints: Sequence[Hint]) -> set[str]:
        """Return which names of events and sign-ins are nodes."""
        names = {hint.node for hint in hints if hint.kind != "returned"}
        return {node.id for node in self._store.nodes_by_id(list(names))} if names else set()

    def _refused(self, signed: Sequence[Hint]) -> list[Event]:
        """Make way for vouched keys; return what is to be journalled of those that are not in the key store."""
        if not signed:
            return []
        check = self._conductor.check
        absent = [hint for hint in signed if not self._is_held(hint)]
        claims = [Claim(one.node, one.data["public_key"], one.data["proof"]) for one in signed]
        made_way = check.make_way(self._keys, claims)
        moved = {(event.node, event.data["key_sha256"]) for event in made_way}
        forged = [
            _forged(hint) for hint in absent if (hint.node, hint.data["key_sha256"]) not in moved
        ]
        return check.refusals.few([*made_way, *forged])

    def _is_held(self, hint: Hint) -> bool:
        """Say whether the key store holds the key of a sign-in, in any state."""
        return hint.data["key_sha256"] in {_sha256(key) for key in self._keys.get(hint.node)}


def _signed(proofs: Sequence[Hint]) -> list[Hint]:
    """Return the sign-ins, each key and proof once."""
    return list({hint.id: hint for hint in proofs}.values())


def _sha256(key: MinionKey) -> str:
    try:
        return key_sha256(key.public_key)
    except ProofError:
        # An empty file in the key store is nobody's key.
        return ""


def _forged(hint: Hint) -> Event:
    """Return the event that tells of a sign-in that did not happen, or of a key that Salt threw away."""
    sha = hint.data["key_sha256"]
    why = "the master's key store does not hold it: a forged event, or one of many keys under this name"
    return Event(
        id=hint.id,
        node=hint.node,
        name="key_refused",
        at=hint.at,
        source="bus",
        actor=hint.actor,
        data={"refused": f"minion key {sha[:16]}… not accepted: {why}", "key_sha256": sha},
    )


def _event(hint: Hint) -> Event:
    """Return the event that is journalled of a hint; its source says that it decides nothing."""
    return Event(
        id=hint.id,
        node=hint.node,
        name=hint.name or "minion_started",
        at=hint.at,
        source="bus",
        actor=hint.actor,
        data=hint.data,
    )


def _proof(hint: Hint) -> dict[str, Any]:
    """Return the row that is kept of a proof."""
    return {
        "node": hint.node,
        "key_sha256": hint.data["key_sha256"],
        "proof": hint.data["proof"],
        "seen_at": hint.at,
    }


def serve(
    store: Store,
    conductor: Conductor,
    opts: Opts,
    *,
    start: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Run the conductor and the bus reader until ``stop`` is set or the parent process is gone.

    ``start`` sets the conductor to work.

    A master that is killed leaves its engines behind; two conductors at work would be safe (effects
    are leased) but one of them would be an orphan with old settings.
    """
    parent = os.getppid()
    jobs = conductor.world.jobs.get("salt")
    stored = jobs.stored if isinstance(jobs, SaltJobs) else None
    inbox = Inbox(store, conductor, conductor.world.keys)
    reader = BusReader(
        opts,
        inbox,
        stored=stored,
        running=lambda jids: running_jobs(store, jids),
        admits=inbox.budget.admits,
    )
    reader.start()
    start()
    log.info("the conductor is at work")
    try:
        while os.getppid() == parent and not stop.wait(_LOOK_S):
            inbox.tell()
    finally:
        reader.stop()
