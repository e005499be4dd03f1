"""What DHCP and DNS are to say: plain data from the store's nouns, every value of it checked.

Names and ids come from nodes and people, and all of them end up in configuration files of a process that runs as
root: what is not exactly of the expected form is left out here and told as a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple, Protocol

from racksalt.model.names import is_name
from racksalt.model.place import LEAST_LENGTH_V6, Network, Range
from racksalt.model.reservation import Reservation
from racksalt.network.names import label_of, name_on
from racksalt.wire import NODE_ID

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
ENVIRONMENT = re.compile(r"[a-z]{1,16}")
HOLD = "hold"
"""What a node boots whose state names nothing: it waits and asks again."""


@dataclass(frozen=True, slots=True)
class Held:
    """One address of a node: who gets it (``mac``, None: DNS only), where, and under which name."""

    mac: str | None
    network: str
    address: str
    family: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Host:
    """A node as DHCP and DNS know it. ``label`` is its host name, ``environment`` what it boots next."""

    node: str
    label: str
    environment: str
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """All that DHCP and DNS are to say; ``networks`` are those that DHCP serves, ``problems`` what was left out."""

    networks: tuple[Network, ...] = ()
    zones: tuple[Network, ...] = ()
    hosts: Mapping[str, Host]
    problems: tuple[str, ...] = ()

    def served(self) -> frozenset[str]:
        """Return the names of the networks that DHCP serves."""
        return frozenset(network.name for network in self.networks)


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know. Of one ``key`` at most one a minute is journalled."""

    key: str
    event: str
    message: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was handed out; ``client`` is a MAC (v4) or a DUID (v6), ``ends_at`` None for ever."""

    address: str
    client: str
    ends_at: float | None
    name: str | None = None
    iaid: int | None = None


class Server(Protocol):
    """A DHCP server that racksalt drives: dnsmasq or Kea."""

    def apply(self, wanted: Wanted) -> None:
        """Bring the server to what is wanted, by as little change as will do."""

    def tend(self) -> list[Note]:
        """Keep the server alive; return what happened since the last call."""

    def leases(self) -> list[Lease]:
        """Return the leases that it has handed out."""

    def close(self) -> None:
        """End the server."""


class Planner:
    """Makes what is wanted of the store's rows; looks anew only at nodes whose rows are others than the last time.

    ``only`` are names of the networks that DHCP serves; none: every provisioning network.
    """

    def __init__(self, only: Sequence[str] = ()) -> None:
        self._only = only
        self._networks: list[Network] = []
        self._seen: dict[str, _Seen] = {}

    def __call__(self, networks: Sequence[Network], reservations: Iterable[Reservation]) -> Wanted:
        """Return what DHCP and DNS are to say; the reservations of one node stand together."""
        if list(networks) != self._networks:
            self._networks, self._seen = list(networks), {}
        only = self._only
        problems: list[str] = []
        sound = {network.name: network for network in networks if _sound(network, problems)}
        served = [
            network
            for network in sound.values()
            if (network.name in only if only else network.purpose == "provisioning")
            and _servable(network, problems)
        ]
        problems += [f"network {name!r} is not declared" for name in only if name not in sound]
        seen: dict[str, _Seen] = {}
        for node, rows in _by_node(reservations, problems).items():
            known = self._seen.get(node)
            seen[node] = known if known and known.rows == rows else _looked_at(rows, sound)
            problems += seen[node].problems
        self._seen = seen
        return Wanted(
            networks=tuple(served),
            zones=tuple(sound.values()),
            hosts={node: one.host for node, one in seen.items() if one.host is not None},
            problems=tuple(problems),
        )


class _Seen(NamedTuple):
    rows: list[Reservation]
    host: Host | None
    problems: list[str]


def wanted(
    networks: Sequence[Network], reservations: Iterable[Reservation], only: Sequence[str] = ()
) -> Wanted:
    """Return what DHCP and DNS are to say, once."""
    return Planner(only)(networks, reservations)


def discovery(network: Network, family: int) -> list[Range]:
    """Return the network's ranges for machines that nobody knows."""
    return [
        one
        for one in network.ranges
        if one.use == "discovery" and ip_address(one.first).version == family
    ]


def size_of(one: Range) -> int:
    """Return how many addresses a range has."""
    return int(ip_address(one.last)) - int(ip_address(one.first)) + 1


def leases_in(one: Range, leases: Iterable[Lease]) -> int:
    """Return how many of a range's addresses are leased."""
    first, last = ip_address(one.first), ip_address(one.last)
    held = (ip_address(lease.address) for lease in leases)
    return sum(
        address.version == first.version and int(first) <= int(address) <= int(last)
        for address in held
    )


def network_at(networks: Iterable[Network], address: str) -> Network | None:
    """Return the network whose subnet has an address, None for a strange one and for what is no address."""
    try:
        wanted_address = ip_address(address)
    except ValueError:
        return None
    for network in networks:
        for cidr in (network.cidr_v4, network.cidr_v6):
            if cidr and wanted_address in ip_network(cidr, strict=False):
                return network
    return None


def exhausted(
    network: Network, family: int, ranges: Sequence[Range], held: int, client: str
) -> Note:
    """Return the note that a network had no address for a client."""
    size = sum(size_of(one) for one in ranges)
    message = f"no free IPv{family} address on network {network.name} for {client}: "
    if not ranges:
        message += "it has no discovery range for machines that nobody knows"
    else:
        message += f"{held} of the {size} addresses of its discovery ranges are leased"
    detail = {"network": network.name, "family": family, "leases": held, "size": size}
    return Note(f"{network.name}/{family}", "dhcp_exhausted", message, {**detail, "client": client})


def full(held: int, client: str) -> Note:
    """Return the note that the server keeps as many leases as it can, and refused one more."""
    message = f"no room for one more lease, for {client}: the server keeps {held}, the most it can"
    return Note("full", "dhcp_full", message, {"leases": held, "client": client})


def unserved(via: str) -> Note:
    """Return the note that a request came from where no network is served."""
    message = f"a DHCP request came from {via}, where no served network is declared"
    return Note(f"unserved {via}", "dhcp_unserved", message, {"via": via})


def _by_node(
    reservations: Iterable[Reservation], problems: list[str]
) -> dict[str, list[Reservation]]:
    """Return the rows of each node; an address belongs to the first that has it."""
    owners: dict[str, str] = {}
    found: dict[str, list[Reservation]] = {}
    for one in reservations:
        if owners.setdefault(one.address, one.node) == one.node:
            found.setdefault(one.node, []).append(one)
        else:
            problems.append(_left_out(one, f"{owners[one.address]} has it"))
    return found


def _looked_at(rows: list[Reservation], networks: Mapping[str, Network]) -> _Seen:
    problems: list[str] = []
    good: list[Reservation] = []
    for one in rows:
        why = _fault(one, networks.get(one.network))
        if why:
            problems.append(_left_out(one, why))
        else:
            good.append(one)
    if not good:
        return _Seen(rows, None, problems)
    host = Host(
        node=good[0].node,
        label=label_of(good[0].node, good[0].fqdn),
        environment=good[0].environment or HOLD,
        held=tuple(dict.fromkeys(_held(row, networks[row.network]) for row in good)),
    )
    return _Seen(rows, host, problems)


def _left_out(one: Reservation, why: str) -> str:
    return f"{one.address!r} of node {one.node!r} is left out: {why}"


def _held(row: Reservation, network: Network) -> Held:
    name = name_on(row.node, row.fqdn, network)
    return Held(row.mac, row.network, row.address, row.family, name)


def _fault(one: Reservation, network: Network | None) -> str:
    """Return what is wrong with a reservation, or nothing."""
    if not NODE_ID.fullmatch(one.node):
        return "the node's id is none"
    if one.mac is not None and not MAC.fullmatch(one.mac):
        return f"{one.mac!r} is no MAC"
    if one.environment is not None and not ENVIRONMENT.fullmatch(one.environment):
        return f"{one.environment!r} is no boot environment"
    if network is None:
        return f"network {one.network!r} is not declared"
    for name in (name_on(one.node, one.fqdn, network), label_of(one.node, one.fqdn)):
        if name is not None and not is_name(name):
            return f"{name!r} is no host name"
    return _misplaced(one, network)


def _misplaced(one: Reservation, network: Network) -> str:
    try:
        address = ip_address(one.address)
    except ValueError:
        return "it is no address"
    if address.version != one.family or "%" in one.address:
        return f"it is no IPv{one.family} address"
    cidr = network.cidr_v4 if one.family == 4 else network.cidr_v6
    if not cidr or address not in ip_network(cidr, strict=False):
        return f"it is not in network {network.name}"
    return ""


def _sound(network: Network, problems: list[str]) -> bool:
    """Say whether all texts of a network are of the form that configuration files need."""
    try:
        wrong = _flaw(network)
    except ValueError as error:
        wrong = str(error)
    if wrong:
        problems.append(f"network {network.name!r} is left out: {wrong}")
    return not wrong


def _servable(network: Network, problems: list[str]) -> bool:
    """Say whether a server can be told to serve a network: one that it refuses keeps all others from being told it."""
    cidr = network.cidr_v6
    if cidr is None or ip_network(cidr).prefixlen >= LEAST_LENGTH_V6:
        return True
    problems.append(
        f"network {network.name!r} is left out of DHCP: {cidr} is wider than /{LEAST_LENGTH_V6}, the widest that "
        f"dnsmasq serves"
    )
    return False


def _flaw(network: Network) -> str:
    """Return what is wrong with a network, or nothing; raise ValueError for what is no address."""
    if not NETWORK.fullmatch(network.name):
        return "its name has characters that no tag may have"
    if network.domain is not None and not is_name(network.domain):
        return f"{network.domain!r} is no domain name"
    for family, cidr in ((4, network.cidr_v4), (6, network.cidr_v6)):
        if cidr and ("%" in cidr or ip_network(cidr).version != family):
            return f"{cidr!r} is no IPv{family} subnet"
    ends = [end for one in network.ranges for end in (one.first, one.last)]
    for address in filter(None, (network.gateway_v4, network.gateway_v6, *ends)):
        # Routers advertise themselves by a link-local address, which is right in every network.
        by_link = address == network.gateway_v6 and ip_address(address).is_link_local
        if "%" in address or (not by_link and network_at([network], address) is None):
            return f"{address!r} is not in it"
    return ""
