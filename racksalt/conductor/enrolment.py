"""Which pending minion keys does a racksalt boot vouch for?

The key comes from the master's key store, never from an event. Each answer, yes or no, becomes an event with a stable
id, so that the journal tells it once.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from racksalt.boot.tokens import check_proof, key_sha256
from racksalt.conductor.ports import Clock, Keys, MinionKey
from racksalt.conductor.refusals import Refusals
from racksalt.conductor.view import View
from racksalt.model.errors import ProofError
from racksalt.model.event import Event
from racksalt.model.node import Boot, Node
from racksalt.store import Store
from racksalt.store.boot_reads import nodes_with_boots

Known = tuple[Node, tuple[Boot, ...]]
AGAIN_S = 3.0
"""How often a proven key that still waits is accepted again."""
PATIENCE_S = 8.0
"""How long a pending key may wait for its proof to be seen before it is refused in the journal."""


MAKE_WAY_S = 5.0
"""How often, at most, a node's waiting keys are cleared away."""
AT_ONCE = 5000
"""How many names are looked up in one statement."""


class Claim(NamedTuple):
    """A sign-in as it was announced: it may be forged, but nobody can make a proof without the boot's token."""

    node: str
    public_key: str
    proof: str


class KeyCheck:
    """Checks pending keys against proofs that were seen and the node's boots."""

    def __init__(self, store: Store, clock: Clock, secret: bytes) -> None:
        self.store, self.clock, self._secret = store, clock, secret
        self._first_seen: dict[tuple[str, str], float] = {}
        self._good: dict[str, tuple[str, str]] = {}
        self._made_way: dict[str, float] = {}
        self._lock = threading.Lock()
        self.refusals = Refusals(clock, lambda names: {n.id for n in store.nodes_by_id(names)})

    def events(
        self, pending: Iterable[MinionKey], of: Collection[str] | None = None
    ) -> list[Event]:
        """Return key_proven or key_refused for each pending key; nothing for one whose proof may still come.

        ``of``: the names whose keys were looked at, if not all were.
        """
        keys = [(key, sha) for key in pending if (sha := _fingerprint(key)) is not None]
        names = list({key.node for key, _ in keys})
        proofs: dict[tuple[str, str], str] = {}
        nodes: dict[str, Known] = {}
        for start in range(0, len(names), AT_ONCE):
            proofs.update(self.store.proofs(names[start : start + AT_ONCE]))
            nodes.update(nodes_with_boots(self.store, names[start : start + AT_ONCE]))
        waiting = {(key.node, sha) for key, sha in keys}
        with self._lock:
            self._first_seen = {
                (name, sha): at
                for (name, sha), at in self._first_seen.items()
                if (name, sha) in waiting or (of is not None and name not in of)
            }
            found = [
                self._one(key, sha, self._proofs(key.node, sha, proofs), nodes.get(key.node))
                for key, sha in keys
            ]
        return [event for event in found if event is not None]

    def make_way(self, keys: Keys, claims: Sequence[Claim]) -> list[Event]:
        """Clear away what keeps a key that a boot vouches for out of the key store; return what is to be journalled.

        Salt keeps two waiting keys under a name: whoever sends two first would keep the node out for
        good. The next sign-in of the node, some seconds later, gets in.
        """
        now, events = self.clock(), []
        for claim in self._vouched(claims):
            sha, held = key_sha256(claim.public_key), keys.get(claim.node)
            others = [one for one in held if not one.accepted]
            if not others or sha in {_fingerprint(one) for one in held}:
                continue
            with self._lock:
                if now - self._made_way.get(claim.node, 0.0) < MAKE_WAY_S:
                    continue
                self._made_way[claim.node] = now
            keys.clear_waiting(claim.node)
            events.append(_squatted(claim.node, sha, others, now))
        return events

    def _vouched(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those claims whose proof a boot of the node vouches for now, and remember it.

        It counts before what is stored: anybody may send another proof for the same key, or many others.
        """
        nodes = nodes_with_boots(self.store, list({claim.node for claim in claims}))
        found = {}
        for claim in claims:
            known = nodes.get(claim.node)
            key = MinionKey(node=claim.node, public_key=claim.public_key, accepted=False)
            sha = _fingerprint(key)
            if known is None or sha is None or not claim.proof:
                continue
            try:
                self._boot(key, known, [claim.proof])
            except ProofError:
                continue
            self._good[claim.node] = (sha, claim.proof)
            found[claim.node, sha] = claim
        return list(found.values())

    def _proofs(self, node: str, sha: str, stored: dict[tuple[str, str], str]) -> list[str]:
        """Return the proofs that were seen for a key: one that was good once, then the newest."""
        good = self._good.get(node, ("", ""))
        found = [good[1] if good[0] == sha else None, stored.get((node, sha))]
        return list(dict.fromkeys(proof for proof in found if proof is not None))

    def _boot(self, key: MinionKey, known: Known | None, proofs: Sequence[str]) -> Boot:
        """Return the boot by which the first good one of the proofs was made; raises ProofError."""
        (node, boots), now = known or (None, ()), self.clock()
        view = View(node=node, boots=boots, hardware=None, now=now) if node else None
        candidates = view.candidates() if view else []
        refusal = ProofError("it came without a proof")
        for given in proofs:
            try:
                return check_proof(
                    self._secret,
                    key.node,
                    candidates,
                    given=given,
                    public_key=key.public_key,
                    now=now,
                )
            except ProofError as error:
                refusal = error
        raise refusal

    def _one(
        self, key: MinionKey, sha: str, proofs: Sequence[str], known: Known | None
    ) -> Event | None:
        now = self.clock()
        node = known[0] if known else None
        waits = now - self._first_seen.setdefault((key.node, sha), now)
        if not proofs:
            if waits < PATIENCE_S:
                return None
            return self._refused(
                key, sha, node, now, "no boot vouches for it: it came without a proof"
            )
        try:
            boot = self._boot(key, known, proofs)
        except ProofError as error:
            return self._refused(key, sha, node, now, str(error))
        assert node is not None, "a proof is checked against the boots of a known node"
        if node.state in ("declared", "discovering", "discovered"):
            # Its token is good, but nobody approved the machine yet; it is looked at again after that.
            return None
        # Salt's master may put a key back that was accepted while it looked at it: then it is accepted again.
        again = f":{int(now / AGAIN_S)}" if boot.key_sha256 == sha and waits >= AGAIN_S else ""
        return Event(
            id=f"key:{node.id}:{sha}:{node.boot}{again}",
            node=node.id,
            name="key_proven",
            at=now,
            source="keys",
            data={
                "boot": node.boot,
                "key_sha256": sha,
                "generation": boot.generation,
                "environment": boot.environment,
            },
        )

    def _refused(self, key: MinionKey, sha: str, node: Node | None, now: float, why: str) -> Event:
        boot = node.boot if node else 0
        return Event(
            id=f"key_refused:{key.node}:{sha}:{boot}:{_stable(why)}",
            node=key.node,
            name="key_refused",
            at=now,
            source="keys",
            data={"refused": f"minion key {sha[:16]}… not accepted: {why}", "key_sha256": sha},
        )


def _squatted(node: str, sha: str, others: Sequence[MinionKey], now: float) -> Event:
    names = ", ".join(f"{(_fingerprint(one) or 'empty')[:16]}…" for one in others)
    why = f"another key was squatting under this name and kept out {sha[:16]}…, which a boot vouches for"
    return Event(
        id=f"squatted:{node}:{sha}:{int(now // 60)}",
        node=node,
        name="key_refused",
        at=now,
        source="keys",
        data={"refused": f"minion key {names} cleared away: {why}", "key_sha256": sha},
    )


def _fingerprint(key: MinionKey) -> str | None:
    try:
        return key_sha256(key.public_key)
    except ProofError:
        # An empty file in the key store: there is nothing that could be vouched for.
        return None


def _stable(why: str) -> str:
    """Return the part of a reason that does not change with time."""
    return "".join(c for c in why if not c.isdigit())[:60]
