"""Which minions answer? One that is slow answers the question of a moment ago: that counts, too.

A minion on a loaded machine may take longer for each answer than anybody wants to wait at a time. Its return is in the
job cache all the same, under the id of the question.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from racksalt.model.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from racksalt.adapters.salt_client import SaltClient

LATE_S = 60.0
"""How long an answer is waited for; a minion that takes longer is as good as silent."""
PATIENCE_S, MOST_PATIENCE_S = 1.0, 10.0
"""How much later each question comes, for each one that is open: questions must not be what keeps a minion busy."""


class Question(NamedTuple):
    """A ``test.ping`` that was published: when, and under which job id."""

    at: float
    jid: str


class Pings:
    """Asks minions, and remembers for a minute what it asked. May be used from many threads."""

    def __init__(self, client: SaltClient, clock: Callable[[], float] = time.time) -> None:
        self._client, self._clock = client, clock
        self._open: dict[str, list[Question]] = {}
        self._lock = threading.Lock()

    def answering(self, since: Mapping[str, float], timeout_s: float) -> set[str]:
        """Return those of the nodes that answered a question asked at ``since[node]`` or later, late or now."""
        late = {node for node, at in since.items() if self._answered(node, at)}
        missing = {node for node in since.keys() - late if self._is_due(node, since[node])}
        found = late | self._ask(missing, timeout_s) if missing else late
        with self._lock:
            for node in found:
                self._open.pop(node, None)
        return found

    def _ask(self, nodes: set[str], timeout_s: float) -> set[str]:
        def begun(jid: str) -> None:
            self._note(nodes, jid)

        try:
            said = self._client.ask(nodes, "test.ping", [], timeout_s, begun)
        except NotFoundError:
            return set()
        return {node for node, answer in said.items() if answer is True}

    def _note(self, nodes: Iterable[str], jid: str) -> None:
        now = self._clock()
        with self._lock:
            recent = {
                node: [one for one in asked if now - one.at < LATE_S]
                for node, asked in self._open.items()
            }
            self._open = {node: asked for node, asked in recent.items() if asked}
            for node in nodes:
                self._open.setdefault(node, []).append(Question(now, jid))

    def _is_due(self, node: str, since: float) -> bool:
        now = self._clock()
        with self._lock:
            asked = [
                one.at for one in self._open.get(node, ()) if one.at >= max(since, now - LATE_S)
            ]
        return not asked or now - asked[-1] >= min(PATIENCE_S * len(asked), MOST_PATIENCE_S)

    def _answered(self, node: str, since: float) -> bool:
        with self._lock:
            asked = [one.jid for one in self._open.get(node, ()) if one.at >= since]
        return any(self._said_yes(jid, node) for jid in asked)

    def _said_yes(self, jid: str, node: str) -> bool:
        said = self._client.returns.of(jid, [node]).get(node, {})
        return said.get("return") is True and not said.get("retcode")
