"""Which minions answer? One that is slow answers the question of a moment ago: that counts, too.

Each question is a process on the minion's machine: asked too often, a slow one answers none of them any more.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from racksalt.adapters.salt_questions import Question, Questions
from racksalt.model.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from racksalt.adapters.salt_client import SaltClient

AT_WILL = 6
"""How many questions may be open before they come less often: a minion misses some while it connects again."""
PATIENCE_S, MOST_PATIENCE_S = 1.0, 30.0
"""How long a question is left alone then; twice as long for each one more, up to a bound."""


class Pings:
    """Asks minions, and remembers what it asked. May be used from many threads."""

    def __init__(self, client: SaltClient, clock: Callable[[], float] = time.time) -> None:
        self._client, self._clock = client, clock
        self._open = Questions[str](clock)
        self._connected: set[str] = set()
        self._lock = threading.Lock()

    def answering(self, since: Mapping[str, float], timeout_s: float) -> set[str]:
        """Return those of the nodes that answered a question asked at ``since[node]`` or later, late or now."""
        asked = {node: self._open.about(node, at) for node, at in since.items()}
        late = {node for node, questions in asked.items() if self._answered(node, questions)}
        due = {node for node in since.keys() - late if self._is_due(node, asked[node])}
        found = late | self._ask(due, timeout_s) if due else late
        self._open.answered(found)
        with self._lock:
            self._connected -= found
        return found

    def connected(self, nodes: Iterable[str]) -> None:
        """Ask these minions once more when next they matter: they connected anew, and may have missed a question."""
        with self._lock:
            self._connected.update(node for node in nodes if node in self._open)

    def _ask(self, nodes: set[str], timeout_s: float) -> set[str]:
        def begun(jid: str) -> None:
            self._note(nodes, jid)

        try:
            said = self._client.ask(nodes, "test.ping", [], timeout_s, begun)
        except NotFoundError:
            return set()
        return {node for node, answer in said.items() if answer is True}

    def _note(self, nodes: Iterable[str], jid: str) -> None:
        with self._lock:
            self._connected.difference_update(nodes)
        self._open.note(nodes, jid)

    def _is_due(self, node: str, asked: list[Question]) -> bool:
        if len(asked) < AT_WILL or node in self._connected:
            return True
        pause_s = min(PATIENCE_S * 2.0 ** (len(asked) - AT_WILL + 1), MOST_PATIENCE_S)
        return self._clock() - asked[-1].at >= pause_s

    def _answered(self, node: str, asked: list[Question]) -> bool:
        returned = [self._client.returns.of(one.jid, [node]).get(node, {}) for one in asked]
        return any(ret.get("return") is True and not ret.get("retcode") for ret in returned)
