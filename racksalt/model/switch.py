"""A switch and what is declared of its ports: the nouns that the site's files, the plan and the drivers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

SwitchDriver = Literal["linux", "napalm"]
"""``linux``: a bridge with VLAN filtering and lldpd; ``napalm``: vendor gear by the NAPALM library."""
SwitchWay = Literal["ssh", "local", "minion"]
"""How a Linux switch is reached: SSH with a pinned host key, commands on this host, or its own Salt minion."""
SwitchPlatform = Literal["eos", "junos", "nxos", "nxos_ssh", "ios", "mock"]
"""NAPALM's name of the operating system; ``mock`` is NAPALM's own test driver."""

DEFAULT_VLAN: Final = 1
"""The VLAN that a port without any setting is in (IEEE 802.1Q-2018 §9.6, table 9-2)."""
JOURNAL_PREFIX: Final = "switch:"
"""How a switch is called in the journal; the colon keeps it apart from every node id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort:
    """What is declared of one port. Names in ``networks`` and ``untagged`` are networks of the site.

    ``position_u`` is the rack unit in ``rack`` (by default the switch's) whose node is plugged in here. ``networks``
    are those that the port carries; None leaves it to the node's place: the provisioning network of its rack untagged,
    the networks that the node has addresses in tagged. ``untagged`` is the one without a tag. An ``edge`` port leads
    to a machine, never to another switch. ``lldp_med`` tells the machine by LLDP-MED (ANSI/TIA-1057 §10.2.3) to send
    without a tag; None: on edge ports that have an untagged VLAN.
    """

    name: str
    rack: str | None = None
    position_u: int | None = None
    networks: tuple[str, ...] | None = None
    untagged: str | None = None
    edge: bool = True
    lldp_med: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A switch of the site. ``secret`` names where its key or password is kept; it is never the secret.

    ``management`` are ports and VLANs by which racksalt itself reaches the switch: they are never changed.
    ``bridge``, ``namespace``, ``via``, ``minion`` and ``host_key`` are of Linux switches, ``platform`` of vendor gear.
    ``chassis`` is the chassis id that the switch tells by LLDP, where it is not its name.
    """

    name: str
    rack: str
    driver: SwitchDriver = "linux"
    address: str | None = None
    port: int | None = None
    username: str = "racksalt"
    secret: str | None = None
    chassis: str | None = None
    platform: SwitchPlatform | None = None
    via: SwitchWay = "ssh"
    minion: str | None = None
    host_key: str | None = None
    namespace: str | None = None
    bridge: str = "bridge"
    management_ports: tuple[str, ...] = ()
    management_vlans: tuple[int, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    ports: dict[str, SwitchPort] = field(default_factory=dict)
