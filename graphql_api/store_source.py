"""The topology and the journal from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql_api.source import Rows
from racksalt.model.event import Entry
from racksalt.model.hardware import Facts, PlaceProposal
from racksalt.store.boot_reads import parts_of
from racksalt.store.histories import histories
from racksalt.store.store import Store


class StoreSource:
    """Implements source.TopologySource."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[int | None, int] = (None, 0)

    def load(self) -> Rows:
        """Return the whole topology and the journal's head of the same transaction."""
        return _rows(self._store.topology())

    def of(self, nodes: Iterable[str], known: Mapping[str, int]) -> Rows:
        """Return the rows of these nodes, without the parts that did not change since ``known``."""
        return _rows(self._store.topology_of(list(nodes), known))

    def facts(
        self, nodes: Sequence[str]
    ) -> Mapping[str, tuple[Facts | None, PlaceProposal | None]]:
        """Return the lists of each node's inventory and where it seems to stand."""
        facts = {row.node: row for row in parts_of(self._store, Facts, nodes)}
        places = {row.node: row for row in parts_of(self._store, PlaceProposal, nodes)}
        return {node: (facts.get(node), places.get(node)) for node in nodes}

    def head(self) -> int:
        """Return the journal's last sequence number. Several threads may ask: pulse and head are kept as one."""
        pulse = self._store.pulse()
        known, head = self._seen
        if pulse != known:
            head = self._store.head()
            self._seen = (pulse, head)
        return head

    def journal(self, after_seq: int, limit: int) -> Sequence[Entry]:
        """Return entries after ``after_seq``, oldest first."""
        return self._store.journal(after_seq, limit)

    def histories(
        self, nodes: Sequence[str], before_seq: int | None, limit: int
    ) -> Mapping[str, Sequence[Entry]]:
        """Return each node's newest entries, newest first."""
        return histories(self._store, nodes, before_seq, limit)


def _rows(found: dict[str, Any]) -> Rows:
    return Rows(seq=found.pop("head"), **found)
