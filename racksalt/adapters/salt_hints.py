"""What one event on Salt's bus may mean to racksalt. Pure; every field comes from whoever fired it.

Tags: ``racksalt/node/<id>/event/<event>`` (racksalt.wire), ``salt/auth``, ``salt/minion/<id>/start``,
``salt/job/<jid>/ret/<id>`` ("Salt Master Events" in Salt's documentation).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from racksalt import wire

DATA_BYTES = 2048
"""The longest data of an event that are kept, as JSON: nothing is decided by them, they are only written down."""
ID_CHARS = 200
_EVENT_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
_PROOF = re.compile(r"[0-9a-f]{64}")
_KEY_BYTES = 4096
"""The longest key, in PEM, whose sign-in is looked at: an RSA key of 16,384 bits has 2,900."""
_DEPTH = 16
_OURS = frozenset({"event_id", "refused", "noted", "effects"})
"""What only racksalt itself may put into an event's data: it chooses the journal entry's kind and words."""

HintKind = Literal["event", "proof", "started", "returned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """One thing that may have happened to ``node``. ``id`` is the same when the same event is read twice.

    ``event``: ``name`` and ``data`` as fired. ``proof``: data has key_sha256, public_key, proof and
    act (Salt's word: pend, denied, accept, …). ``started``: the minion says it started.
    ``returned``: data has jid. ``actor`` is who claims to have fired it; a claim, no more.
    """

    kind: HintKind
    id: str
    node: str
    at: float
    name: str = ""
    actor: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def hint_of(tag: str, payload: Any, at: float) -> Hint | None:
    """Return the hint in one bus event read at ``at``, or None when it is nothing to racksalt."""
    if not isinstance(payload, dict):
        return None
    if tag == "salt/auth":
        return _proof(payload, at)
    inbound = wire.parse(tag)
    if inbound:
        return _node_event(tag, inbound, payload, at)
    returned = wire.job_returned(tag)
    if returned:
        jid, node = returned
        return Hint(kind="returned", id=_bus_id(node, jid), node=node, at=at, data={"jid": jid})
    node_started = wire.minion_started(tag)
    if node_started:
        digest = _digest(tag, payload)
        return Hint(kind="started", id=_bus_id(node_started, digest), node=node_started, at=at)
    return None


def _node_event(tag: str, inbound: wire.Inbound, payload: dict[str, Any], at: float) -> Hint:
    """Return the hint of a node event; its own event id holds for that node alone."""
    inner = payload.get("data")
    data = inner if isinstance(inner, dict) else {}
    given = data.get("event_id", payload.get("event_id"))
    event_id = _digest(tag, payload)
    if isinstance(given, str) and _EVENT_ID.fullmatch(given):
        event_id = given
    return Hint(
        kind="event",
        id=_bus_id(inbound.node, event_id),
        node=inbound.node,
        name=inbound.event,
        at=at,
        actor=_name(payload.get("id")),
        data=_bounded({key: value for key, value in data.items() if key not in _OURS}),
    )


def _proof(payload: dict[str, Any], at: float) -> Hint | None:
    """Return the hint of a sign-in attempt: which key, under whose name, with which proof."""
    node, key = payload.get("id"), payload.get("pub")
    if not (isinstance(node, str) and wire.NODE_ID.fullmatch(node) and isinstance(key, str)):
        return None
    grains = payload.get("autosign_grains")
    proof = grains.get("racksalt_proof") if isinstance(grains, dict) else None
    act = str(payload.get("act", ""))[:32]
    if len(key) > _KEY_BYTES or not key.isascii() or act == "accept":
        return None
    pem = key.replace("\r\n", "\n").strip()
    fits = isinstance(proof, str) and bool(_PROOF.fullmatch(proof))
    data = {
        "key_sha256": hashlib.sha256(pem.encode()).hexdigest(),
        "public_key": pem,
        "proof": proof if fits else "",
        "act": act,
    }
    # The same attempt repeats every few seconds: one id for one key, proof and answer.
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return Hint(kind="proof", id=_bus_id(node, digest), node=node, at=at, name="auth", data=data)


def _bus_id(node: str, event_id: str) -> str:
    """Return an event id that no other source uses and that holds for one node alone, at most 200 long."""
    text = f"bus:{node}:{event_id}"
    if len(text) <= ID_CHARS:
        return text
    return f"bus:{hashlib.sha256(text.encode()).hexdigest()}"


def _bounded(data: dict[str, Any]) -> dict[str, Any]:
    """Return JSON-able data of a bounded size; what is too big is named, not kept."""
    kept: dict[str, Any] = _plain(data)
    size = len(json.dumps(kept))
    return {"truncated_bytes": size} if size > DATA_BYTES else kept


def _digest(tag: str, payload: dict[str, Any]) -> str:
    """Return the same text for the same event read twice; its time stamp tells repeats apart."""
    text = json.dumps([tag, _plain(payload)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any, depth: int = 0) -> Any:
    """Return what any database keeps as JSON, whatever came over the bus: odd values become text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict) and depth < _DEPTH:
        return {_text(key): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple) and depth < _DEPTH:
        return [_plain(one, depth + 1) for one in value]
    return _text(value if not isinstance(value, dict | list | tuple) else "…")


def _text(value: Any) -> str:
    """Return text without NUL and without halves of characters."""
    return str(value).replace("\x00", "").encode(errors="replace").decode()


def _name(value: Any) -> str:
    """Return a claimed name such that it fits a table and a line."""
    return (
        "".join(c for c in _text(value)[:128] if c.isprintable()) if isinstance(value, str) else ""
    )
