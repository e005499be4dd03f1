"""Sense checks: declarations that parse, and still cannot be true of a data centre."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from racksalt.model.names import is_host, one_spelling
from racksalt.model.node import serial_key
from racksalt.site.conduit_checks import check_conduits
from racksalt.site.name_checks import check_names
from racksalt.site.network_checks import check_networks
from racksalt.site.problems import SiteProblem, at, one_of
from racksalt.site.range_checks import check_addresses, check_bmcs, check_ranges
from racksalt.site.schema import Declarations, NodeDeclaration
from racksalt.site.switches import check_switches
from racksalt.wire import NO_TEXT, NODE_ID

_MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
_NAME: Final = re.compile(r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?\Z")
_SECRET_NAME: Final = re.compile(r"^file:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_NAME_HINT: Final = "use lower-case letters, digits, dots and hyphens"


def normal_mac(text: str) -> str:
    """Return a MAC in lower-case colon form if it is one in any usual spelling, else the text as it is."""
    digits = re.sub(r"[:.-]", "", text).lower()
    if re.fullmatch(r"[0-9a-f]{12}", digits):
        return ":".join(digits[n : n + 2] for n in range(0, 12, 2))
    return text


def normal(node: NodeDeclaration) -> NodeDeclaration:
    """Return the node with its MACs in lower-case colon form."""
    return replace(node, macs=tuple(map(normal_mac, node.macs)))


def check(site: Declarations) -> Iterator[SiteProblem]:
    """Yield everything that makes no sense. A declared name counts as known, even where it does not parse."""
    for rule in (
        _names,
        check_names,
        _homes,
        _positions,
        _identities,
        _bmcs,
        _policy,
        check_networks,
        check_ranges,
        check_addresses,
        check_bmcs,
        check_conduits,
        _stages,
        check_switches,
    ):
        yield from rule(site)


def _at(site: Declarations, section: str, name: str, key: str = "") -> Callable[..., SiteProblem]:
    return at(site.files, section, name, key)


def _names(site: Declarations) -> Iterator[SiteProblem]:
    for section, name in site.files:
        if section == "nodes" and not NODE_ID.match(name):
            yield _at(site, section, name)("is no legal minion id", _NAME_HINT)
        elif section == "nodes" and NO_TEXT.match(name):
            told = "is read as a number or a truth value by Salt's command line"
            yield _at(site, section, name)(told, "let it begin with a letter")
        if section in ("zones", "racks", "networks", "conduits") and not _NAME.match(name):
            yield _at(site, section, name)("is no legal name", _NAME_HINT)
    for network in site.networks.values():
        for one in network.ranges:
            if not _NAME.match(one.name):
                yield _at(site, "networks", network.name, f"ranges:{one.name}")(
                    "is no legal name", _NAME_HINT
                )


def _homes(site: Declarations) -> Iterator[SiteProblem]:
    zones, racks = site.known("zones"), site.known("racks")
    for rack in site.racks.values():
        if rack.zone not in zones:
            yield _at(site, "racks", rack.name, "zone")(
                f"no zone {rack.zone!r}", one_of(rack.zone, sorted(zones))
            )
        if not 1 <= rack.height_u <= 100:
            yield _at(site, "racks", rack.name, "height_u")("is not between 1 and 100")
    for node in site.nodes.values():
        if node.rack not in racks:
            yield _at(site, "nodes", node.id, "rack")(
                f"no rack {node.rack!r}", one_of(node.rack, sorted(racks))
            )


def _positions(site: Declarations) -> Iterator[SiteProblem]:
    taken: dict[tuple[str, int], str] = {}
    for node in site.nodes.values():
        rack = site.racks.get(node.rack)
        if node.position_u is None:
            continue
        top = node.position_u + node.height_u - 1
        if node.height_u < 1:
            yield _at(site, "nodes", node.id, "height_u")("is below 1")
        elif node.position_u < 1 or (rack and top > rack.height_u):
            limit = f"1 to {rack.height_u}" if rack else "1 and up"
            yield _at(site, "nodes", node.id, "position_u")(
                f"U{node.position_u} to U{top} is not in the rack", f"the rack has U{limit}"
            )
        else:
            units = range(node.position_u, top + 1)
            others = {taken.get((node.rack, unit)) for unit in units} - {None}
            for other in sorted(filter(None, others)):
                yield _at(site, "nodes", node.id, "position_u")(
                    f"overlaps {other} in rack {node.rack!r}", "move one of the two"
                )
            taken.update({(node.rack, unit): node.id for unit in units})


def _identities(site: Declarations) -> Iterator[SiteProblem]:
    macs: dict[str, str] = {}
    serials: dict[str, str] = {}
    for node in site.nodes.values():
        for number, mac in enumerate(node.macs):
            at = _at(site, "nodes", node.id, f"macs:{number}")
            if not _MAC.match(mac):
                yield at(f"{mac!r} is no MAC", "write six pairs such as 52:54:00:12:34:56")
            elif int(mac[:2], 16) & 1:
                yield at(f"{mac} is a group address", "a NIC's first pair is even")
            elif mac in macs:
                yield at(f"{mac} is {macs[mac]}'s", "a NIC is in one node")
            macs.setdefault(mac, node.id)
        key = serial_key(node.serial)
        if key and serials.setdefault(key, node.id) != node.id:
            yield _at(site, "nodes", node.id, "serial")(
                f"{node.serial!r} is {serials[key]}'s", "leave out what is not unique"
            )


def _bmcs(site: Declarations) -> Iterator[SiteProblem]:
    taken: dict[tuple[str, int], str] = {}
    for node in site.nodes.values():
        if node.bmc is None:
            continue
        at = _at(site, "nodes", node.id, "bmc")
        where = (one_spelling(node.bmc.address), node.bmc.port)
        if where in taken and node.bmc.protocol != "simulated":  # one lab answers for many
            yield at(
                f"{node.bmc.address} port {where[1]} is {taken[where]}'s BMC",
                "a BMC is in one node",
            )
        taken.setdefault(where, node.id)
        if not 1 <= node.bmc.port <= 65535:
            yield _at(site, "nodes", node.id, "bmc:port")("is not between 1 and 65535")
        if not is_host(node.bmc.address):
            yield _at(site, "nodes", node.id, "bmc:address")(
                f"{node.bmc.address!r} is no IP address or host name",
                "write one such as 10.0.0.10 or bmc1.example.net, and the port at `port:`",
            )
        if not _SECRET_NAME.match(node.bmc.secret):
            yield _at(site, "nodes", node.id, "bmc:secret")(
                "does not name a secret",
                "write file:NAME for the entry NAME of the BMC secrets file, never the password",
            )


def _policy(site: Declarations) -> Iterator[SiteProblem]:
    at = _at(site, "policy", "policy", "approve_limit")
    limit = site.policy.approve_limit
    if site.policy.approve == "auto" and (limit is None or limit < 1):
        yield at("`approve: auto` needs a limit", "say how many unknown nodes may come in")
    if site.policy.approve != "auto" and limit is not None:
        yield at("goes with `approve: auto` only", "leave it out")


def _stages(site: Declarations) -> Iterator[SiteProblem]:
    """Yield the conditions that no node can meet, for they name a place that there is not."""
    for name, stage in site.additions.get("stages", {}).items():
        for key in ("zone", "rack", "node"):
            wanted = stage.get("when", {}).get(key, [])
            known = site.known(f"{key}s")
            for place in [wanted] if isinstance(wanted, str) else wanted:
                if known and place not in known:
                    yield _at(site, "stages", name, f"when:{key}")(
                        f"no {key} {place!r}", one_of(place, sorted(known))
                    )
