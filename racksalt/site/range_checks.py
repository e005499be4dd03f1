"""Sense checks of addresses: ranges within their subnets, and addresses that the files give to nodes."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Generator, Iterator
from typing import NamedTuple

from racksalt.model.place import Network, Range
from racksalt.site.network_checks import (
    FAMILIES,
    Address,
    Subnet,
    address,
    edges,
    reaches,
    subnet_of,
)
from racksalt.site.problems import SiteProblem, at, one_of
from racksalt.site.schema import Declarations, NodeDeclaration


class _Span(NamedTuple):
    """A range that can be true: its first and last address."""

    range: Range
    first: Address
    last: Address

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    def has(self, one: Address) -> bool:
        return one.version == self.first.version and int(self.first) <= int(one) <= int(self.last)

    def meets(self, other: _Span) -> bool:
        return self.has(other.first) or other.has(self.first)


def check_ranges(site: Declarations) -> Iterator[SiteProblem]:
    """Yield what makes no sense in the networks' ranges."""
    used = Counter(node.rack for node in site.nodes.values())
    for network in site.networks.values():
        spans: list[_Span] = []
        for one in network.ranges:
            span = yield from _span(site, network, one)
            if span is not None:
                yield from _overlap(site, network, span, spans)
                spans.append(span)
        yield from _pool(site, network, spans, used)


def _span(
    site: Declarations, network: Network, one: Range
) -> Generator[SiteProblem, None, _Span | None]:
    """Yield what is wrong with a range by itself; return it if nothing is."""

    def say(key: str, message: str, hint: str = "") -> SiteProblem:
        return at(site.files, "networks", network.name, f"ranges:{one.name}{key}")(message, hint)

    first, last = address(one.first), address(one.last)
    for key, text, found in ((":first", one.first, first), (":last", one.last, last)):
        if found is None:
            yield say(key, f"{text!r} is no address", "write one such as 10.0.0.10")
    if first is None or last is None:
        return None
    if first.version != last.version:
        yield say(":last", f"{last} is not of the family of {first}", "make two ranges of it")
        return None
    subnet = subnet_of(network, first.version)
    if subnet is None:
        if getattr(network, f"cidr_v{first.version}") is None:
            yield say(
                ":first",
                f"is IPv{first.version}, and the network has no such subnet",
                f"add `cidr_v{first.version}:` or write IPv{10 - first.version} addresses",
            )
        return None
    outside = [(key, it) for key, it in ((":first", first), (":last", last)) if it not in subnet]
    for key, it in outside:
        yield say(key, f"{it} is not in {subnet}", "a range is in its network's subnet")
    if outside:
        return None
    if int(last) < int(first):
        yield say(":last", f"{last} is before {first}", "swap the two")
        return None
    span = _Span(one, first, last)
    if one.use != "excluded":
        yield from (say("", *it) for it in _reserved(network, subnet, span))
    return span


def _reserved(network: Network, subnet: Subnet, span: _Span) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a range that are no node's to have."""
    for one in sorted(edges(subnet), key=int):
        if span.has(one):
            word = "network" if one == subnet.network_address else "broadcast"
            yield f"has {one}, the {word} address of {subnet}", "begin after it, or end before"
    text = getattr(network, f"gateway_v{subnet.version}")
    router = address(text) if text else None
    if router is not None and span.has(router):
        yield f"has {router}, the router of {subnet}", "begin after it, or end before"


def _overlap(
    site: Declarations, network: Network, span: _Span, others: list[_Span]
) -> Iterator[SiteProblem]:
    """Yield the ranges that share addresses: only what is excluded may lie in what is reserved."""
    for other in others:
        if span.meets(other) and {span.range.use, other.range.use} != {"excluded", "reservations"}:
            yield at(site.files, "networks", network.name, f"ranges:{span.range.name}")(
                f"overlaps {other.range.name} ({other.first} to {other.last})",
                "give each range addresses of its own",
            )


def _pool(
    site: Declarations, network: Network, spans: list[_Span], used: Counter[str]
) -> Iterator[SiteProblem]:
    """Yield a discovery pool that has no lease for each machine of a rack that is powered on at once."""
    if not any(it.range.use == "discovery" for it in spans):
        return
    racks = [it for it in site.racks.values() if reaches(site, network, it.name)]
    largest = max(racks, key=lambda it: used[it.name], default=None)
    for version in FAMILIES if largest else ():
        pools = [it for it in spans if it.range.use == "discovery" and it.first.version == version]
        size = sum(it.size for it in pools)
        if largest and pools and size < used[largest.name]:
            key = f"ranges:{pools[0].range.name}"
            yield at(site.files, "networks", network.name, key)(
                f"{size} addresses for the {used[largest.name]} nodes of rack {largest.name!r}",
                "a rack is powered on at once: give it as many addresses as it has nodes",
            )


def check_addresses(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the addresses that the files give to a node and that it cannot have."""
    taken = _of_bmcs(site)
    known = site.known("networks")
    for node in site.nodes.values():
        for name, texts in node.addresses.items():
            say = at(site.files, "nodes", node.id, f"addresses:{name}")
            network = site.networks.get(name)
            if name not in known:
                yield say(f"no network {name!r}", one_of(name, sorted(known)))
            elif network and not reaches(site, network, node.rack):
                yield say(f"{name} does not reach rack {node.rack!r}", "name one that does")
            for text in texts:
                one = address(text)
                if one is None:
                    yield say(f"{text!r} is no address", "write one such as 10.0.0.10")
                elif one in taken and not _is_own_bmc(node, network, one):
                    yield say(f"{text} is {taken[one]}", "an address is one node's")
                else:
                    taken[one] = f"{node.id}'s"
                    yield from (say(*it) for it in _unfit(network, one))
            yield from _too_many(site, node, name, texts)


def _is_own_bmc(node: NodeDeclaration, network: Network | None, one: Address) -> bool:
    """Say whether this only gives the BMC's own address its place, and with it its name, on the BMCs' network."""
    if network is None or network.purpose != "bmc" or node.bmc is None:
        return False
    return address(node.bmc.address) == one


def _of_bmcs(site: Declarations) -> dict[Address, str]:
    """Return the addresses that BMCs have, with whose BMC that is; a lab's one address is for many."""
    return {
        one: f"{node.id}'s BMC"
        for node in site.nodes.values()
        if node.bmc is not None and node.bmc.protocol != "simulated"
        if (one := address(node.bmc.address)) is not None
    }


def check_bmcs(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the BMCs whose declared address would be given to a node too."""
    spans = sorted(_given_out(site), key=lambda it: (it[1].first.version, int(it[1].first)))
    begins = [(span.first.version, int(span.first)) for _, span in spans]
    for node in site.nodes.values():
        one = address(node.bmc.address) if node.bmc is not None else None
        place = bisect_right(begins, (one.version, int(one))) - 1 if one is not None else -1
        if one is None or place < 0 or not spans[place][1].has(one):
            continue
        network, span = spans[place]
        holes = (_sound(it) for it in network.ranges if it.use == "excluded")
        if not any(hole is not None and hole.has(one) for hole in holes):
            yield at(site.files, "nodes", node.id, "bmc:address")(
                f"{one} is in the range {span.range.name} of {network.name}, which is given out",
                "exclude it there, or give the BMC another one",
            )


def _given_out(site: Declarations) -> Iterator[tuple[Network, _Span]]:
    for network in site.networks.values():
        for it in network.ranges:
            span = _sound(it) if it.use != "excluded" else None
            if span is not None:
                yield network, span


def _sound(one: Range) -> _Span | None:
    """Return the range's addresses, None where ``check_ranges`` tells what is wrong with them."""
    first, last = address(one.first), address(one.last)
    if first is None or last is None or first.version != last.version:
        return None
    return _Span(one, first, last)


def _unfit(network: Network | None, one: Address) -> Iterator[tuple[str, str]]:
    subnet = subnet_of(network, one.version) if network else None
    if network is None:
        return
    if subnet is None or one not in subnet:
        yield f"{one} is not in {subnet or 'a subnet of its family'}", "choose one that is"
    elif one in edges(subnet) or one in map(address, _routers(network)):
        yield f"{one} is no node's to have", "choose another than the subnet's own and its router"
    else:
        for it in network.ranges:
            span = _sound(it)
            if it.use == "discovery" and span is not None and span.has(one):
                yield f"{one} is in the discovery range {it.name}", "choose one outside of it"


def _routers(network: Network) -> Iterator[str]:
    return filter(None, (network.gateway_v4, network.gateway_v6))


def _too_many(
    site: Declarations, node: NodeDeclaration, name: str, texts: tuple[str, ...]
) -> Iterator[SiteProblem]:
    count = Counter(found.version for text in texts if (found := address(text)))
    for version, number in count.items():
        if number > 1:
            yield at(site.files, "nodes", node.id, f"addresses:{name}")(
                f"has {number} IPv{version} addresses", "a node keeps one of each family"
            )
