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
    "problem": "Mend the cause, then `recover` it (goes on where it was), `commission`, `reinstall` or `retire` it.",
}
PATIENCE = "Wait until the deadline: it is tried again by itself, and parks in `problem` when its budget is spent."
BMC = "Look at its BMC: address, network, password in the secrets file."

WAITS = {
    "revoke_key": "its old minion key to be revoked",
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
    return {
        "node": node.id,
        "state": node.state,
        "meaning": state.meaning,
        "stage": node.stage,
        "waits_for": _waits(node, state.kind, pending),
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
        "what_to_do": _remedy(node, state.kind, errors),
        "legal": machine.legal(node.state),
        "pending": list(pending),
    }


def _waits(node: Node, kind: Kind, pending: Sequence[dict[str, Any]]) -> str:
    if pending:
        name = str(pending[0]["name"])
        return WAITS.get(name, name)
    if node.job:
        return f"stage {node.stage!r} to end (job {node.job})"
    if kind is Kind.BUSY:
        return f"the node to boot {node.boot_environment} and its agent to come up"
    return "a person" if kind is Kind.PROBLEM or node.state == "discovered" else "nothing"


def _remedy(node: Node, kind: Kind, errors: Sequence[str]) -> str:
    if kind is Kind.BUSY:
        bmc = any("BMC" in error or "bmc" in error for error in errors)
        return f"{BMC} {PATIENCE}" if bmc else PATIENCE
    return REMEDIES.get(node.state, "")
