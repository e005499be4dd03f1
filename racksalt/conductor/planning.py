"""Plans a command without doing anything: the machine itself is walked on paper, as if all went well."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from racksalt.conductor.decide import decide
from racksalt.conductor.view import Rules, View
from racksalt.model.errors import RacksaltError
from racksalt.model.event import Event
from racksalt.model.node import Disk, Node
from racksalt.psm.kernel import Kind

MOST_STEPS = 500
JID = "0" * 20


@dataclass(slots=True)
class NodePlan:
    """What one node would go through. ``disks_wiped`` names the disks that destructive stages may write to."""

    node: str
    transitions: list[dict[str, Any]] = field(default_factory=list)
    reboots: int = 0
    disks_wiped: list[str] = field(default_factory=list)
    ends_in: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {
            "node": self.node,
            "transitions": self.transitions,
            "reboots": self.reboots,
            "disks_wiped": self.disks_wiped,
            "ends_in": self.ends_in,
        }


def plan_node(view: View, command: Event, disks: list[Disk], rules: Rules) -> NodePlan:
    """Walk the machine from ``command`` to the next rest.

    Raises:
        IllegalEventError: the node's state does not accept the command.
    """
    plan, event = NodePlan(view.node.id), command
    names = [
        f"{disk.name} ({disk.size_gb or '?'} GB, serial {disk.serial or 'unknown'})"
        for disk in sorted(disks, key=lambda it: it.name)  # the store keeps them in no order
    ]
    for _ in range(MOST_STEPS):
        before = view.node
        decision = decide(view, event, rules, JID)
        after = decision.node
        plan.reboots += after.boot - before.boot
        if (after.state, after.stage) != (before.state, before.stage):
            step = {
                "from": before.state,
                "event": event.name,
                "to": after.state,
                "stage": after.stage,
            }
            plan.transitions.append(step)
        stage = rules.sequences.stages.get(after.stage or "")
        if stage is not None and stage.destructive and after.job:
            plan.disks_wiped = names or ["every disk (none is known yet)"]
        view = View(node=after, boots=(), hardware=view.hardware, now=view.now)
        if rules.machine.states[after.state].kind is not Kind.BUSY:
            break
        event = _expected(after, command)
    plan.ends_in = view.node.state
    return plan


def _expected(node: Node, command: Event) -> Event:
    """Return what happens next when all goes well."""
    name, data = "agent_answered", {}
    if node.job:
        name, data = "stage_succeeded", {"jid": node.job}
    elif node.state == "discovering":
        name = "inventory_reported"
    return Event(id="plan", node=node.id, name=name, at=command.at, source="jobs", data=data)


def plan_hash(plans: list[dict[str, Any]]) -> str:
    """Return the hash by which a commit names the plan that was reviewed."""
    return hashlib.sha256(json.dumps(plans, sort_keys=True).encode()).hexdigest()[:16]


def refusal(node: str, error: RacksaltError) -> dict[str, Any]:
    """Return why a node cannot follow a command, as plain data."""
    return {
        "node": node,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "legal": list(error.detail.get("legal", ())),
    }
