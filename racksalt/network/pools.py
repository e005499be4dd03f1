"""The addresses of a network that nodes may keep, and which of them is free next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from netaddr import IPAddress, IPNetwork, IPRange, IPSet

from racksalt.model.node import Family
from racksalt.model.place import Network, RangeUse

Taken = Callable[[Sequence[str]], Collection[str]]
"""Which of these addresses somebody has; asked for a few at a time."""
_FEW: Final = 64
_MANY: Final = 1024


@lru_cache(maxsize=4096)
def subnet_of(network: Network, family: Family) -> IPNetwork | None:
    """Return the network's subnet of a family."""
    cidr = network.cidr_v4 if family == 4 else network.cidr_v6
    return IPNetwork(cidr) if cidr else None


def normal(text: str) -> str:
    """Return an address as it is stored: the shortest form, lower case (RFC 5952)."""
    return str(IPAddress(text))


def family_of(text: str) -> Family:
    """Return the family of an address."""
    return 6 if ":" in text else 4


def overlap(one: Network, other: Network) -> bool:
    """Return whether two networks share addresses."""
    for family in (4, 6):
        mine, its = subnet_of(one, family), subnet_of(other, family)
        if mine is not None and its is not None and (mine in its or its in mine):
            return True
    return False


def may_keep(network: Network, address: str) -> bool:
    """Return whether a node may go on having an address that it once got on the network.

    It need not lie in a range of reservations, but must not clash with what else the network is used for.
    """
    one = IPAddress(address)
    inside, barred = _keepable(network, 4 if one.version == 4 else 6)
    value = int(one)
    return _within(value, inside) and not _within(value, barred)


Spans = tuple[tuple[int, int], ...]


@lru_cache(maxsize=1024)
def _keepable(network: Network, family: Family) -> tuple[Spans, Spans]:
    """Return the subnet, and what in it a node may not have, as first and last numbers."""
    subnet = subnet_of(network, family)
    if subnet is None:
        return (), ()
    barred = _not_for_nodes(network, subnet) | _ranges(network, subnet, "discovery")
    return ((subnet.first, subnet.last),), _spans(barred)


def _within(value: int, spans: Spans) -> bool:
    return any(first <= value <= last for first, last in spans)


def _spans(addresses: IPSet) -> Spans:
    return tuple((it.first, it.last) for it in addresses.iter_ipranges())


def _ranges(network: Network, subnet: IPNetwork, *uses: RangeUse) -> IPSet:
    found = IPSet()
    for one in network.ranges:
        first, last = IPAddress(one.first), IPAddress(one.last)
        if one.use in uses and first.version == subnet.version:
            found.add(IPRange(first, last))
    return found


def _not_for_nodes(network: Network, subnet: IPNetwork) -> IPSet:
    """Return the router and the subnet's own addresses; subnets of two addresses have none of their own (RFC 3021)."""
    gateway = network.gateway_v4 if subnet.version == 4 else network.gateway_v6
    found = IPSet([IPAddress(gateway)] if gateway else [])
    if subnet.size > 2:
        found.add(subnet.network)
        if subnet.version == 4:
            found.add(IPAddress(subnet.last))
    return found


class Pool:
    """What is left of one network and family. The lowest addresses go first, as long as few are given back.

    ``held`` is how many of them nodes have: the search for a free one begins there and goes once round, so that it
    looks at some addresses even where thousands are taken. An address is given out once, whether or not it is used.
    """

    def __init__(self, network: Network, family: Family, held: int, taken: Taken) -> None:
        subnet = subnet_of(network, family)
        self._spans: Spans = ()
        self._version = family
        if subnet is not None:
            usable = _ranges(network, subnet, "reservations") & IPSet([subnet])
            usable -= _ranges(network, subnet, "excluded", "discovery")
            usable -= _not_for_nodes(network, subnet)
            self._spans = _spans(usable)
        self._ends = list(accumulate(last - first + 1 for first, last in self._spans))
        self.size = self._ends[-1] if self._ends else 0
        """How many addresses there are, taken or not."""
        self._next = held % self.size if self.size else 0
        self._left = self.size
        self._step = _FEW
        self._free: deque[str] = deque()
        self._taken = taken

    def take(self) -> str | None:
        """Return a free address, which is then no longer free; None when all are taken."""
        while not self._free and self._left:
            self._look()
        return self._free.popleft() if self._free else None

    def _look(self) -> None:
        count = min(self._step, self._left)
        some = [self._at((self._next + n) % self.size) for n in range(count)]
        self._next, self._left = self._next + count, self._left - count
        self._step = min(self._step * 2, _MANY)
        taken = self._taken(some)
        self._free.extend(it for it in some if it not in taken)

    def _at(self, offset: int) -> str:
        before = 0
        for (first, _), end in zip(self._spans, self._ends, strict=True):
            if offset < end:
                return str(IPAddress(first + offset - before, self._version))
            before = end
        raise IndexError(offset)
