"""Linux switches: a bridge that keeps VLANs apart, and lldpd. The model of Cumulus Linux, DENT and SONiC's data plane.

Programs on the switch: ``ip`` and ``bridge`` of iproute2 (5.0 or later, for JSON); where they are, ``lldpcli`` of lldpd
(started with ``-M 4``) and ``mstpctl`` of mstpd.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from racksalt.adapters.switch_runner import Runner
from racksalt.model.errors import SwitchError
from racksalt.model.switch import Switch
from racksalt.network.switch_plan import Step
from racksalt.network.switches import SETTINGS, Observed, PortState

_MARK: Final = "@@racksalt "
_NO_PORTS: Final = frozenset({"bridge", "vlan", "macvlan", "dummy", "tun", "vxlan", "vrf"})
MED_APPLICATION: Final = "voice"
"""The application whose network policy LLDP-MED announces: the one that every implementation knows."""
OPEN: Final = "open the connection by hand and look"
PVID, UNTAGGED = "pvid", "untagged"


class LinuxSwitches:
    """Observes and changes Linux switches; ``runner`` opens the way to one."""

    def __init__(self, runner: Callable[[Switch], Runner]) -> None:
        self._runner = runner
        self._open: dict[Switch, Runner] = {}

    def observe(self, switch: Switch) -> Observed:
        """Return the switch as it is. Raises SwitchError."""
        return observed(switch, sections(switch, self._way(switch).run(observing(switch))))

    def apply(self, switch: Switch, steps: Sequence[Step]) -> None:
        """Carry out steps in order, those of one port at once; SwitchError leaves what is before it done."""
        runner = self._way(switch)
        for _, group in groupby(steps, key=lambda step: step.port):
            lines = [line for step in group for line in commands(switch, step)]
            runner.run("\n".join(["set -e", *lines]))

    def close(self) -> None:
        """End all connections."""
        while self._open:
            closing = getattr(self._open.popitem()[1], "close", None)
            if closing is not None:
                closing()

    def _way(self, switch: Switch) -> Runner:
        # By address, not by equality of all that is declared: ports change, the connection stays.
        key = _address_of(switch)
        if key not in self._open:
            self._open[key] = self._runner(switch)
        return self._open[key]


def _address_of(switch: Switch) -> Any:
    return (
        switch.name,
        switch.address,
        switch.port,
        switch.username,
        switch.secret,
        switch.host_key,
        switch.via,
        switch.namespace,
        switch.minion,
    )


# What is asked.


def observing(switch: Switch) -> str:
    """Return the script that prints, in sections, all that ``observed`` needs; it changes nothing."""
    bridge = shlex.quote(switch.bridge)
    asked = {
        "links": "ip -json -details link show",
        "addresses": "ip -json addr show",
        "vlans": "bridge -json vlan show",
        "ports": "bridge -json -details link show",
        "lldp": "{ lldpcli -f json0 show interfaces details || true; } 2>/dev/null",
        "neighbours": "{ lldpcli -f json0 show neighbors || true; } 2>/dev/null",
        "mstp": f"{{ mstpctl showportdetail {bridge} -f json || true; }} 2>/dev/null",
        "peer": 'echo "${SSH_CONNECTION:-}"',
        "route": "{ ip -json route get ${SSH_CONNECTION%% *} || true; } 2>/dev/null",
        "arp": "ip -json neigh show",
        "fdb": f"{{ bridge -json fdb show br {bridge} || true; }} 2>/dev/null",
    }
    return "set -e\n" + "\n".join(f"echo; echo '{_MARK}{key}'; {it}" for key, it in asked.items())


def sections(switch: Switch, printed: str) -> dict[str, Any]:
    """Take apart what the script printed; SwitchError if it is not what the programs print."""
    found: dict[str, Any] = {}
    for piece in printed.split(f"\n{_MARK}")[1:]:
        name, _, body = piece.partition("\n")
        try:
            found[name] = body.strip() if name == "peer" else json.loads(body.strip() or "[]")
        except ValueError:
            raise SwitchError(f"{switch.name}: {name} is no JSON", OPEN) from None
    missing = {"links", "vlans", "ports"} - found.keys()
    if missing:
        raise SwitchError(f"{switch.name}: it told no {', '.join(sorted(missing))}", OPEN)
    return found


# What it means.


def observed(switch: Switch, told: Mapping[str, Any]) -> Observed:
    """Return a switch's state from the sections that its programs printed."""
    links = {it["ifname"]: it for it in told["links"] if "ifname" in it}
    flags = {it["ifname"]: it for it in told["ports"] if "ifname" in it}
    vlans = {it["ifname"]: it.get("vlans", []) for it in told["vlans"] if "ifname" in it}
    med = _med(told.get("lldp"))
    edges = _admin_edges(told.get("mstp"))
    ports = {}
    for name, link in links.items():
        member = link.get("master") == switch.bridge
        if not member and not _is_port(link, switch):
            continue
        guard = bool(flags.get(name, {}).get("guard"))
        ports[name] = PortState(
            name=name,
            member=member,
            **(_passing(vlans.get(name, [])) if member else {"untagged": None}),
            edge=guard and edges.get(name, True),
            med=(med or {}).get(name, ""),
            description=link.get("ifalias", ""),
        )
    return Observed(
        ports=ports,
        bridge=_bridge(links.get(switch.bridge)),
        settings=frozenset(SETTINGS) - (frozenset({"med"}) if med is None else frozenset()),
        path=tuple(_path(switch, told, links, ports, vlans)),
        neighbours=_neighbours(told.get("neighbours")),
    )


def _is_port(link: Mapping[str, Any], switch: Switch) -> bool:
    kind = (link.get("linkinfo") or {}).get("info_kind")
    plain = link.get("link_type") == "ether" and "master" not in link
    return plain and kind not in _NO_PORTS and link["ifname"] != switch.bridge


def _bridge(link: Mapping[str, Any] | None) -> Any:
    if link is None:
        return "absent"
    data = (link.get("linkinfo") or {}).get("info_data") or {}
    return "filtering" if data.get("vlan_filtering") else "plain"


def _passing(told: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what of a PortState is in the table of VLANs (bridge(8), ``bridge vlan``)."""
    untagged, tagged, stray = None, [], []
    for vlan, flags in sorted(_flags(told).items()):
        if flags == {PVID, UNTAGGED}:
            untagged = vlan
        elif not flags:
            tagged.append(vlan)
        else:
            stray.append(f"{vlan} {'in' if PVID in flags else 'out'}")
    return {"untagged": untagged, "tagged": tuple(tagged), "stray": tuple(stray)}


def _flags(told: Iterable[Mapping[str, Any]]) -> dict[int, frozenset[str]]:
    words = {"PVID": PVID, "Egress Untagged": UNTAGGED}
    found = {}
    for it in told:
        flags = frozenset(words[flag] for flag in it.get("flags", ()) if flag in words)
        for vlan in range(it["vlan"], it.get("vlanEnd", it["vlan"]) + 1):
            found[vlan] = flags
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _interfaces(told: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the interfaces of lldpcli's answer (format json0: every element is a list)."""
    for outer in _listed(told.get("lldp") if isinstance(told, Mapping) else None):
        yield from (it for it in _listed(outer.get("interface")) if isinstance(it, Mapping))


def _med(told: Any) -> dict[str, str] | None:
    """Return what LLDP-MED announces on each port; None if lldpd is not there or does not speak LLDP-MED."""
    found: dict[str, str] = {}
    speaks = False
    for interface in _interfaces(told):
        for med in _listed(interface.get("lldp-med")):
            speaks = True
            for policy in _listed(med.get("policy")):
                if policy.get("apptype", "").lower() == MED_APPLICATION and policy.get("defined"):
                    tag = [it.get("vid") for it in _listed(policy.get("vlan"))]
                    found[interface.get("name", "")] = f"tagged {tag[0]}" if tag else UNTAGGED
    return found if speaks else None


def _neighbours(told: Any) -> dict[str, str]:
    """Return the name (else the id) of the machine that speaks LLDP behind each port."""
    found: dict[str, str] = {}
    for interface in _interfaces(told):
        for chassis in _listed(interface.get("chassis")):
            names = [it.get("value") for key in ("name", "id") for it in _listed(chassis.get(key))]
            known = [it for it in names if it and it != "(none)"]
            found.setdefault(interface.get("name", ""), known[0] if known else "?")
    return found


def _admin_edges(told: Any) -> dict[str, bool]:
    """Return mstpd's admin edge setting by port; nothing where mstpd does not run."""
    return {
        it["port"]: it.get("admin-edge-port") in (True, "yes")
        for it in _listed(told)
        if isinstance(it, Mapping) and "port" in it
    }


# By which way racksalt comes in.


def _path(
    switch: Switch,
    told: Mapping[str, Any],
    links: Mapping[str, Mapping[str, Any]],
    ports: Mapping[str, PortState],
    vlans: Mapping[str, Iterable[Mapping[str, Any]]],
) -> Iterator[tuple[str, int | None]]:
    words = told.get("peer", "").split()
    if len(words) != 4:
        return
    device = _holder(words[2], told.get("addresses", []))
    if device in ports:
        if ports[device].member:
            yield device, None
        return
    vlan = _vlan_of(device, switch, links, vlans)
    if vlan is None:
        return
    doors = _doors(words[0], told, vlan) or [name for name, it in ports.items() if it.member]
    for name in doors:
        yield name, vlan


def _holder(address: str, interfaces: Iterable[Mapping[str, Any]]) -> str:
    for it in interfaces:
        if any(info.get("local") == address for info in it.get("addr_info", ())):
            return str(it["ifname"])
    return ""


def _vlan_of(
    device: str,
    switch: Switch,
    links: Mapping[str, Mapping[str, Any]],
    vlans: Mapping[str, Iterable[Mapping[str, Any]]],
) -> int | None:
    """Return the VLAN in which an interface of the switch itself hangs on the bridge; None if it does not."""
    if device == switch.bridge:
        return next((n for n, it in _flags(vlans.get(device, ())).items() if PVID in it), None)
    link = links.get(device, {})
    info = link.get("linkinfo") or {}
    if link.get("link") == switch.bridge and info.get("info_kind") == "vlan":
        return int(info["info_data"]["id"])
    return None


def _doors(client: str, told: Mapping[str, Any], vlan: int) -> list[str]:
    """Return the ports behind which the next hop towards the client was last seen."""
    routes = _listed(told.get("route"))
    hop = routes[0].get("gateway", client) if routes else client
    macs = {it.get("lladdr") for it in _listed(told.get("arp")) if it.get("dst") == hop} - {None}
    return sorted(
        {
            it["ifname"]
            for it in _listed(told.get("fdb"))
            if it.get("mac") in macs and it.get("vlan") == vlan and it.get("ifname")
        }
    )


# What is done.


def commands(switch: Switch, step: Step) -> list[str]:
    """Return the shell lines of one step; each may run twice."""
    port, bridge = shlex.quote(step.port), shlex.quote(switch.bridge)
    if step.kind == "bridge":
        return _bridge_lines(bridge, step)
    if step.kind == "member":
        if not step.after:
            return [f"ip link set dev {port} nomaster"]
        return [f"ip link set dev {port} master {bridge}", f"ip link set dev {port} up"]
    if step.kind == "description":
        return [f"ip link set dev {port} alias {shlex.quote(step.after)}"]
    if step.kind == "vlans":
        return _vlan_lines(port, step)
    if step.kind == "edge":
        word, yes = ("on", "yes") if step.after else ("off", "no")
        there = f"command -v mstpctl >/dev/null && mstpctl showbridge {bridge} >/dev/null 2>&1"
        mstp = f"mstpctl setportadminedge {bridge} {port} {yes}"
        return [f"bridge link set dev {port} guard {word}", f"if {there}; then {mstp}; fi"]
    policy = f"lldpcli configure ports {port} med policy application {MED_APPLICATION}"
    return [policy + _med_words(step.after)]


def _med_words(wanted: str) -> str:
    """Return how lldpcli(8) says it. A policy cannot be taken away, only be made unknown."""
    if not wanted:
        return " unknown"
    return f" tagged vlan {int(wanted.split()[1])}" if wanted != UNTAGGED else ""


def _bridge_lines(bridge: str, step: Step) -> list[str]:
    if step.after == "absent":
        return [f"ip link del dev {bridge}"]
    made = [f"ip link add name {bridge} type bridge", f"ip link set dev {bridge} up"]
    filtering = int(step.after == "filtering")
    setting = f"ip link set dev {bridge} type bridge vlan_filtering {filtering}"
    return [*(made if step.before == "absent" else []), setting]


def _vlan_lines(port: str, step: Step) -> list[str]:
    """Return what leads from one table of VLANs to another: first what comes, then what goes."""
    now, then = _table(step.before), _table(step.after)
    coming = [
        f"bridge vlan add dev {port} vid {vlan} {' '.join(sorted(flags))}".rstrip()
        for vlan, flags in sorted(then.items(), key=lambda it: (PVID in it[1], it[0]))
        if now.get(vlan) != flags
    ]
    return coming + [f"bridge vlan del dev {port} vid {vlan}" for vlan in sorted(now.keys() - then)]


def _table(value: Mapping[str, Any]) -> dict[int, frozenset[str]]:
    found = {int(vlan): frozenset[str]() for vlan in value["tagged"]}
    for told in value.get("stray", ()):
        vlan, way = told.split()
        found[int(vlan)] = frozenset({PVID if way == "in" else UNTAGGED})
    if value["untagged"] is not None:
        found[int(value["untagged"])] = frozenset({PVID, UNTAGGED})
    return found
