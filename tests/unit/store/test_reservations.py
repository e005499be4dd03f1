"""What the DHCP service reads of the store."""

from __future__ import annotations

from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Range
from racksalt.model.reservation import Reservation
from racksalt.store.reservations import boot_services
from tests.support.databases import *  # noqa: F403  fixtures


def test_reservations_come_with_mac_name_and_environment(store):
    """Leases and BMC addresses are none; one without a NIC has no MAC."""
    pool = Range(name="d", first="10.0.0.9", last="10.0.0.9", use="discovery")
    with store.write() as tx:
        tx.put_places([Network(name="b"), Network(name="a", ranges=(pool,))])
        node = Node(id="n1", state="declared", version=0, state_since=0.0, fqdn="n1.example.net")
        tx.add_nodes([node])
        tx.put([Nic(id="n1/m", node="n1", name="nic0", mac="52:54:00:00:00:01")])
        tx.put(
            [
                Address(id=str(i), node="n1", nic=nic, network=net, address=f"10.0.0.{i}", **more)
                for i, (nic, net, more) in enumerate(
                    (
                        ("n1/m", "a", {"family": 4}),
                        (None, "a", {"family": 4}),
                        ("n1/m", "a", {"family": 4, "kind": "lease"}),
                        ("n1/m", "a", {"family": 4, "kind": "bmc"}),
                        ("n1/m", None, {"family": 4}),
                    )
                )
            ]
        )
    networks, found = boot_services(store)
    assert [(it.name, it.ranges) for it in networks] == [("a", (pool,)), ("b", ())]
    assert found == [
        Reservation("n1", "n1.example.net", None, "52:54:00:00:00:01", "a", "10.0.0.0", 4),
        Reservation("n1", "n1.example.net", None, None, "a", "10.0.0.1", 4),
    ]
