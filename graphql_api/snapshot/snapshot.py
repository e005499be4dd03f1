"""The snapshot: everything by name, nodes also by MAC, serial and address; changed in place, in the event loop.

There is one writer (the tailer, in the event loop) and a query is one synchronous step of the same loop, so
every answer is of one revision without a lock and without a copy.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from graphql_api.snapshot import build
from graphql_api.snapshot import objects as o
from racksalt.model.node import serial_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphql_api.source import Rows

Place = TypeVar("Place")
_by_id = attrgetter("id")


class UnknownPlaceError(Exception):
    """A changed row names a zone, rack or network that the snapshot has not got: load it anew."""


class Snapshot:
    """The topology of one moment. ``seq`` is the journal entry that it has caught up with.

    ``generation`` counts the changes that came without a journal entry, so that (seq, generation) names the
    content.
    """

    def __init__(self, rows: Rows, commands: build.Commands) -> None:
        """Build every object and index from ``rows``.

        A place that is named and not there is in ``absent``: whoever names it is shown without it, for one row must
        not hide all others.
        """
        self.seq = rows.seq
        self.generation = 0
        self.commands = commands
        self.absent = _absent(rows)
        self.zones: dict[str, o.Zone] = {}
        self.racks: dict[str, o.Rack] = {}
        self.networks: dict[str, o.Network] = {}
        self.nodes: dict[str, o.Node] = {}
        self.ordered: list[o.Node] = []
        self.by_mac: dict[str, o.Node] = {}
        self.by_address: dict[str, o.Node] = {}
        self.by_serial: dict[str, list[o.Node]] = defaultdict(list)
        self._place(rows)
        self.apply(rows)

    @property
    def revision(self) -> str:
        """A text that differs whenever the content may differ."""
        return f"{self.seq}.{self.generation}" if self.generation else str(self.seq)

    def _place(self, rows: Rows) -> None:
        for zone in sorted(rows.zones, key=attrgetter("name")):
            self.zones[zone.name] = o.Zone(zone.name, zone.name)
        for row in sorted(rows.racks, key=attrgetter("name")):
            home = self._zone(row.zone)
            if home is None:
                continue
            rack = o.Rack(row.name, row.name, row.height_u, home)
            self.racks[row.name] = rack
            home.racks.append(rack)
        for net in sorted(rows.networks, key=attrgetter("name")):
            zone_of, rack_of = self._zone(net.zone), self._rack(net.rack)
            made = build.network(net, zone_of, rack_of)
            self.networks[net.name] = made
            if zone_of is not None:
                zone_of.networks.append(made)

    def _zone(self, name: str | None) -> o.Zone | None:
        return self._named("zone", self.zones, name)

    def _rack(self, name: str | None) -> o.Rack | None:
        return self._named("rack", self.racks, name)

    def _network(self, name: str | None) -> o.Network | None:
        return self._named("network", self.networks, name)

    def _named(self, kind: str, places: Mapping[str, Place], name: str | None) -> Place | None:
        """Return a place by its name, None for none and for one that was not there at the last load either."""
        found = places.get(name) if name else None
        if name and found is None and (kind, name) not in self.absent:
            raise UnknownPlaceError(f"{kind} {name!r}")
        return found

    def apply(self, rows: Rows) -> None:
        """Replace the nodes in ``rows`` in place: the object stays, so that whoever links to it sees the change.

        A node whose ``parts_version`` has not moved keeps its parts. Raises UnknownPlaceError before anything is
        changed when a row names an unknown place.
        """
        self._check_places(rows)
        grouped = {
            kind: _group(getattr(rows, kind))
            for kind in ("nics", "disks", "addresses", "hardware", "bmcs")
        }
        for row in rows.nodes:
            node = self.nodes.get(row.id)
            whole = node is None or node.parts_version != row.parts_version
            if node is None:
                node = self.nodes[row.id] = o.Node(row.id)
                insort(self.ordered, node, key=_by_id)
            elif whole:
                self._drop_parts(node)
            build.fill(node, row, self.commands)
            if whole:
                self._take_parts(node, {kind: of.get(row.id, ()) for kind, of in grouped.items()})
                node.parts_version = row.parts_version
            self._move(node, row.zone, row.rack)

    def known(self, nodes: Iterable[str]) -> dict[str, int]:
        """Return the version of the parts that are here, by node, for those nodes that are."""
        found = ((name, self.nodes.get(name)) for name in nodes)
        return {name: node.parts_version for name, node in found if node is not None}

    def remove(self, node_id: str) -> None:
        """Forget a node that the store no longer has; an unknown id is no error."""
        node = self.nodes.pop(node_id, None)
        if node is not None:
            self._drop_parts(node)
            self._move(node, None, None)
            del self.ordered[bisect_left(self.ordered, node_id, key=_by_id)]

    def _check_places(self, rows: Rows) -> None:
        for row in rows.nodes:
            self._rack(row.rack)
            self._zone(row.zone)
        for address in rows.addresses:
            self._network(address.network)

    def _move(self, node: o.Node, zone: str | None, rack: str | None) -> None:
        """List the node where it stands now, and no longer where it stood."""
        old = (node.rack, node.zone)
        node.rack = self._rack(rack)
        node.zone = self._zone(zone) or (node.rack.zone if node.rack else None)
        for before, now in zip(old, (node.rack, node.zone), strict=True):
            if before is now:
                continue
            if before is not None:
                del before.nodes[bisect_left(before.nodes, node.id, key=_by_id)]
            if now is not None:
                insort(now.nodes, node, key=_by_id)

    def _take_parts(self, node: o.Node, parts: Mapping[str, Sequence[Any]]) -> None:
        node.hardware = build.hardware(parts["hardware"][0]) if parts["hardware"] else None
        bmc = parts["bmcs"][0] if parts["bmcs"] else None
        node.bmc = o.Bmc(bmc.protocol, bmc.address, bmc.port) if bmc else None
        build.parts(node, parts["nics"], parts["disks"], parts["addresses"], self._network)
        for nic in node.nics:
            self.by_mac[nic.mac] = node
        for address in node.addresses:
            self.by_address[address.address] = node
        if serial := serial_key(node.hardware.serial if node.hardware else None):
            self.by_serial[serial].append(node)

    def _drop_parts(self, node: o.Node) -> None:
        for nic in node.nics:
            if self.by_mac.get(nic.mac) is node:
                del self.by_mac[nic.mac]
        for address in node.addresses:
            if self.by_address.get(address.address) is node:
                del self.by_address[address.address]
            if address.network is not None:
                address.network.count(address.address, -1)
        for nic in node.nics:
            # NIC and address point at each other; frozen objects in a cycle would never be freed.
            nic.addresses = []
        serial = serial_key(node.hardware.serial if node.hardware else None)
        if serial and node in self.by_serial[serial]:
            self.by_serial[serial].remove(node)
            if not self.by_serial[serial]:
                del self.by_serial[serial]
        node.nics, node.disks, node.addresses = [], [], []
        node.hardware = node.bmc = None
        node.parts_version = -1


def _absent(rows: Rows) -> frozenset[tuple[str, str]]:
    """Return the places that some row names and no row is, as (kind, name)."""
    zones = {row.name for row in rows.zones}
    there = {
        "zone": zones,
        "rack": {row.name for row in rows.racks if row.zone in zones},
        "network": {row.name for row in rows.networks},
    }
    named = {
        "zone": _values("zone", rows.racks, rows.networks, rows.nodes),
        "rack": _values("rack", rows.networks, rows.nodes),
        "network": _values("network", rows.addresses),
    }
    return frozenset((kind, name) for kind in there for name in named[kind] - there[kind] if name)


def _values(name: str, *many: Iterable[Any]) -> set[str | None]:
    return {getattr(row, name) for rows in many for row in rows}


def _group(rows: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.node, []).append(row)
    return grouped
