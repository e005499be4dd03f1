"""Where things stand: site > zone (fault zone) > rack > position; and the networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RangeUse = Literal["discovery", "reservations", "excluded"]
"""What a range is for.

``discovery`` short leases for machines that nobody knows yet; ``reservations`` addresses that nodes keep; ``excluded``
never given out by racksalt.
"""

LEAST_LENGTH_V6 = 64
"""The widest IPv6 subnet that machines boot on (RFC 4291 section 2.5.1); dnsmasq serves no wider one."""

Purpose = Literal["provisioning", "bmc", "storage", "public", "admin"]
Tagging = Literal["auto", "tagged", "untagged"]
"""Whether nodes see a VLAN's tag. ``auto``: they do, save on a provisioning network, for firmware cannot tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A fault zone: things in one zone may fail together."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A rack of ``height_u`` rack units in one zone."""

    name: str
    zone: str
    height_u: int = 42


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Addresses from ``first`` to ``last``, both included; their form says of which family they are."""

    name: str
    first: str
    last: str
    use: RangeUse


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A layer 2 network with at most one subnet of each family (CIDR notation).

    ``rack`` or ``zone`` narrows where it reaches; without both it reaches all nodes. ``domain`` is the DNS domain of
    the nodes' names on it. ``conduit`` names the NICs that carry it on a node, ``tagging`` whether its frames have the
    VLAN's tag there, ``bridge`` the bridge that is put on top. ``mtu`` is in bytes.
    """

    name: str
    purpose: Purpose = "admin"
    zone: str | None = None
    rack: str | None = None
    vlan: int | None = None
    tagging: Tagging = "auto"
    mtu: int = 1500
    domain: str | None = None
    cidr_v4: str | None = None
    cidr_v6: str | None = None
    gateway_v4: str | None = None
    gateway_v6: str | None = None
    conduit: str | None = None
    bridge: str | None = None
    ranges: tuple[Range, ...] = ()

    def reaches(self, zone: str | None, rack: str | None) -> bool:
        """Return whether nodes in this rack of this zone are on the network."""
        return self.zone in (None, zone) and self.rack in (None, rack)

    def is_tagged(self) -> bool:
        """Return whether nodes send and get its frames with the VLAN's tag."""
        if self.vlan is None or self.tagging == "untagged":
            return False
        return self.tagging == "tagged" or self.purpose != "provisioning"
