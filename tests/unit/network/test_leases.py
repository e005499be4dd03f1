"""What dnsmasq tells: its lease file and its log."""

from __future__ import annotations

import pytest

from racksalt.model.place import Range
from racksalt.network.leases import KEPT, LogReader, read_leases, server_duid, stale

FILE = """1795409721 52:54:00:00:00:02 10.77.0.10 n1 *
0 52:54:00:00:00:03 10.77.0.130 * 01:52:54:00:00:00:03
duid 00:01:00:01:32:96:75:92
1795409722 2 fd77::10 n1 00:04:01:02
1795409722 T7 fd77::1001 * 00:03:00:01
1795409
half a line of
""".splitlines(keepends=True)
POOL = Range(name="d", first="10.77.0.128", last="10.77.0.175", use="discovery")


def test_leases_of_both_families_are_read():
    """A lease without end has none; what a crash cut off is left out."""
    found = {lease.address: lease for lease in read_leases(FILE)}
    assert set(found) == {"10.77.0.10", "10.77.0.130", "fd77::10", "fd77::1001"}
    assert found["10.77.0.10"].client == "52:54:00:00:00:02"
    assert found["10.77.0.130"].ends_at is None
    assert (found["fd77::10"].client, found["fd77::10"].iaid) == ("00:04:01:02", 2)
    assert found["fd77::1001"].iaid == 7
    assert server_duid(FILE) == "00:01:00:01:32:96:75:92"
    assert server_duid([]) is None


def test_a_lease_is_stale_when_its_address_is_not_its_holders_any_more():
    """Another MAC's reservation, or none and outside of every range."""
    right = {"10.77.0.10": "52:54:00:00:00:02", "fd77::10": "52:54:00:00:00:02"}
    assert stale(FILE[:4], right, [POOL]) == set()
    assert stale(FILE[:4], {**right, "10.77.0.10": "52:54:00:00:00:99"}, [POOL]) == {FILE[0]}
    assert stale(FILE[:4], {}, [POOL]) == {FILE[0], FILE[3]}


def _read(*lines):
    reader = LogReader()
    return [found for line in lines if (found := reader.read(f"dnsmasq-dhcp[7]: {line}"))]


def test_a_pool_without_a_free_address_is_known_by_the_requests_own_lines():
    """Lines of other requests may come between."""
    (found,) = _read(
        "5 available DHCP range: 10.77.0.128 -- 10.77.0.131",
        "5 available DHCP subnet: 10.77.0.0/255.255.255.0",
        "6 available DHCP subnet: 10.88.0.0/255.255.255.0",
        "5 vendor class: udhcp 1.35.0",
        "5 DHCPDISCOVER(s0) 52:54:00:00:01:05 no address available",
    )
    assert (found.kind, found.client, found.via) == ("exhausted", "52:54:00:00:01:05", "s0")
    assert found.subnets == ("10.77.0.0",)


def test_the_mac_behind_a_duid_is_known():
    """By it the node is found whose older lease is in the way."""
    (found,) = _read(
        "7 available DHCPv6 subnet: fd77::/64",
        "7 client MAC address: 52:54:00:00:00:02",
        "7 DHCPSOLICIT(s0) 00:04:01:02",
        "7 DHCPADVERTISE(s0) 00:04:01:02 no addresses available",
    )
    assert (found.client, found.mac, found.subnets) == (
        "00:04:01:02",
        "52:54:00:00:00:02",
        ("fd77::",),
    )


def test_a_request_from_nowhere_is_told():
    """A relay agent in a network that nobody declared."""
    (found,) = _read("no address range available for DHCP request via 10.99.0.1")
    assert (found.kind, found.via) == ("unserved", "10.99.0.1")


@pytest.mark.parametrize(
    "line",
    [
        "5 DHCPNAK(s0) 10.77.0.146 52:54:00:ff:00:01 no leases left",
        "DHCPNAK(s0) 10.77.0.146 52:54:00:ff:00:01 no leases left",
        "5 NOANSWER(s0) 10.77.0.146 52:54:00:ff:00:01 no leases left",
        "5 BOOTP(s0) 52:54:00:ff:00:01 no leases left",
    ],
)
def test_a_server_that_keeps_as_many_leases_as_it_can_is_told(line):
    """It offers an address, and refuses it when it is asked for."""
    (found,) = _read("5 DHCPOFFER(s0) 10.77.0.146 52:54:00:ff:00:01", line)
    assert (found.kind, found.client, found.via) == ("full", "52:54:00:ff:00:01", "s0")


def test_nothing_else_is_a_refusal():
    """Leases, options, strange lines; and what a client writes cannot pass for a line of dnsmasq's own."""
    assert not _read(
        "5 DHCPACK(s0) 10.77.0.10 52:54:00:00:00:02 n1",
        "5 client provides name: DHCPDISCOVER(s0) 52:54:00:00:01:05 no address available",
        "5 vendor class: no address range available for DHCP request via x",
        "5 vendor class: DHCPNAK(s0) 10.77.0.146 52:54:00:ff:00:01 no leases left",
        "5 DHCPNAK(s0) 10.77.0.146 52:54:00:ff:00:01 wrong address",
    )
    assert LogReader().read("DHCPDISCOVER(s0) 52:54:00:00:01:05 no address available") is None


def test_requests_that_never_end_are_forgotten():
    """Memory does not grow with the number of clients."""
    reader = LogReader()
    for number in range(KEPT * 3):
        reader.read(f"dnsmasq-dhcp[7]: {number} client MAC address: 52:54:00:00:00:02")
    assert len(reader._requests) == KEPT
