"""The network configuration of one node: its NICs, bonds, VLANs, bridges and addresses, from what the site declares.

Plain data, made to be served to the node itself and written down there. Interfaces stand in the order in which they are
made: what another one is on comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from racksalt.model.conduit import Alternative, Bond, Conduit, choose, in_order
from racksalt.model.errors import InvalidInputError
from racksalt.model.node import Address, Nic
from racksalt.model.place import Network
from racksalt.network.allocate import boot_nic
from racksalt.network.pools import family_of, subnet_of

LONGEST_NAME: Final = 15
"""What the kernel takes as an interface's name (IFNAMSIZ without its end)."""
METRICS: Final = {"public": 100, "admin": 200, "provisioning": 300, "storage": 400}
"""Which default route is taken where several networks have one: the lowest."""
_ETH: Final = re.compile(r"^eth\d+\Z")
_NAME: Final = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,14}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a conduit is on a node: its NICs and the bond over them; or, without NICs, why it is not there."""

    nics: tuple[Nic, ...] = ()
    bond: Bond | None = None
    why: tuple[str, ...] = ()


def resolve(conduit: Conduit, nics: Sequence[Nic]) -> Chosen:
    """Return the first alternative that fits the node's NICs; ``why`` says of each before it why it does not."""
    why: list[str] = []
    for alternative in conduit.alternatives:
        found, reason = _try(alternative, nics)
        if found:
            return Chosen(nics=tuple(found), bond=alternative.bond, why=tuple(why))
        why.append(reason)
    return Chosen(why=tuple(why))


def node_network(
    nics: Sequence[Nic],
    networks: Iterable[Network],
    conduits: Mapping[str, Conduit],
    addresses: Sequence[Address],
    dns: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a node's network configuration.

    Args:
        nics: the node's NICs.
        networks: those that reach the node.
        conduits: by name.
        addresses: those that the node keeps.
        dns: ``{"servers": [...], "search": [...]}`` of its layers.

    Returns:
        ``{"interfaces": [...], "dns": {"servers": [...], "search": [...]}, "problems": [text]}``. An interface has
        ``name``, ``kind`` (nic, bond, vlan, bridge), ``mtu``, ``mac`` (NIC, bond), ``members`` and ``bond`` (bond),
        ``on`` and ``vlan`` (VLAN), ``on`` (bridge); ``networks`` are the names of those whose addresses it has,
        ``addresses`` in CIDR notation, ``network_mtu`` the largest frame that those networks take, ``routes`` as
        ``{"gateway", "metric"}``, ``dhcp`` and ``accept_ra`` where it must ask others.
    """
    plan = _Plan(nics=in_order(nics), conduits=conduits, boots=boot_nic(nics, addresses))
    wanted = sorted(
        networks, key=lambda it: (it.purpose != "provisioning", it.is_tagged(), it.name)
    )
    wanted = [it for it in wanted if it.purpose != "bmc"]
    plan.choose(wanted)
    for network in wanted:
        plan.add(network, [it for it in addresses if it.network == network.name])
    plan.ensure_way_in()
    domains = [it.domain for it in wanted if it.domain and it.purpose == "provisioning"]
    told = dns or {}
    search = dict.fromkeys([*domains, *_texts(told.get("search"))])
    return {
        "interfaces": [_without_nothing(it) for it in plan.found.values()],
        "dns": {"servers": _texts(told.get("servers")), "search": list(search)},
        "problems": plan.problems,
    }


@dataclass
class _Plan:
    """Interfaces by name, as they come to be needed."""

    nics: list[Nic]
    conduits: Mapping[str, Conduit]
    boots: Nic | None
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    chosen: dict[str, Chosen] = field(default_factory=dict)
    bonds: dict[str, str] = field(default_factory=dict)
    stranded: bool = False
    """A provisioning network is left out, for its interface's name is another's."""

    def choose(self, networks: Iterable[Network]) -> None:
        """Find out which NICs each conduit is, and make the bonds: what boots on one NIC goes on over its bond."""
        for network in networks:
            conduit = self.conduits.get(network.conduit or "")
            if network.conduit is not None and conduit is None:
                self.problems.append(f"network {network.name}: no conduit {network.conduit!r}")
            if conduit is None or conduit.name in self.chosen:
                continue
            chosen = resolve(conduit, self.nics)
            if not chosen.nics:
                self.problems.append(f"conduit {conduit.name}: {'; '.join(chosen.why)}")
            elif chosen.bond is not None and not self._bond(conduit.name, chosen, chosen.bond):
                chosen = Chosen()
            self.chosen[conduit.name] = chosen

    def add(self, network: Network, mine: Sequence[Address]) -> None:
        """Put a network on its interface, and that on what carries it."""
        base = self._base(network, mine)
        if base is None:
            return
        above = _above(network, base)
        taken = [why for it in above if (why := self._taken(it))]
        if taken:
            self.problems += [f"network {network.name}: {why}" for why in taken]
            self.stranded |= network.purpose == "provisioning"
            return
        for it in above:
            self.found.setdefault(it["name"], it)
        names = [base, *(it["name"] for it in above)]
        for each in names:
            self._grow(each, network.mtu)
        _settle(self.found[names[-1]], network, mine)

    def ensure_way_in(self) -> None:
        """Let the NIC that boots ask by DHCP, where nothing says what else it should do."""
        quiet = self.stranded or not any(it["networks"] for it in self.found.values())
        if quiet and self.boots is not None:
            name = self._nic(self.boots)
            if not any(name in it.get("members", ()) for it in self.found.values()):
                self.found[name].update(dhcp=True, accept_ra=True)

    def _base(self, network: Network, mine: Sequence[Address]) -> str | None:
        """Return the interface that carries the network, None if the node has none for it."""
        chosen = self.chosen.get(network.conduit or "", Chosen())
        if chosen.nics:
            return self.bonds.get(network.conduit or "") or self._carrier(chosen.nics[0])
        if network.conduit is not None and network.purpose != "provisioning":
            return None
        held = {it.nic for it in mine}
        nic = next((it for it in self.nics if it.id in held), None)
        if nic is None and network.purpose == "provisioning":
            nic = self.boots
        return self._carrier(nic) if nic is not None else None

    def _carrier(self, nic: Nic) -> str:
        name = self._nic(nic)
        bonds = (it["name"] for it in self.found.values() if name in it.get("members", ()))
        return next(bonds, name)

    def _bond(self, conduit: str, chosen: Chosen, bond: Bond) -> bool:
        members = [self._nic(it) for it in chosen.nics]
        for name, other in self.found.items():
            if members == other.get("members"):
                self.bonds[conduit] = name
                return True
            if set(members) & set(other.get("members", ())):
                self.problems.append(f"conduit {conduit}: shares a NIC with the bond {name}")
                return False
        first = next((it for it in chosen.nics if it is self.boots), chosen.nics[0])
        name = _legal(conduit)
        told = {key: getattr(bond, key) for key in Bond.__dataclass_fields__}
        made = _interface(name, "bond", mac=first.mac, members=members, bond=told)
        if why := self._taken(made):
            self.problems.append(f"conduit {conduit}: {why}")
            return False
        self.found[name] = made
        self.bonds[conduit] = name
        return True

    def _nic(self, nic: Nic) -> str:
        name = self._name(nic)
        self.found.setdefault(name, _interface(name, "nic", mac=nic.mac))
        return name

    def _name(self, nic: Nic) -> str:
        # Names such as eth0 are the kernel's to give: it may give them to another NIC at the next boot.
        place = self.nics.index(nic)
        plain = _NAME.match(nic.name) and not _ETH.match(nic.name)
        twice = [it.name for it in self.nics].count(nic.name) > 1
        return nic.name if plain and not twice else f"nic{place}"

    def _taken(self, made: Mapping[str, Any]) -> str:
        """Return why an interface cannot have its name, "" if it can: the same one may be there already."""
        name, there = made["name"], self.found.get(made["name"])
        if any(name == self._name(it) for it in self.nics):
            return f"a NIC has the name {name} of its {made['kind']}"
        if there and any(there.get(key) != made.get(key) for key in ("kind", "on", "vlan")):
            on = f" on {there['on']}" if "on" in there else ""
            return f"another {there['kind']}{on} has the name {name} of its {made['kind']}"
        return ""

    def _grow(self, name: str, mtu: int) -> None:
        """See to it that an interface and its members take frames of this size."""
        for each in (name, *self.found[name].get("members", ())):
            self.found[each]["mtu"] = max(self.found[each]["mtu"] or 0, mtu)


def _above(network: Network, base: str) -> list[dict[str, Any]]:
    """Return what a network has on top of the interface that carries it: its VLAN, and on that its bridge."""
    found: list[dict[str, Any]] = []
    if network.is_tagged():
        found.append(_interface(f"vlan{network.vlan}", "vlan", on=base, vlan=network.vlan))
    if network.bridge is not None:
        below = found[-1]["name"] if found else base
        found.append(_interface(network.bridge, "bridge", on=below))
    return found


def _settle(interface: dict[str, Any], network: Network, mine: Sequence[Address]) -> None:
    """Give an interface the network's addresses and routes."""
    interface["networks"].append(network.name)
    interface["network_mtu"] = min(network.mtu, interface.get("network_mtu", network.mtu))
    for address in sorted(mine, key=lambda it: (it.family, it.address)):
        subnet = subnet_of(network, family_of(address.address))
        if subnet is not None:
            interface["addresses"].append(f"{address.address}/{subnet.prefixlen}")
    families = {it.family for it in mine}
    for family, gateway in ((4, network.gateway_v4), (6, network.gateway_v6)):
        if gateway and family in families:
            metric = METRICS.get(network.purpose, 500)
            interface["routes"].append({"gateway": gateway, "metric": metric})
    asks = 6 in families and network.gateway_v6 is None
    interface["accept_ra"] = asks or interface.get("accept_ra", False)
    if network.purpose == "provisioning" and not mine:
        # Its addresses are somebody else's to give.
        interface.update(dhcp=True, accept_ra=network.cidr_v6 is not None)


def _interface(name: str, kind: str, **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"networks": [], "addresses": [], "routes": []}
    return {"name": name, "kind": kind, "mtu": None, **more, **empty}


def _without_nothing(interface: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("networks", "addresses", "routes")
    return {k: v for k, v in interface.items() if v not in (None, False) or k in kept}


def _try(alternative: Alternative, nics: Sequence[Nic]) -> tuple[list[Nic], str]:
    try:
        return choose(alternative, nics)
    except InvalidInputError as error:
        return [], error.message


def _legal(name: str) -> str:
    """Return a conduit's name as an interface's: shortened if need be, and still its own."""
    if _NAME.match(name):
        return name
    return f"bond-{sha256(name.encode()).hexdigest()[: LONGEST_NAME - 5]}"


def _texts(value: Any) -> list[str]:
    return [str(it) for it in value] if isinstance(value, list | tuple) else []
