"""Vendors' configuration as text: written from ports, and read back into ports. The differences are tables, not code.

Two families: interface blocks (Arista EOS, Cisco IOS and NX-OS) and ``set`` lines (Junos). LLDP-MED is left out: its
words differ from release to release, so a plan says that it cannot be set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from racksalt.model.switch import DEFAULT_VLAN
from racksalt.network.switches import LONGEST, PortState

SETTINGS: Final = frozenset({"vlans", "edge", "description"})
"""What can be set in this way."""
LAST_VLAN: Final = 4094
_PORT = re.compile(r"^interface (\S+)\s*$")
_LIST = re.compile(r"^switchport trunk allowed vlan (?:(add) )?(\S+)$")
_SET = re.compile(r"^set interfaces (\S+) (.+)$")
_JUNOS_VLAN = re.compile(r"^set vlans (\S+) vlan-id (\d+)$")
_JUNOS_EDGE = re.compile(r"^set protocols \S+ interface (\S+) edge$")
_ROUTED = re.compile(
    r"^(no switchport$|ip address|ipv6 address|vrf |channel-group )|^unit \d+ family inet|^ether-options 802.3ad"
)
_NO_PORT = re.compile(
    r"^(vlan|mgmt|management|loopback|tunnel|nve|null|port-channel|irb|lo|fxp|em|me|vme)",
    re.IGNORECASE,
)
SWITCHING: Final = "unit 0 family ethernet-switching"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The words of one operating system with interface blocks. ``{}`` takes a VLAN or a list of them."""

    edge_on: tuple[str, ...]
    edge_on_trunk: tuple[str, ...]
    edge_off: tuple[str, ...]
    edge_means: str
    comma: str = ","


_PORTFAST = "spanning-tree portfast"
_GUARD = "spanning-tree bpduguard enable"
DIALECTS: Final[Mapping[str, Dialect]] = {
    "eos": Dialect(
        edge_on=(_PORTFAST, _GUARD),
        edge_on_trunk=(_PORTFAST, _GUARD),
        edge_off=("no spanning-tree portfast", "no spanning-tree bpduguard"),
        edge_means=_PORTFAST,
    ),
    "ios": Dialect(
        edge_on=(_PORTFAST, _GUARD),
        edge_on_trunk=(f"{_PORTFAST} trunk", _GUARD),
        edge_off=("no spanning-tree portfast", "no spanning-tree bpduguard"),
        edge_means=_PORTFAST,
    ),
    "nxos": Dialect(
        edge_on=("spanning-tree port type edge", _GUARD),
        edge_on_trunk=("spanning-tree port type edge trunk", _GUARD),
        edge_off=("no spanning-tree port type", "no spanning-tree bpduguard"),
        edge_means="spanning-tree port type edge",
    ),
}
ALIASES: Final = {"nxos_ssh": "nxos", "mock": "eos"}


def written(platform: str, changes: Iterable[tuple[PortState, PortState]]) -> str:
    """Return the text that leads from each port as it is to the same port as it should be (before, after)."""
    pairs = sorted(changes, key=lambda it: it[0].name)
    if platform == "junos":
        return _junos(pairs)
    return _blocks(DIALECTS[ALIASES.get(platform, platform)], pairs)


def read(platform: str, text: str, names: Iterable[str]) -> dict[str, PortState]:
    """Return the ports that a configuration tells, of those named; a port that it does not mention has the defaults."""
    if platform == "junos":
        return _read_junos(text, names)
    return _read_blocks(DIALECTS[ALIASES.get(platform, platform)], text, names)


def one_line(text: str) -> str:
    """Return a description that no command line can take for anything else."""
    return re.sub(r"[^A-Za-z0-9 ._:/@+-]", "_", text)[:LONGEST]


def ranges(vlans: Iterable[int]) -> str:
    """Return VLANs as switches write them, such as ``10,12-14``."""
    parts: list[list[int]] = []
    for vlan in sorted(set(vlans)):
        if parts and parts[-1][1] == vlan - 1:
            parts[-1][1] = vlan
        else:
            parts.append([vlan, vlan])
    return ",".join(str(one) if one == last else f"{one}-{last}" for one, last in parts)


def listed(text: str) -> set[int]:
    """Return the VLANs of such a text; ``all`` and ``none`` are understood."""
    if text in ("all", "none"):
        return set(range(1, LAST_VLAN + 1)) if text == "all" else set()
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


# Interface blocks.


def _blocks(words: Dialect, pairs: Iterable[tuple[PortState, PortState]]) -> str:
    lines: list[str] = []
    vlans: set[int] = set()
    for before, after in pairs:
        body: list[str] = []
        if before.value("description") != after.value("description"):
            told = one_line(after.description)
            body.append(f"description {told}" if told else "no description")
        if before.value("vlans") != after.value("vlans"):
            body += ["switchport", *_switchport(after)]
            vlans |= {*after.tagged, *([after.untagged] if after.untagged else [])}
        trunk_came = bool(before.tagged) != bool(after.tagged)
        if before.edge != after.edge or (after.edge and trunk_came):
            body += _edge(words, after)
        lines += [f"interface {after.name}", *(f"   {line}" for line in body)] if body else []
    made = [f"vlan {vlan}" for vlan in sorted(vlans - {DEFAULT_VLAN})]
    return "\n".join([*made, *lines, ""])


def _edge(words: Dialect, port: PortState) -> tuple[str, ...]:
    if not port.edge:
        return words.edge_off
    return words.edge_on_trunk if port.tagged else words.edge_on


def _switchport(port: PortState) -> list[str]:
    if not port.tagged and port.untagged is not None:
        return ["switchport mode access", f"switchport access vlan {port.untagged}"]
    carried = {*port.tagged, *([port.untagged] if port.untagged is not None else [])}
    native = port.untagged
    if native is None and DEFAULT_VLAN in carried:
        native = next(vlan for vlan in range(LAST_VLAN, 0, -1) if vlan not in carried)
    # Without a native VLAN the default one is taken, and what is not allowed is dropped.
    told = f"switchport trunk native vlan {native}" if native else "no switchport trunk native vlan"
    allowed = f"switchport trunk allowed vlan {ranges(carried) or 'none'}"
    return ["switchport mode trunk", told, allowed]


def _read_blocks(words: Dialect, text: str, names: Iterable[str]) -> dict[str, PortState]:
    bodies: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        found = _PORT.match(line)
        if found or not line.startswith(" "):
            name = found[1] if found else ""
        elif name:
            bodies.setdefault(name, []).append(line.strip())
    return {name: _read_block(words, name, bodies.get(name, [])) for name in names}


def _read_block(words: Dialect, name: str, body: Iterable[str]) -> PortState:
    lines = list(body)
    told = {"mode": "access", "access": str(DEFAULT_VLAN), "native": str(DEFAULT_VLAN)}
    allowed: set[int] | None = None
    keys = {
        "switchport mode ": "mode",
        "switchport access vlan ": "access",
        "switchport trunk native vlan ": "native",
        "description ": "description",
    }
    for line in lines:
        for start, key in keys.items():
            if line.startswith(start):
                told[key] = line.removeprefix(start)
        found = _LIST.match(line)
        if found:
            allowed = (allowed or set() if found[1] else set()) | listed(found[2])
    edge = any(it.startswith(words.edge_means) and not it.endswith("disable") for it in lines)
    member = _switches(name, lines)
    port = PortState(name=name, member=member, edge=edge, description=told.get("description", ""))
    if told["mode"] != "trunk":
        return replace(port, untagged=int(told["access"]))
    carried = listed("all") if allowed is None else allowed
    native = int(told["native"]) if told["native"].isdigit() else None
    untagged = native if native in carried else None
    return replace(port, untagged=untagged, tagged=tuple(sorted(carried - {native})))


def _switches(name: str, lines: Iterable[str]) -> bool:
    """Return whether a port keeps to itself what VLANs are: it is not routed, not part of a bond, and no management."""
    return not _NO_PORT.match(name) and not any(map(_ROUTED.match, lines))


# Lines that begin with set (Junos).


def _junos(pairs: Iterable[tuple[PortState, PortState]]) -> str:
    lines: list[str] = []
    vlans: set[int] = set()
    for before, after in pairs:
        at = f"interfaces {after.name}"
        if before.description != after.description:
            told = one_line(after.description)
            lines.append(f'set {at} description "{told}"' if told else f"delete {at} description")
        if before.value("vlans") != after.value("vlans"):
            lines += _junos_vlans(at, before, after)
            vlans |= {*after.tagged, *([after.untagged] if after.untagged else [])}
        if before.edge != after.edge:
            verb = "set" if after.edge else "delete"
            lines.append(f"{verb} protocols rstp interface {after.name} edge")
            lines += ["set protocols rstp bpdu-block-on-edge"] if after.edge else []
    made = [f"set vlans v{vlan} vlan-id {vlan}" for vlan in sorted(vlans - {DEFAULT_VLAN})]
    return "\n".join([*made, *lines, ""])


def _junos_vlans(at: str, before: PortState, after: PortState) -> list[str]:
    # What is not there cannot be deleted: Junos refuses the whole text.
    told = before.untagged not in (None, DEFAULT_VLAN) or before.tagged
    lines = [f"delete {at} {SWITCHING} vlan"] if told else []
    if before.tagged and before.untagged is not None:
        lines.append(f"delete {at} native-vlan-id")
    trunk = bool(after.tagged) or after.untagged is None
    lines.append(f"set {at} {SWITCHING} interface-mode {'trunk' if trunk else 'access'}")
    members = {*after.tagged, *([after.untagged] if after.untagged is not None else [])}
    if trunk or members != {DEFAULT_VLAN}:
        lines += [f"set {at} {SWITCHING} vlan members {vlan}" for vlan in sorted(members)]
    if after.tagged and after.untagged is not None:
        lines.append(f"set {at} native-vlan-id {after.untagged}")
    return lines


def _read_junos(text: str, names: Iterable[str]) -> dict[str, PortState]:
    lines = [line.strip() for line in text.splitlines()]
    ids = {found[1]: found[2] for line in lines if (found := _JUNOS_VLAN.match(line))}
    edges = {found[1].split(".")[0] for line in lines if (found := _JUNOS_EDGE.match(line))}
    told: dict[str, list[str]] = {}
    for line in lines:
        found = _SET.match(line)
        if found:
            told.setdefault(found[1], []).append(found[2])
    vlan_of: Callable[[str], str] = lambda name: ids.get(name, name)  # noqa: E731 - names become numbers
    return {
        name: _read_junos_port(name, told.get(name, []), vlan_of, edge=name in edges)
        for name in names
    }


def _read_junos_port(
    name: str, told: Iterable[str], vlan_of: Callable[[str], str], *, edge: bool
) -> PortState:
    told = list(told)
    port = PortState(name=name, member=_switches(name, told), edge=edge)
    trunk, native, members = False, None, set[int]()
    for line in told:
        last = line.rpartition(" ")[2]
        if line.startswith("description "):
            port = replace(port, description=line.removeprefix("description ").strip('"'))
        elif line.startswith(f"{SWITCHING} interface-mode "):
            trunk = last == "trunk"
        elif line.startswith(f"{SWITCHING} vlan members "):
            members |= listed(vlan_of(last))
        elif line.startswith("native-vlan-id "):
            native = int(last)
    if not trunk:
        return replace(port, untagged=min(members) if members else DEFAULT_VLAN)
    untagged = native if native in members else None
    return replace(port, untagged=untagged, tagged=tuple(sorted(members - {untagged})))
