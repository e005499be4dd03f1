"""What inventory and burn-in found out beyond what the machine decides by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The lists of a node's inventory, as it last reported them at ``at`` (seconds since the epoch).

    ``memory`` is ``[{slot, size_mib, speed_mts, manufacturer, part, serial}]``, ``pci`` is ``[{address, class, vendor,
    device}]``, ``firmware`` maps components (``bios``, ``bmc``, ``nic:eth0``, ``disk:sda``) to versions; ``unknown``
    names what could not be read.
    """

    node: str
    at: float
    memory: list[dict[str, Any]] = field(default_factory=list)
    pci: list[dict[str, Any]] = field(default_factory=list)
    firmware: dict[str, str] = field(default_factory=dict)
    bmc: dict[str, str] = field(default_factory=dict)
    chassis: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceProposal:
    """Where a node seems to stand, by the switch port that it is plugged into. A proposal trusts nobody's word.

    ``obstacle`` says why it cannot be so, and is empty otherwise.
    """

    node: str
    at: float
    switch: str
    port: str
    nic: str
    rack: str
    position_u: int | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnResult:
    """One figure of one burn-in run. ``part`` is what was loaded (``cpu``, ``memory``, ``disk:sda``, ``network``).

    ``measure`` names the figure with its unit (``read_mib_s``); a part that gave none has the measure ``""``.
    ``model`` is what makes figures comparable: the disk's model, else the machine's product.
    """

    id: str
    node: str
    at: float
    part: str
    measure: str
    ok: bool
    value: float | None = None
    model: str | None = None
    message: str = ""
