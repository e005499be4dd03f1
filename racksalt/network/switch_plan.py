"""The way from a switch as it is to one as it should be: ordered, reversible steps with reasons, and a hash.

A plan never touches what racksalt reaches the switch by, and no port that is not declared; only ``clearing`` is about
all ports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

from racksalt.model.errors import SwitchPlanError
from racksalt.model.switch import DEFAULT_VLAN, Switch
from racksalt.network.switches import (
    SETTINGS,
    Observed,
    PortState,
    Setting,
    WantedPort,
    blank,
)

Kind = Literal["bridge", "member", "description", "vlans", "edge", "med"]
OUTSIDE: Final[tuple[Setting, ...]] = ("member", "description", "med")
"""What a port has that belongs to no bridge."""
BRIDGE: Final = ""
"""The port of a step that is about the switch as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of one setting of one port; ``before`` and ``after`` are plain data of ``PortState.value``."""

    port: str
    kind: Kind
    before: Any
    after: Any
    why: str = ""

    def reversed(self) -> Step:
        """Return the step that takes this one back."""
        return replace(self, before=self.after, after=self.before, why="taken back")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "port": self.port,
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "why": self.why,
        }

    @staticmethod
    def of(data: Mapping[str, Any]) -> Step:
        """Return the step that ``as_dict`` made this of."""
        if data["kind"] not in get_args(Kind):
            raise SwitchPlanError(f"no step {data['kind']!r} is known", "use the same release")
        return Step(**{key: data[key] for key in ("port", "kind", "before", "after", "why")})


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPlan:
    """What has to be done to one switch. ``notes`` are what is wanted and this switch cannot do."""

    switch: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    hash: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "switch": self.switch,
            "hash": self.hash,
            "steps": [step.as_dict() for step in self.steps],
            "notes": list(self.notes),
        }


def plan(switch: Switch, want: Mapping[str, WantedPort], observed: Observed) -> SwitchPlan:
    """Return the steps to what is wanted; none when the switch is as it should be.

    Raises:
        SwitchPlanError: a port that the switch does not have, or steps that would cut racksalt off; all are named.
    """
    unknown = sorted(set(want) - set(observed.ports))
    if unknown:
        raise SwitchPlanError(
            f"{switch.name} has no port {', '.join(unknown)}",
            f"it has {', '.join(sorted(observed.ports)) or 'none'}",
        )
    routed = sorted(name for name in want if not observed.ports[name].member)
    if routed and "member" not in observed.settings:
        raise SwitchPlanError(
            f"{switch.name}: {', '.join(routed)} is routed, part of a bond or for management",
            "only switched ports can be declared; make it one by hand, or leave it out",
        )
    return _made(switch, want, observed, _filtering(switch, want, observed))


def clearing(switch: Switch, observed: Observed) -> SwitchPlan:
    """Return the steps to a switch as it comes out of its box, except for what it is reached by.

    Unlike ``plan`` this is about all ports of the bridge, also those that nobody declared.
    """
    kept = {*switch.management_ports, *(port for port, _ in observed.path)}
    want = {
        name: WantedPort(state=_cleared(switch, port), why="cleared")
        for name, port in observed.ports.items()
        if port.member and name not in kept
    }
    return _made(switch, want, observed, ())


def restoring(switch: Switch, began: Mapping[str, Any], observed: Observed) -> SwitchPlan:
    """Return the steps back to what was before an application; ``began`` is what ``before`` told then."""
    want = {
        name: WantedPort(state=port_of(name, state), why="as it was before")
        for name, state in began["ports"].items()
        if name in observed.ports
    }
    made = _made(switch, want, observed, ())
    if observed.bridge == began["bridge"]:
        return made
    last = Step(
        port=BRIDGE, kind="bridge", before=observed.bridge, after=began["bridge"], why="as before"
    )
    return replace(made, steps=(*made.steps, last))


def before(made: SwitchPlan, observed: Observed) -> dict[str, Any]:
    """Return, as plain data, what must be kept to take a plan back: the bridge and the ports that it changes."""
    names = {step.port for step in made.steps} - {BRIDGE}
    return {
        "bridge": observed.bridge,
        "ports": {
            name: {setting: observed.ports[name].value(setting) for setting in SETTINGS}
            for name in sorted(names)
        },
    }


def port_of(name: str, told: Mapping[str, Any]) -> PortState:
    """Return the port that was told by its settings."""
    port = blank(name)
    for setting in SETTINGS:
        port = port.having(setting, told[setting])
    return port


def drift(made: SwitchPlan) -> list[dict[str, Any]]:
    """Return how the switch differs from what is declared: ``{"port", "setting", "declared", "is", "why"}``."""
    return [
        {
            "port": step.port,
            "setting": step.kind,
            "declared": step.after,
            "is": step.before,
            "why": step.why,
        }
        for step in made.steps
    ]


def _cleared(switch: Switch, port: PortState) -> PortState:
    kept = tuple(vlan for vlan in switch.management_vlans if vlan in port.tagged)
    untagged = port.untagged if port.untagged in switch.management_vlans else DEFAULT_VLAN
    return replace(blank(port.name), untagged=untagged, tagged=kept)


def _made(
    switch: Switch,
    want: Mapping[str, WantedPort],
    observed: Observed,
    first: tuple[Step, ...],
) -> SwitchPlan:
    notes: list[str] = []
    steps = [*first]
    for name in sorted(want, key=_natural):
        steps += _steps(want[name], observed, notes)
    cut = [why for step in steps for why in _cuts(switch, observed, step)]
    if cut:
        raise SwitchPlanError(
            f"{switch.name}: the plan would cut off racksalt itself: {'; '.join(cut)}",
            "take these ports out of the declaration, or reach the switch by another port",
        )
    digest = _hash(switch.name, steps, {name: observed.ports[name] for name in want})
    return SwitchPlan(
        switch=switch.name, steps=tuple(steps), notes=tuple(dict.fromkeys(notes)), hash=digest
    )


def _filtering(
    switch: Switch, want: Mapping[str, WantedPort], observed: Observed
) -> tuple[Step, ...]:
    """Return the step that makes the bridge keep VLANs apart, if it does not."""
    if observed.bridge == "filtering" or not want:
        return ()
    members = {name for name, port in observed.ports.items() if port.member}
    _refuse_the_way_in(switch, members, observed)
    others = sorted(members - set(want))
    if others:
        raise SwitchPlanError(
            f"{switch.name} does not keep VLANs apart, and {', '.join(others)} may carry tagged "
            "frames that it would drop once it does",
            "declare these ports (an uplink with `edge: false` and its networks)",
        )
    why = f"the bridge {switch.bridge} must keep VLANs apart"
    return (Step(port=BRIDGE, kind="bridge", before=observed.bridge, after="filtering", why=why),)


def _refuse_the_way_in(switch: Switch, members: set[str], observed: Observed) -> None:
    """Raise SwitchPlanError if filtering could cut the way to the switch.

    A bridge that does not filter passes every tag, whatever its tables of VLANs say, and once it filters, its own table
    decides as well as that of the port. So what works before tells nothing of what works after.
    """
    managed = sorted(members & set(switch.management_ports))
    ways = sorted({name for name, _ in observed.path} & members)
    if managed or ways:
        what = (
            f"the management port {', '.join(managed)} is"
            if managed
            else f"racksalt may come in by {', '.join(ways)}, which is"
        )
        raise SwitchPlanError(
            f"{switch.name} does not keep VLANs apart, and {what} part of its bridge {switch.bridge}",
            "make the bridge filter by hand first, from the console: the VLANs of this way, on the port and on the "
            "bridge itself, before `vlan_filtering 1`",
        )


def _steps(want: WantedPort, observed: Observed, notes: list[str]) -> Iterator[Step]:
    now, then = observed.ports[want.state.name], want.state
    joins = not now.member and then.member
    for setting in SETTINGS if then.member else OUTSIDE:
        # A port that joins a bridge begins with the default VLAN.
        base = now.having("member", value=True) if joins and setting != "member" else now
        before, after = base.value(setting), then.value(setting)
        if before == after:
            continue
        if setting not in observed.settings:
            if after:
                notes.append(f"{setting} cannot be set on this switch")
            continue
        yield Step(port=then.name, kind=setting, before=before, after=after, why=want.why)


def _cuts(switch: Switch, observed: Observed, step: Step) -> Iterator[str]:
    """Yield how a step would cut the way to the switch."""
    if step.kind not in ("vlans", "member") or step.port not in observed.ports:
        return
    port = observed.ports[step.port]
    if step.port in switch.management_ports:
        yield f"{step.port} is a management port"
        return
    after = port.having(step.kind, step.after)
    for vlan in switch.management_vlans:
        if port.carries(vlan) not in ("no", after.carries(vlan)):
            yield f"{step.port} would no longer carry the management VLAN {vlan} as it does"
    for name, way in observed.path:
        if name != step.port:
            continue
        if way is None or (step.kind == "member" and not step.after):
            yield f"{step.port} is the way to the switch"
        elif port.carries(way) != after.carries(way):
            yield f"{step.port} is the way to the switch, in VLAN {way}"


def _hash(name: str, steps: list[Step], ports: Mapping[str, PortState]) -> str:
    """Return what names this plan: its steps, and all of the ports that it was made for, as they are."""
    told = {
        "switch": name,
        "steps": [step.as_dict() for step in steps],
        "ports": {
            port: {setting: state.value(setting) for setting in SETTINGS}
            for port, state in ports.items()
        },
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key by which swp2 comes before swp10."""
    parts: list[tuple[int, int | str]] = []
    text = ""
    for char in f"{name} ":
        if text and char.isdigit() != text[-1].isdigit():
            parts.append((0, int(text)) if text.isdigit() else (1, text))
            text = ""
        text += char
    return (*parts, (1, text))
