"""Answers `why NODE`: what it waits for, since when, what was last seen, and what a person can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from racksalt.model.event import Entry
from racksalt.model.node import Node
from racksalt.psm.kernel import Kind, Machine

REMEDIES = {
    "declared": "`commission` it, or switch it on with the network as its first boot device.",
    "discovered": "`approve` it, or declare a node with its MAC (policy `approve: manifest`) and boot it again.",
    "commissioned": "`install` it.",
    "ready": "Nothing: it runs. `reinstall`, `release` and `retire` send it on.",
    "retired": "Nothing. `commission` takes it back into service.",
    "problem": (
        "Mend the cause, then `recover` it (begins the state in which it arose at its first stage), `commission`, "
        "`reinstall` or `retire` it."
    ),
}
PATIENCE = "Wait until the deadline: it is tried again by itself, and parks in `problem` when its budget is spent."
BMC = "Look at its BMC: address, network, password in the secrets file."

BY_HAND = "Switch it off and on by hand, with the network as its first boot device: it has no BMC that could."

WAITS = {
    "revoke_key": "its old minion key to be revoked",
    "revoke_old_key": "a minion key that was accepted earlier under its name to be revoked",
    "accept_key": "its proven minion key to be accepted",
    "power_cycle": "its BMC to switch it off and on",
    "power_on": "its BMC to switch it on",
    "power_off": "its BMC to switch it off",
    "ask_agent": "its agent to come up and answer",
    "check_agent": "its agent to say whether it really started again",
    "run_stage": "its stage to be handed to its agent",
}


def why(
    node: Node, machine: Machine, pending: Sequence[dict[str, Any]], recent: Sequence[Entry]
) -> dict[str, Any]:
    """Return the answer as plain data; ``recent`` is the node's history, newest first."""
    state = machine.states[node.state]
    errors = [row["error"] for row in pending if row["error"]]
    last = recent[0] if recent else None
    by_hand = state.kind is Kind.BUSY and not node.job and _by_hand(node, recent)
    return {
        "node": node.id,
        "state": node.state,
        "meaning": state.meaning,
        "stage": node.stage,
        "waits_for": _waits(node, state.kind, pending, by_hand),
        "since": node.state_since,
        "deadline_at": node.deadline_at,
        "tries": node.stage_attempt,
        "reason": node.reason,
        "origin": node.origin,
        "last_error": errors[0] if errors else None,
        "last_seen_at": node.last_seen_at,
        "last_entry": None
        if last is None
        else {"seq": last.seq, "event": last.event, "message": last.message},
        "refused": [entry.message for entry in recent if entry.kind == "refused"][:5],
        "what_to_do": _remedy(node, state.kind, errors, by_hand),
        "legal": machine.legal(node.state),
        "pending": list(pending),
    }


def _by_hand(node: Node, recent: Sequence[Entry]) -> bool:
    """Say whether the present boot was to be begun by a BMC that the node has not, and did not begin since."""
    return any(
        entry.event == "effect_failed"
        and entry.kind == "noted"
        and entry.detail.get("boot") == node.boot
        and (node.last_seen_at or 0.0) <= entry.at
        for entry in recent
    )


def _waits(node: Node, kind: Kind, pending: Sequence[dict[str, Any]], by_hand: bool) -> str:
    if by_hand:
        return "a person to switch it off and on by hand"
    if pending:
        name = str(pending[0]["name"])
        return WAITS.get(name, name)
    if node.job:
        return f"stage {node.stage!r} to end (job {node.job})"
    if kind is Kind.BUSY:
        return f"the node to boot {node.boot_environment} and its agent to come up"
    return "a person" if kind is Kind.PROBLEM or node.state == "discovered" else "nothing"


def _remedy(node: Node, kind: Kind, errors: Sequence[str], by_hand: bool) -> str:
    if by_hand:
        return f"{BY_HAND} {PATIENCE}"
    if kind is Kind.BUSY:
        bmc = any("BMC" in error or "bmc" in error for error in errors)
        return f"{BMC} {PATIENCE}" if bmc else PATIENCE
    return REMEDIES.get(node.state, "")
