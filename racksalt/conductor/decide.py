"""Decides what one event does to one node: pure, so that every answer can be asked for without doing anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from racksalt.conductor.twins import doubt
from racksalt.conductor.view import (
    EXCUSED,
    Rules,
    View,
    environment,
    facts,
    first_stage,
    next_stage,
)
from racksalt.model.event import EntryKind, Event
from racksalt.model.node import Boot, BootEnvironment, Node
from racksalt.psm.kernel import Kind, Transition
from racksalt.psm.sequences import Stage
from racksalt.psm.table import ANSWER_S, PLANNED

LANES = {
    "revoke_key": "power",
    "revoke_old_key": "power",
    "accept_key": "power",
    "power_cycle": "power",
    "power_on": "power",
    "power_off": "power",
    "ask_agent": "agent",
    "check_agent": "agent",
    "run_stage": "agent",
}
"""Effects that go to the outbox, and the lane in which those of one node follow one another."""
VOIDABLE = frozenset(LANES) - {"revoke_key"}
"""What may become worth nothing; a key that is to be revoked stays to be revoked."""
ASKING = frozenset({"ask_agent", "check_agent"})
"""Questions to the agent: the newest one holds, and none takes away a stage that is still to be handed over."""
INTERNAL = ("new_boot", "approve", "record_inventory", "issue_enrolment")
"""Effects on our own rows, done in the transaction itself."""
TRIES = ("stage_failed", "stage_lost", "deadline_passed", "power_lost", "agent_silent")
"""Events that use up a try when the node stays in its state."""
SEEN_FROM = ("boot", "keys", "jobs")
"""Sources that tell that the node itself is alive."""
POWER_COMMANDS = ("power_on", "power_off", "power_cycle")
JOB_EVENTS = ("stage_succeeded", "stage_failed", "stage_lost")
GONE = "stage_gone"
"""The guard of a node whose stage the site's files took out of its sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to write: the node as it will be, its journal entry, effects for the outbox, boots, inventory.

    ``void`` names the effects of which those that are pending are worth nothing now.
    """

    node: Node
    kind: EntryKind
    message: str
    effects: tuple[tuple[str, dict[str, Any]], ...] = ()
    boots: tuple[Boot, ...] = ()
    inventory: dict[str, Any] | None = None
    void: frozenset[str] = frozenset()
    error: Exception | None = None


def decide(view: View, event: Event, rules: Rules, jid: str) -> Decision:
    """Return what ``event`` does; ``jid`` is the job id to use if a stage is started.

    Raises:
        IllegalEventError: the node's state does not accept the event; nothing changes.
    """
    if "refused" in event.data:
        return Decision(node=view.node, kind="refused", message=str(event.data["refused"]))
    note = _noted(view, event)
    if note:
        return Decision(node=_seen(view.node, event), kind="noted", message=note)
    row = rules.machine.step(view.node.state, event.name, facts(view, event, rules))
    return _apply(view, event, rules, row, jid)


def _noted(view: View, event: Event) -> str:
    """Return why the event is only written down, or nothing."""
    node = view.node
    if "noted" in event.data:
        return str(event.data["noted"])
    if event.source == "bus":
        return "a hint from the event bus: checked against channels that cannot be forged"
    if event.data.get("boot") not in (None, node.boot):
        return f"stale: of boot {event.data['boot']}, the node is on boot {node.boot}"
    if event.name in JOB_EVENTS and event.data.get("jid", node.job) != node.job:
        return f"stale: of job {event.data['jid']}, the node runs {node.job or 'none'}"
    if event.data.get("deadline_at") not in (None, node.deadline_at):
        return "stale: there was progress meanwhile, and with it a new deadline"
    return ""


def _apply(view: View, event: Event, rules: Rules, row: Transition, jid: str) -> Decision:
    node, moved = _seen(view.node, event), row.target != row.source
    stage = _stage(view, event, rules, row)
    node = _moved(node, view, event, rules, row) if moved else node
    node = _counted(node, view, event, row, stage)
    boots = list(_redeemed(view, event))
    if "new_boot" in row.effects:
        env = environment(rules, row.target, stage)
        node = replace(node, boot=node.boot + 1, boot_environment=env, job=None, job_since=None)
        # A boot from the node's own disk hands out no token: the system has that of its enrolment.
        boots.append(_issued(node, env, view.now, 0 if env == "local" else rules.token_ttl_s))
        if env == "local" and view.enrolment is not None:
            # It may have waited for the master for longer than its token was good.
            boots.append(replace(view.enrolment, expires_at=view.now + rules.token_ttl_s))
    boots = _taken(boots, view, event, node)
    if "run_stage" in row.effects and stage is not None:
        boots = _prolonged(boots, view, node, stage.deadline_s * rules.deadline_factor)
    if "issue_enrolment" in row.effects:
        boots.append(_issued(node, "local", view.now, rules.token_ttl_s))
    if "approve" in row.effects:
        node = replace(node, approved=True)
    node = _job(node, event, row, jid, view.now)
    deadline = _deadline(node, view, event, rules, row, stage)
    node = replace(node, deadline_at=deadline, version=view.node.version + 1)
    return Decision(
        node=node,
        kind="transition",
        message=node.reason or ""
        if row.target == "problem"
        else str(event.data.get("message", "")),
        effects=tuple(
            (name, _arguments(name, event, node, stage)) for name in row.effects if name in LANES
        ),
        boots=tuple(boots),
        inventory=_inventory(event, row),
        void=_void(row, event, moved) | _overtaken(view, event),
    )


def _issued(node: Node, env: BootEnvironment, now: float, ttl_s: float) -> Boot:
    return Boot(
        node=node.id, generation=node.boot, environment=env, issued_at=now, expires_at=now + ttl_s
    )


def _seen(node: Node, event: Event) -> Node:
    if event.source == "power" and event.data.get("power") in ("on", "off"):
        return replace(
            node, power=event.data["power"], power_observed_at=event.at, version=node.version + 1
        )
    seen = event.source in SEEN_FROM
    return replace(node, last_seen_at=event.at, version=node.version + 1) if seen else node


def _stage(view: View, event: Event, rules: Rules, row: Transition) -> Stage | None:
    """Return the stage that the node stands before after this row."""
    if rules.machine.states[row.target].sequence is None:
        return None
    if row.target != row.source:
        return first_stage(view, rules, row.target)
    return next_stage(view, rules, event.name)


def _moved(node: Node, view: View, event: Event, rules: Rules, row: Transition) -> Node:
    target = rules.machine.states[row.target]
    trouble = target.kind is Kind.PROBLEM
    # A node that ran from its own disk goes on doing so while a person looks into its problem.
    keeps = target.sequence or (trouble and rules.machine.states[row.source].boots == "local")
    env = node.boot_environment if keeps else target.boots
    return replace(
        node,
        state=row.target,
        state_since=view.now,
        stage_attempt=0,
        job=None,
        job_since=None,
        boot_environment=env,
        origin=row.source if trouble else None,
        reason=_reason(view, event, rules, row) if trouble else None,
        goal=_goal(node, event),
    )


def _goal(node: Node, event: Event) -> str:
    asked = {
        "install": "ready",
        "reinstall": "ready",
        "release": "commissioned",
        "retire": "retired",
    }
    told = event.data.get("goal") if event.source in ("operator", "site") else None
    return str(told or asked.get(event.name) or node.goal)


def _reason(view: View, event: Event, rules: Rules, row: Transition) -> str:
    node = view.node
    if row.guard == GONE:
        return (
            f"stage {node.stage!r} was taken out of sequence {rules.machine.states[node.state].sequence!r} while the "
            f"node was in it: nothing says what comes next; `recover` begins {node.state!r} at its first stage"
        )
    if event.data.get("message"):
        where = f"stage {node.stage}: " if event.name in JOB_EVENTS and node.stage else ""
        # PostgreSQL keeps no NUL in a text.
        return f"{where}{event.data['message']}".replace("\x00", "")
    tries = f" after {node.stage_attempt + 1} tries" if node.stage_attempt else ""
    told = {
        "deadline_passed": f"no progress in {node.state!r} before the deadline{tries}",
        "power_lost": f"the power went off by itself in {node.state!r}{tries}",
        "agent_silent": f"the node started again by itself and its agent is silent{tries}",
        "stage_lost": f"the job of stage {node.stage!r} vanished{tries}",
        "inventory_reported": doubt(view, event),
        "stage_succeeded": doubt(view, event),
    }
    return told.get(event.name, event.name)


def _counted(node: Node, view: View, event: Event, row: Transition, stage: Stage | None) -> Node:
    name = stage.name if stage else None
    # A stage that its sequence has no more stays the node's: without one it would begin the sequence anew.
    gone = stage is None and row.target == row.source
    if not gone and (row.target != row.source or name != view.node.stage):
        return replace(
            node, stage=name if row.target != "problem" else view.node.stage, stage_attempt=0
        )
    counts = event.name in TRIES and not event.data.get(EXCUSED)
    return replace(node, stage_attempt=node.stage_attempt + 1) if counts else node


def _redeemed(view: View, event: Event) -> list[Boot]:
    """Return the boot whose token this event used up."""
    if event.name == "key_proven":
        key = event.data.get("key_sha256")
        return [
            replace(boot, redeemed_at=boot.redeemed_at or view.now, key_sha256=key)
            for boot in _proven(view, event)
        ]
    if (
        event.name == "agent_answered"
        and event.source == "boot"
        and view.boot
        and view.boot.redeemed_at is None
    ):
        return [replace(view.boot, redeemed_at=view.now)]
    return []


def _proven(view: View, event: Event) -> list[Boot]:
    """Return the boot by whose token a key was proven."""
    wanted = event.data.get("generation"), event.data.get("environment")
    return [boot for boot in view.boots if (boot.generation, boot.environment) == wanted]


def _taken(boots: list[Boot], view: View, event: Event, node: Node) -> list[Boot]:
    """Record who fetched the boot script first."""
    if event.name != "boot_requested":
        return boots
    current = _current(boots, view, node)
    if current is None or current.taken_by is not None:
        return boots
    taken = replace(current, taken_at=view.now, taken_by=str(event.data.get("address", "")))
    return [taken, *(boot for boot in boots if boot is not current)]


def _current(boots: list[Boot], view: View, node: Node) -> Boot | None:
    """Return the boot that the node is on, as this event has changed it so far."""
    return next((boot for boot in boots if boot.generation == node.boot), view.boot)


def _prolonged(boots: list[Boot], view: View, node: Node, stage_s: float) -> list[Boot]:
    """Let the boot's token last as long as the stage may take: what comes after a long erasure needs it, too."""
    current, ends = _current(boots, view, node), view.now + stage_s
    if current is None or not current.issued_at < current.expires_at < ends:
        return boots
    return [replace(current, expires_at=ends), *(boot for boot in boots if boot is not current)]


def _job(node: Node, event: Event, row: Transition, jid: str, now: float) -> Node:
    if "run_stage" in row.effects:
        return replace(node, job=jid, job_since=now)
    if event.name in TRIES or row.target != row.source:
        return replace(node, job=None, job_since=None)
    return node


def _deadline(
    node: Node, view: View, event: Event, rules: Rules, row: Transition, stage: Stage | None
) -> float | None:
    state = rules.machine.states[row.target]
    if state.deadline_s is None:
        return None
    if "run_stage" in row.effects and stage is not None:
        return view.now + stage.deadline_s * rules.deadline_factor
    if "accept_key" in row.effects:
        return _answer_by(node, view, event, min(state.deadline_s, ANSWER_S), rules)
    if row.target == row.source and event.name == "boot_requested" and node.deadline_at:
        # A machine that starts again and again makes no progress by it; a new token is good for one boot at least.
        least = view.now + ANSWER_S * rules.deadline_factor if "new_boot" in row.effects else 0.0
        return max(node.deadline_at, least)
    if row.target != row.source or {"new_boot", "ask_agent"} & set(row.effects):
        return view.now + state.deadline_s * rules.deadline_factor
    return node.deadline_at


def _answer_by(node: Node, view: View, event: Event, wait_s: float, rules: Rules) -> float | None:
    """Return by when an agent whose key is proven must answer.

    A key that is proven anew must not cut a job's time, and is no progress: it may wait for ever and never be accepted.
    """
    if node.job:
        return node.deadline_at
    answer, key = view.now + wait_s * rules.deadline_factor, event.data.get("key_sha256")
    again = any(
        boot.redeemed_at is not None and boot.key_sha256 == key for boot in _proven(view, event)
    )
    return min(answer, node.deadline_at) if again and node.deadline_at else answer


def _arguments(name: str, event: Event, node: Node, stage: Stage | None) -> dict[str, Any]:
    if name == "accept_key":
        return {"key_sha256": event.data.get("key_sha256")}
    if name == "run_stage" and stage is not None:
        return {"stage": stage.name, "sls": stage.sls, "jid": node.job}
    return {}


def _inventory(event: Event, row: Transition) -> dict[str, Any] | None:
    """Return what to record. Where a node's disks are written by a plan, the disks stay those of the plan.

    A person saw them in the dry run: one that is plugged in afterwards must not get into it by being there.
    """
    found = event.data.get("inventory")
    wanted = "record_inventory" in row.effects or event.name == "stage_succeeded"
    if not wanted or not isinstance(found, dict):
        return None
    planned = row.source in PLANNED
    return {name: value for name, value in found.items() if not planned or name != "disks"}


def _void(row: Transition, event: Event, moved: bool) -> frozenset[str]:
    if moved or "new_boot" in row.effects:
        return VOIDABLE
    if any(name in POWER_COMMANDS for name in row.effects):
        # The newest wish holds: an older one must not be carried out when a dead BMC comes back.
        return _in_lane("power")
    if "run_stage" in row.effects or event.name in TRIES:
        return _in_lane("agent")
    return ASKING if ASKING & set(row.effects) else frozenset()


def _overtaken(view: View, event: Event) -> frozenset[str]:
    """Return what the node's own proof leaves nothing to do for.

    Who proves the present boot's token is up from it, whoever switched it on: it must not be cut, nor its key wait for
    a dead BMC. A system that proves the token of its enrolment says so only the first time, in its first boot: its key
    may lie in the key store while the node is off.
    """
    if event.name == "agent_answered":
        return frozenset({"power_cycle"})
    if event.name != "key_proven":
        return frozenset()
    up = any(
        boot.generation == view.node.boot
        or (boot.redeemed_at is None and boot.generation == view.node.boot - 1)
        for boot in _proven(view, event)
    )
    return frozenset({"accept_key", "power_cycle"} if up else {"accept_key"})


def _in_lane(lane: str) -> frozenset[str]:
    return frozenset(name for name in VOIDABLE if LANES[name] == lane)
