"""What Kea tells of clients that got no address."""

from __future__ import annotations

import pytest

from racksalt.network.kea_log import mac_of, refused_in

FAIL = "2026-01-01 INFO  [kea-dhcp{0}.alloc-engine/1.2] ALLOC_ENGINE_V{0}_ALLOC_FAIL_SUBNET {1}: failed to allocate "
V4 = FAIL.format(4, "[hwtype=1 52:54:00:aa:00:02], cid=[01:52], tid=0x1") + (
    "an IPv4 address in the subnet 10.77.0.0/24, subnet-id 7, shared network (none)"
)
V6 = FAIL.format(6, "duid=[00:03:00:01:52:54:00:00:00:0a], tid=0x9") + (
    "an IPv6 lease in the subnet fd77::/64, subnet-id 7, shared network (none)"
)


def test_client_and_subnet_are_read():
    """Of either family; any other line says nothing."""
    assert refused_in(V4) == ("52:54:00:aa:00:02", "10.77.0.0/24")
    assert refused_in(V6) == ("00:03:00:01:52:54:00:00:00:0a", "fd77::/64")
    assert refused_in("2026-01-01 INFO DHCP4_STARTED Kea DHCPv4 server") is None


@pytest.mark.parametrize(
    ("client", "mac"),
    [
        ("52:54:00:00:00:0a", "52:54:00:00:00:0a"),
        ("00:03:00:01:52:54:00:00:00:0a", "52:54:00:00:00:0a"),
        ("00:01:00:01:32:96:7f:ae:52:54:00:00:00:0a", "52:54:00:00:00:0a"),
        ("00:04:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10", None),
    ],
)
def test_the_mac_in_a_duid_is_found(client, mac):
    """In those kinds that are made of one."""
    assert mac_of(client) == mac
