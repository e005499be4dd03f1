"""An address that a node keeps, with what DHCP and DNS must know of the node."""

from __future__ import annotations

from typing import NamedTuple


class Reservation(NamedTuple):
    """One row of the addresses that nodes keep.

    ``mac`` is None where no NIC of the node is known to hold the address: it has a name then, but no lease.
    ``environment`` is what the node boots next, ``family`` is 4 or 6.
    """

    node: str
    fqdn: str | None
    environment: str | None
    mac: str | None
    network: str
    address: str
    family: int
