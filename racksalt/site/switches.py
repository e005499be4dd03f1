"""The section ``switches``: from its maps to Switches, and what cannot be true of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from racksalt.model.switch import Switch, SwitchPort
from racksalt.site.fields import Section, parse
from racksalt.site.problems import SiteProblem, one_of
from racksalt.wire import NODE_ID

if TYPE_CHECKING:
    from racksalt.site.schema import Declarations

_PORT: Final = re.compile(r"^[A-Za-z][A-Za-z0-9_./:-]{0,63}\Z")
_LINUX_PORT: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
_PLAIN: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_SECRET: Final = re.compile(r"^file:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_HOST_KEY: Final = re.compile(r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]+={0,2}\Z")
_TEXT: Final = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9 ._:/@+-]{0,62}[A-Za-z0-9])?\Z")
_ONLY_LINUX: Final = ("minion", "host_key", "namespace")
Say = Callable[..., SiteProblem]


def switches(sections: Mapping[str, Section]) -> dict[str, Switch]:
    """Return the switches that parse, with those of their ports that parse."""
    found = {}
    for name, where in sections.items():
        ports = _ports(where)
        switch = parse(Switch, where, given={"name": name, "ports": ports}, skip=("ports",))
        if switch is not None:
            found[name] = switch
    return found


def _ports(where: Section) -> dict[str, SwitchPort]:
    inner = where.below("ports")
    if inner is None:
        return {}
    if not isinstance(inner.body, Mapping):
        inner.say("", "is not a map", "write a port's name and a colon for each entry")
        return {}
    found = {}
    for name, body in inner.body.items():
        at = Section(inner.file, f"{inner.key}:{name}", body, inner.problems)
        if not isinstance(name, str):
            at.say("", "the name is not text", "put it in quotes")
            continue
        port = parse(SwitchPort, at, given={"name": name})
        if port is not None:
            found[name] = port
    return found


def check_switches(site: Declarations) -> Iterator[SiteProblem]:
    """Yield what makes no sense in the switches and their ports."""
    reached: dict[tuple[Any, ...], str] = {}
    for switch in site.switches.values():
        at = _at(site, switch)
        yield from _itself(site, switch, at)
        yield from _access(switch, at)
        where = (switch.via, switch.address, switch.port, switch.namespace, switch.bridge)
        if where in reached and switch.platform != "mock":
            yield at("address", f"is {reached[where]}'s too", "each switch has its own")
        reached.setdefault(where, switch.name)
        for port in switch.ports.values():
            yield from _port(site, switch, port, at)
        yield from _vlans(site, switch, at)


def _at(site: Declarations, switch: Switch) -> Say:
    file = site.files.get(("switches", switch.name), "")
    path = f"switches:{switch.name}"
    return lambda key, message, hint="": SiteProblem(
        file, f"{path}:{key}" if key else path, message, hint
    )


def _itself(site: Declarations, switch: Switch, at: Say) -> Iterator[SiteProblem]:
    racks = {name for where, name in site.files if where == "racks"}
    if not NODE_ID.match(switch.name):
        yield at("", "is no legal name", "use lower-case letters, digits, dots and hyphens")
    if switch.rack not in racks:
        yield at("rack", f"no rack {switch.rack!r}", one_of(switch.rack, sorted(racks)))
    for vlan in switch.management_vlans:
        if not 1 <= vlan <= 4094:
            yield at("management_vlans", f"{vlan} is not between 1 and 4094")
    for name in sorted(set(switch.management_ports) & set(switch.ports)):
        yield at(f"ports:{name}", "is the management port", "leave it out: it is never changed")


def _access(switch: Switch, at: Say) -> Iterator[SiteProblem]:
    remote = switch.driver == "napalm" or switch.via == "ssh"
    if remote and (not switch.address or re.search(r"[\s/@]", switch.address)):
        yield at("address", "is no IP address or host name", "say how the switch is reached")
    if switch.address and switch.address.startswith("-"):
        yield at("address", "begins with a hyphen", "write an IP address or host name")
    if not _PLAIN.match(switch.username):
        yield at("username", "is no login name", "use letters, digits, dots and hyphens")
    if switch.port is not None and not 1 <= switch.port <= 65535:
        yield at("port", "is not between 1 and 65535")
    if remote and not (switch.secret and _SECRET.match(switch.secret)):
        hint = "write file:NAME for the file NAME in the folder `switches` of the secrets folder"
        yield at("secret", "does not name a secret", hint)
    if switch.driver == "napalm":
        if switch.platform is None:
            yield at("platform", "is missing", "say the operating system, such as eos")
        for key in _ONLY_LINUX:
            if getattr(switch, key) is not None:
                yield at(key, "goes with `driver: linux` only", "leave it out")
        return
    if switch.platform is not None:
        yield at("platform", "goes with `driver: napalm` only", "leave it out")
    if switch.via == "ssh" and not _HOST_KEY.match(switch.host_key or ""):
        yield at("host_key", "is no public host key", "write `ssh-ed25519 AAAA…`, as it is pinned")
    for key in ("bridge", "namespace"):
        value = getattr(switch, key)
        if value is not None and not _LINUX_PORT.match(value):
            yield at(key, f"{value!r} is no name of it", "at most 15 letters, digits, `-_.`")
    if switch.minion is not None and not NODE_ID.match(switch.minion):
        yield at("minion", "is no legal minion id", "write the id of the switch's Salt minion")


def _port(site: Declarations, switch: Switch, port: SwitchPort, at: Say) -> Iterator[SiteProblem]:
    key = f"ports:{port.name}"
    legal = _LINUX_PORT if switch.driver == "linux" else _PORT
    if not legal.match(port.name):
        yield at(key, f"{port.name!r} is no port's name", "write it as the switch spells it")
    racks = {name for where, name in site.files if where == "racks"}
    if port.rack is not None and port.rack not in racks:
        yield at(f"{key}:rack", f"no rack {port.rack!r}", one_of(port.rack, sorted(racks)))
    rack = site.racks.get(port.rack or switch.rack)
    if port.position_u is not None and not 1 <= port.position_u <= (rack.height_u if rack else 100):
        yield at(f"{key}:position_u", f"U{port.position_u} is not in the rack")
    if port.position_u is None and port.networks is None:
        yield at(key, "says neither who is there nor what it carries", "add position_u or networks")
    if not port.edge and port.lldp_med:
        yield at(f"{key}:lldp_med", "is for edge ports", "leave out one of the two")
    if port.description is not None and not _TEXT.match(port.description):
        hint = "at most 64 letters, digits, blanks and ._:/@+-"
        yield at(f"{key}:description", "has what some switches cannot keep", hint)
    yield from _carried(site, port, lambda inner, *rest: at(f"{key}:{inner}", *rest))


def _carried(site: Declarations, port: SwitchPort, at: Say) -> Iterator[SiteProblem]:
    known = {name for where, name in site.files if where == "networks"}
    named = [("networks", name) for name in port.networks or ()]
    if port.untagged is not None:
        named.append(("untagged", port.untagged))
    for inner, name in named:
        network = site.networks.get(name)
        if name not in known:
            yield at(inner, f"no network {name!r}", one_of(name, sorted(known)))
        elif network is not None and network.vlan is None:
            yield at(inner, f"{name} has no VLAN", f"add `vlan:` to networks:{name}")
    if port.untagged and port.networks is not None and port.untagged not in port.networks:
        yield at("untagged", f"{port.untagged} is not in `networks`", "add it there")


def _vlans(site: Declarations, switch: Switch, at: Say) -> Iterator[SiteProblem]:
    """Yield the networks of one switch that have the same VLAN: it cannot tell them apart."""
    of_vlan: dict[int, str] = {}
    for port in switch.ports.values():
        for name in (*(port.networks or ()), *([port.untagged] if port.untagged else [])):
            network = site.networks.get(name)
            if network is None or network.vlan is None:
                continue
            other = of_vlan.setdefault(network.vlan, name)
            if other != name:
                hint = "one switch has one network for each VLAN"
                message = f"VLAN {network.vlan} is {other}'s on this switch"
                yield at(f"ports:{port.name}:networks", message, hint)
