"""Gives back a DHCPv6 lease in its holder's name: a RELEASE (RFC 8415 section 18.2.7) inside a RELAY-FORW.

A machine that boots over IPv6 shows itself under one DUID in its firmware and another in each system that it boots
(RFC 8415 section 11 lets each choose). dnsmasq finds the reservation by the MAC, but keeps the address with the DUID
that had it first, until that lease ends: the machine would wait for an hour. So the older lease is given back.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from racksalt.network.dhcp import Lease

RELEASE, RELAY_FORW = 8, 12
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDR, ELAPSED, RELAYED = 1, 2, 3, 5, 8, 9
TRANSACTION = b"rsl"


def release(lease: Lease, server_duid: str) -> bytes:
    """Return the message that ends a lease, as if a relay agent on the lease's own network had passed it on."""
    address = IPv6Address(lease.address).packed
    inner = struct.pack("!III", lease.iaid or 0, 0, 0) + _option(IA_ADDR, address + bytes(8))
    message = bytes([RELEASE]) + TRANSACTION
    message += _option(CLIENT_ID, _bytes(lease.client)) + _option(SERVER_ID, _bytes(server_duid))
    message += _option(ELAPSED, bytes(2)) + _option(IA_NA, inner)
    # The link's address tells the server which network is meant; the peer's is only echoed.
    return (
        bytes([RELAY_FORW, 0]) + address + IPv6Address("fe80::1").packed + _option(RELAYED, message)
    )


def _option(code: int, content: bytes) -> bytes:
    return struct.pack("!HH", code, len(content)) + content


def _bytes(duid: str) -> bytes:
    return bytes(int(part, 16) for part in duid.split(":"))
