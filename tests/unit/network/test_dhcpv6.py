"""The message that gives a DHCPv6 lease back."""

from __future__ import annotations

from racksalt.network.dhcp import Lease
from racksalt.network.dhcpv6 import release


def test_the_release_is_as_rfc_8415_has_it():
    """RELAY-FORW (12) from the lease's own link around a RELEASE (8) with client, server, IA and address."""
    message = release(Lease("fd77::10", "00:03:ab", None, None, 2), "00:01:cd")
    address = bytes.fromhex("fd770000000000000000000000000010")
    assert message[:2] == bytes([12, 0])
    assert message[2:18] == address
    assert message[34:36] == bytes([0, 9])
    inner = message[38:]
    assert len(inner) == int.from_bytes(message[36:38], "big")
    assert inner[0] == 8
    assert inner[4:] == (
        bytes.fromhex("00010003" + "0003ab" + "00020003" + "0001cd" + "000800020000")
        + bytes.fromhex("00030028" + "00000002" + "0000000000000000" + "00050018")
        + address
        + bytes(8)
    )
