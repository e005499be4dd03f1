"""Reads Kea's log: which client got no address, and in which subnet."""

from __future__ import annotations

import re

_FAILED = re.compile(
    r"ALLOC_ENGINE_V[46]_ALLOC_FAIL_SUBNET (.*?): failed to allocate an IPv[46] (?:address|lease) in the subnet "
    r"([0-9a-fA-F:./]+),"
)
_CLIENT = re.compile(r"hwtype=\d+ ([0-9a-f:]{17})|duid=\[([0-9a-f:]+)\]")
_DUID_OF_MAC = re.compile(r"(?:00:01:00:01(?::..){4}|00:03:00:01):((?:..:){5}..)")


def refused_in(line: str) -> tuple[str, str] | None:
    """Return client (MAC or DUID) and subnet (CIDR) of a line that says that no address was left; None else."""
    found = _FAILED.search(line)
    if found is None:
        return None
    client = _CLIENT.search(found[1])
    return (client[1] or client[2]) if client else found[1], found[2]


def mac_of(client: str) -> str | None:
    """Return the MAC in a client's identity: itself, or that of a DUID made of it (RFC 8415 sections 11.2, 11.4)."""
    found = _DUID_OF_MAC.fullmatch(client)
    if found:
        return found[1]
    return client if client.count(":") == 5 else None
