"""What a switch's ports should be, from what the site declares; and what they are, as a driver observed them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from racksalt.model.place import Network, Rack
from racksalt.model.switch import DEFAULT_VLAN, Switch, SwitchPort

Setting = Literal["member", "vlans", "edge", "med", "description"]
SETTINGS: Final[tuple[Setting, ...]] = ("member", "description", "vlans", "edge", "med")
"""What a port has, in the order in which it is brought about."""
PROVISIONING: Final = "provisioning"
LONGEST: Final = 64
"""How long a description may be: what every kind of switch keeps whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortState:
    """One port, wanted or observed. Plain data: VLAN ids (IEEE 802.1Q) and texts.

    ``member``: the port belongs to the switch's bridge. ``untagged`` is the VLAN of frames without a tag, both ways;
    ``tagged`` are in ascending order. ``stray`` are VLANs that pass differently in and out, such as ``1 out`` (leaves
    without a tag, does not come in without one) or ``7 in``: nobody wants them, and switches can have them. ``med`` is
    how LLDP-MED tells the machine to send (ANSI/TIA-1057 §10.2.3): ``untagged``, ``tagged N`` or "" (it says nothing).
    """

    name: str
    member: bool = True
    untagged: int | None = DEFAULT_VLAN
    tagged: tuple[int, ...] = ()
    stray: tuple[str, ...] = ()
    edge: bool = False
    med: str = ""
    description: str = ""

    def value(self, setting: Setting) -> Any:
        """Return one setting as plain data that JSON can carry; ``vlans`` is both kinds together."""
        if setting == "vlans":
            stray = {"stray": list(self.stray)} if self.stray else {}
            return {"untagged": self.untagged, "tagged": list(self.tagged), **stray}
        return getattr(self, setting)

    def having(self, setting: str, value: Any) -> PortState:
        """Return this port with one setting changed; ``value`` is as ``value()`` gives it."""
        if setting == "vlans":
            tagged, stray = tuple(value["tagged"]), tuple(value.get("stray", ()))
            return replace(self, untagged=value["untagged"], tagged=tagged, stray=stray)
        if setting == "member" and value:
            return replace(self, member=True, untagged=DEFAULT_VLAN, tagged=(), stray=())
        return replace(self, **{setting: value})

    def carries(self, vlan: int) -> str:
        """Return how a VLAN passes: ``untagged``, ``tagged`` or ``no``."""
        if self.untagged == vlan:
            return "untagged"
        return "tagged" if vlan in self.tagged else "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A switch as it is. ``ports`` are all that it has, by name, whoever declared them.

    ``bridge`` tells whether VLANs can be kept apart at all: ``absent``, ``plain`` (it exists and does not filter) or
    ``filtering``. ``settings`` are those that this switch can tell and take. ``path`` are the (port, VLAN) pairs over
    which racksalt reaches the switch; a VLAN of None stands for every one.
    """

    ports: dict[str, PortState]
    bridge: Literal["absent", "plain", "filtering"] = "filtering"
    settings: frozenset[str] = frozenset(SETTINGS)
    path: tuple[tuple[str, int | None], ...] = ()
    neighbours: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "bridge": self.bridge,
            "settings": sorted(self.settings),
            "ports": {name: asdict(port) for name, port in sorted(self.ports.items())},
            "neighbours": dict(sorted(self.neighbours.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """A node and where it stands; ``networks`` are those that it has addresses in."""

    node: str
    rack: str
    first_u: int
    last_u: int
    networks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPort:
    """A port as it should be, and why, for people."""

    state: PortState
    why: str


def wanted(
    switch: Switch,
    networks: Mapping[str, Network],
    racks: Mapping[str, Rack],
    occupants: Collection[Occupant],
) -> dict[str, WantedPort]:
    """Return the declared ports of a switch as they should be, by name. Ports that are not declared are left out."""
    return {
        name: _wanted(port, racks.get(port.rack or switch.rack), networks, occupants)
        for name, port in switch.ports.items()
    }


def misplugged(
    switch: Switch,
    racks: Mapping[str, Rack],
    occupants: Collection[Occupant],
    neighbours: Mapping[str, str],
) -> list[dict[str, str]]:
    """Return the ports behind which another node speaks LLDP than stands there: ``{"port", "declared", "sees"}``.

    Names are compared up to the first dot; a name that is no node's says nothing.
    """
    known = {_host(it.node): it.node for it in occupants}
    found = []
    for name, port in switch.ports.items():
        at = _at(port, racks.get(port.rack or switch.rack), occupants)
        seen = known.get(_host(neighbours.get(name, "")))
        if at is not None and seen is not None and seen != at.node:
            found.append({"port": name, "declared": at.node, "sees": seen})
    return found


def _host(name: str) -> str:
    return name.partition(".")[0].lower()


def blank(name: str) -> PortState:
    """Return a port as a switch comes out of its box: in the default VLAN, and nothing else."""
    return PortState(name=name)


def _wanted(
    port: SwitchPort,
    rack: Rack | None,
    networks: Mapping[str, Network],
    occupants: Collection[Occupant],
) -> WantedPort:
    at = _at(port, rack, occupants)
    if port.networks is not None:
        names, reason = list(port.networks), "its networks are declared"
        untagged = port.untagged or _untagged_of(names, networks)
    else:
        untagged = port.untagged or provisioning(rack, networks)
        names = sorted(at.networks) if at else []
        reason = f"{at.node} is there" if at else f"U{port.position_u} of {rack_name(rack)} is free"
    pvid = _vlan(untagged, networks)
    vlans = {vlan for name in names if (vlan := _vlan(name, networks)) is not None} - {pvid}
    announced = port.edge if port.lldp_med is None else port.lldp_med
    return WantedPort(
        state=PortState(
            name=port.name,
            untagged=pvid,
            tagged=tuple(sorted(vlans - ({None} if pvid is None else set()))),
            edge=port.edge,
            med="untagged" if announced and pvid is not None else "",
            description=port.description or _description(port, rack, at),
        ),
        why=reason,
    )


def provisioning(rack: Rack | None, networks: Mapping[str, Network]) -> str | None:
    """Return the provisioning network of a rack: its own, else its zone's, else the site's; the first by name."""
    if rack is None:
        return None
    fit = [it for it in networks.values() if it.purpose == PROVISIONING and it.vlan is not None]
    for mine in (
        [it for it in fit if _rack_of(it) == rack.name],
        [it for it in fit if _rack_of(it) is None and it.zone == rack.zone],
        [it for it in fit if _rack_of(it) is None and it.zone is None],
    ):
        if mine:
            return min(it.name for it in mine)
    return None


def _rack_of(network: Network) -> str | None:
    return getattr(network, "rack", None)


def _untagged_of(names: Sequence[str], networks: Mapping[str, Network]) -> str | None:
    """Return the one of a port's networks that needs no tag: the provisioning one, else the only one."""
    boots = [name for name in names if name in networks and networks[name].purpose == PROVISIONING]
    if boots:
        return boots[0]
    return names[0] if len(names) == 1 else None


def _vlan(name: str | None, networks: Mapping[str, Network]) -> int | None:
    network = networks.get(name) if name else None
    return network.vlan if network else None


def _at(port: SwitchPort, rack: Rack | None, occupants: Collection[Occupant]) -> Occupant | None:
    if rack is None or port.position_u is None:
        return None
    unit = port.position_u
    found = [it for it in occupants if it.rack == rack.name and it.first_u <= unit <= it.last_u]
    return found[0] if found else None


def _description(port: SwitchPort, rack: Rack | None, at: Occupant | None) -> str:
    if at is not None:
        return at.node[:LONGEST]
    if port.position_u is not None:
        return f"{rack_name(rack)[: LONGEST - 5]} U{port.position_u}"
    return "racksalt"


def rack_name(rack: Rack | None) -> str:
    """Return how to call a rack that may not be known."""
    return rack.name if rack else "an unknown rack"
