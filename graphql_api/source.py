"""Where the topology and the journal come from, as seen by the snapshot.

The store implements this; a test may hand in rows of its own making.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from racksalt.model.event import Entry
    from racksalt.model.hardware import Facts, PlaceProposal
    from racksalt.model.node import Address, Bmc, Disk, Hardware, Nic, Node
    from racksalt.model.place import Network, Rack, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The topology, or the part of it that belongs to some nodes, as rows read in one transaction.

    ``seq`` is the journal's head at the moment of reading: the rows hold everything up to it.
    """

    seq: int = 0
    zones: Sequence[Zone] = ()
    racks: Sequence[Rack] = ()
    networks: Sequence[Network] = ()
    nodes: Sequence[Node] = ()
    hardware: Sequence[Hardware] = ()
    nics: Sequence[Nic] = ()
    disks: Sequence[Disk] = ()
    bmcs: Sequence[Bmc] = ()
    addresses: Sequence[Address] = field(default_factory=tuple)


class TopologySource(Protocol):
    """Reads topology and journal. Every method may block on the database: call it from a thread."""

    def load(self) -> Rows:
        """Return the whole topology and the journal's head of the same transaction."""
        ...

    def of(self, nodes: Iterable[str], known: Mapping[str, int]) -> Rows:
        """Return the rows of these nodes; zones, racks and networks may be left out.

        So are the parts of a node whose ``parts_version`` is still the one that ``known`` has for it.
        """
        ...

    def facts(
        self, nodes: Sequence[str]
    ) -> Mapping[str, tuple[Facts | None, PlaceProposal | None]]:
        """Return the lists of each node's inventory and where it seems to stand, in two statements."""
        ...

    def head(self) -> int:
        """Return the journal's last sequence number; 0 when the journal is empty."""
        ...

    def journal(self, after_seq: int, limit: int) -> Sequence[Entry]:
        """Return up to ``limit`` entries with a greater sequence number, oldest first."""
        ...

    def histories(
        self, nodes: Sequence[str], before_seq: int | None, limit: int
    ) -> Mapping[str, Sequence[Entry]]:
        """Return each node's newest entries before ``before_seq``, newest first, in one statement."""
        ...
