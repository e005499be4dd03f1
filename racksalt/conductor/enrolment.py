"""Which pending minion keys does a racksalt boot vouch for?

The key comes from the master's key store, never from an event. Each answer, yes or no, becomes an event with a stable
id, so that the journal tells it once.
"""

from __future__ import annotations

from collections.abc import Iterable

from racksalt.boot.tokens import check_proof, key_sha256
from racksalt.conductor.ports import Clock, MinionKey
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


class KeyCheck:
    """Checks pending keys against stored proofs and the node's boots."""

    def __init__(self, store: Store, clock: Clock, secret: bytes) -> None:
        self.store, self.clock, self._secret = store, clock, secret
        self._first_seen: dict[tuple[str, str], float] = {}

    def events(self, pending: Iterable[MinionKey]) -> list[Event]:
        """Return key_proven or key_refused for each pending key; nothing for one whose proof may still come."""
        keys = [(key, sha) for key in pending if (sha := _fingerprint(key)) is not None]
        names = list({key.node for key, _ in keys})
        proofs, nodes = self.store.proofs(names), nodes_with_boots(self.store, names)
        waiting = {(key.node, sha) for key, sha in keys}
        self._first_seen = {k: at for k, at in self._first_seen.items() if k in waiting}
        found = [
            self._one(key, sha, proofs.get((key.node, sha)), nodes.get(key.node))
            for key, sha in keys
        ]
        return [event for event in found if event is not None]

    def _one(
        self, key: MinionKey, sha: str, proof: str | None, known: Known | None
    ) -> Event | None:
        now = self.clock()
        node, boots = known or (None, ())
        waits = now - self._first_seen.setdefault((key.node, sha), now)
        if proof is None:
            if waits < PATIENCE_S:
                return None
            return self._refused(
                key, sha, node, now, "no boot vouches for it: it came without a proof"
            )
        try:
            boot = check_proof(
                self._secret,
                key.node,
                View(node=node, boots=boots, hardware=None, now=now).candidates() if node else (),
                given=proof,
                public_key=key.public_key,
                now=now,
            )
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


def _fingerprint(key: MinionKey) -> str | None:
    try:
        return key_sha256(key.public_key)
    except ProofError:
        # An empty file in the key store: there is nothing that could be vouched for.
        return None


def _stable(why: str) -> str:
    """Return the part of a reason that does not change with time."""
    return "".join(c for c in why if not c.isdigit())[:60]
