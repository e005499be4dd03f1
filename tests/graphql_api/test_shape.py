from __future__ import annotations

from dataclasses import fields, replace

import pytest

from graphql_api import services as following
from graphql_api.services import _shape
from graphql_api.snapshot.snapshot import Snapshot
from graphql_api.source import Rows
from racksalt.model.node import Node
from racksalt.model.place import Network, Rack, Range, Zone
from tests.graphql_api.rig import Rig

RANGE = Range(name="low", first="10.0.0.1", last="10.0.0.9", use="reservations")
ROWS = {
    "zones": Zone(name="z1"),
    "racks": Rack(name="r1", zone="z1"),
    "networks": Network(name="admin", zone="z1", rack="r1", vlan=7, ranges=(RANGE,)),
    "nodes": Node(id="n1", state="ready", version=1, state_since=1.0, rack="r1", zone="z1"),
}
OTHER = {"zone": "z2", "rack": "r2", "tagging": "untagged", "use": "excluded", "ranges": ()}
"""Another value of a field, where not any will do."""
BY_VERSION = {"id", "version", "parts_version", "power", "power_observed_at", "last_seen_at"}
"""What tells two loads of a node apart. All else that is shown of it moves one of the versions."""


def shape(**changed):
    """Return what tells a load of the rows apart, with some of them replaced."""
    rows = {kind: [row] for kind, row in {**ROWS, **changed}.items()}
    rows["zones"].append(Zone(name="z2"))
    rows["racks"].append(Rack(name="r2", zone="z2"))
    return _shape(Snapshot(Rows(**rows), {}))


def other(row, name):
    """Return the row with another value in one field."""
    value = OTHER.get(name)
    if value is None:
        now = getattr(row, name)
        value = now + 1 if isinstance(now, (int, float)) else "off" if name == "power" else "other"
    return replace(row, **{name: value})


PLACES = [
    (kind, field.name) for kind in ("zones", "racks", "networks") for field in fields(ROWS[kind])
]


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_every_field_of_a_place_tells_two_loads_apart(kind, name):
    """No journal entry tells of a place: a field that is forgotten here would be shown as it was for ever."""
    assert shape(**{kind: other(ROWS[kind], name)}) != shape()


@pytest.mark.parametrize("name", [field.name for field in fields(RANGE)])
def test_every_field_of_a_range_tells_two_loads_apart(name):
    """The same for the ranges of a network."""
    changed = replace(ROWS["networks"], ranges=(other(RANGE, name),))
    assert shape(networks=changed) != shape()


@pytest.mark.parametrize("name", sorted(BY_VERSION))
def test_what_moves_with_a_node_tells_two_loads_apart(name):
    """Its versions stand for its fields and its parts; power and sightings may come without either."""
    row = ROWS["nodes"]
    changed = replace(row, **{name: 5.0}) if name.endswith("_at") else other(row, name)
    assert shape(nodes=changed) != shape()


def test_a_network_that_goes_to_another_zone_is_shown_there(tmp_path, monkeypatch):
    """The zone and the network both, without anything in the journal."""
    monkeypatch.setattr(following, "RELOAD_S", 0.1)
    monkeypatch.setattr(following, "RELOAD_SHARE", 1.0)
    rig = Rig(tmp_path)
    try:
        with rig.client:
            before = rig.services.snapshot.revision
            (row,) = rig.store.topology()["networks"]
            with rig.store.write() as tx:
                tx.put_places([replace(row, zone="z2")])
            rig.until(lambda: rig.services.snapshot.revision != before)
            found = rig.ask("{networks{zone{name}} zones{networks{name}}}")
            assert found["networks"] == [{"zone": {"name": "z2"}}]
            assert found["zones"] == [{"networks": []}, {"networks": [{"name": "admin"}]}]
    finally:
        rig.site.close()
