"""Where things stand: site > zone (fault zone) > rack > position; and the networks."""

from __future__ import annotations

from dataclasses import dataclass


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
class Network:
    """A layer 2 network with at most one subnet of each family (CIDR notation)."""

    name: str
    purpose: str = "admin"
    zone: str | None = None
    vlan: int | None = None
    cidr_v4: str | None = None
    cidr_v6: str | None = None
    gateway_v4: str | None = None
    gateway_v6: str | None = None
