"""Erase certificates: what a node reported of an erasure, put into one text, signed, and checked again.

The node says what it did; the conductor adds whose job it was and which machine, and signs that this is what came
back from that job by the master's job cache. It is written in the transaction that journals the stage's success. A
success that does not say what was erased is a failure: a node cannot get past its erasure without the certificate.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, Protocol

from racksalt.conductor.view import Rules
from racksalt.model.certificate import EraseCertificate
from racksalt.model.event import Event
from racksalt.model.node import Hardware, Node
from racksalt.store.transaction import Transaction

if TYPE_CHECKING:
    from racksalt.conductor.handle import Outcome

KIND, FORMAT = "racksalt erase certificate", 1
MOST_DISKS, MOST_NOTES, MOST_TOOLS = 512, 8, 16
SHORT, LONG = 128, 400
INT63 = 2**63
Erasing = Mapping[tuple[str, str], str | None]
"""Stages that erase, by (node, job id)."""


class Seal(Protocol):
    """Signs certificates, and checks those that it signed."""

    name: str
    """SHA-256 of the public key's 32 bytes, in hex."""
    public: str
    """The public key (PEM)."""

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature over these bytes."""
        ...

    def is_good(self, text: bytes, signature: bytes) -> bool:
        """Say whether this key made the signature over exactly these bytes."""
        ...


def erasure_of(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a stage's result says of an erasure, bounded and of the right types; None for nothing.

    A node says what it likes: what is no disk is none, texts are cut, numbers out of range are left out.
    """
    told = data.get("erasure")
    if not isinstance(told, Mapping) or not isinstance(told.get("disks"), list):
        return None
    disks = [_disk(disk) for disk in told["disks"][:MOST_DISKS] if isinstance(disk, Mapping)]
    if not disks:
        return None
    tools = told.get("tools")
    tools = list(tools.items())[:MOST_TOOLS] if isinstance(tools, Mapping) else []
    return {
        "disks": disks,
        "started_at": _time(told.get("started_at")),
        "ended_at": _time(told.get("ended_at")),
        "tools": {str(_text(name)): _text(version) for name, version in tools},
    }


def proven(event: Event, node: Node, rules: Rules) -> Event:
    """Return the event; for the success of an erasure that does not tell what was erased, a failure instead.

    A light agent, which has no disks, has nothing to tell.
    """
    stage = rules.sequences.stages.get(node.stage or "")
    told = event.name != "stage_succeeded" or event.data.get("erasure")
    if told or stage is None or not stage.certified or node.agent == "light":
        return event
    why = "it went well, it says, but not which disks were erased: there is nothing to certify"
    return replace(event, name="stage_failed", data={**event.data, "message": why})


def erasing(tx: Transaction, events: Sequence[Event], rules: Rules) -> Erasing:
    """Return the destructive stages that are under way where one of ``events`` tells of an erasure.

    To be asked before the events are handled. A node that tells of one in another stage has erased nothing by our
    order, and what did not come by the job cache was never looked at.
    """
    told = {event.node for event in events if event.source == "jobs" and event.data.get("erasure")}
    nodes = tx.nodes(told).values() if told else ()
    stages = rules.sequences.stages
    return {
        (node.id, str(node.job)): node.stage
        for node in nodes
        if node.job and node.stage in stages and stages[node.stage].destructive
    }


def certify(
    tx: Transaction,
    events: Sequence[Event],
    outcomes: Sequence[Outcome],
    stages: Erasing,
    seal: Seal | None,
) -> None:
    """Write a certificate for each of ``events`` that ended one of ``stages`` well and was not handled before."""
    if seal is None or not stages:
        return
    made = [
        (event, outcome)
        for event, outcome in zip(events, outcomes, strict=True)
        if event.name == "stage_succeeded"
        and event.source == "jobs"
        and event.data.get("erasure")
        and (event.node, event.data.get("jid")) in stages
        and outcome.entry is not None
        and outcome.entry.kind == "transition"
    ]
    if made:
        hardware = tx.hardware({event.node for event, _ in made})
        tx.put(
            [
                _signed(event, outcome, stages, hardware.get(event.node), seal)
                for event, outcome in made
            ]
        )


def check(certificate: EraseCertificate, seal: Seal) -> str:
    """Return what is wrong with a certificate: a sentence, or nothing for a good one."""
    if certificate.key != seal.name:
        return f"signed with another key ({certificate.key[:16]}), not with this site's"
    try:
        signature = base64.b64decode(certificate.signature, validate=True)
    except (binascii.Error, ValueError):
        return "the signature is no base64"
    if not seal.is_good(certificate.document.encode(), signature):
        return "the signature does not fit the text: one of them was changed"
    return ""


def parse(told: Any) -> EraseCertificate:
    """Return the certificate in what ``as_dict`` returned, whatever became of it since.

    Raises:
        ValueError: it is no certificate.
    """
    if not isinstance(told, Mapping):
        raise ValueError("it is no JSON object")
    texts = {name: told.get(name) for name in ("document", "signature", "key")}
    missing = [name for name, value in texts.items() if not isinstance(value, str)]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return EraseCertificate(id="", node="", seq=0, at=0.0, **{k: str(v) for k, v in texts.items()})


def as_dict(certificate: EraseCertificate, seal: Seal) -> dict[str, Any]:
    """Return a certificate as plain data: the exact text, whether it is good, and the text as data if it is."""
    problem = check(certificate, seal)
    return {
        "id": certificate.id,
        "node": certificate.node,
        "seq": certificate.seq,
        "at": certificate.at,
        "good": not problem,
        "problem": problem,
        "erasure": None if problem else json.loads(certificate.document),
        "document": certificate.document,
        "signature": certificate.signature,
        "key": certificate.key,
    }


def _signed(
    event: Event, outcome: Outcome, stages: Erasing, hardware: Hardware | None, seal: Seal
) -> EraseCertificate:
    entry = outcome.entry
    if entry is None:
        raise RuntimeError("only what was journalled is certified")
    stage = stages[event.node, event.data["jid"]]
    document = _document(event, stage, entry.at, hardware)
    signature = base64.b64encode(seal.sign(document.encode())).decode()
    return EraseCertificate(
        id=event.data["jid"],
        node=event.node,
        seq=entry.seq,
        at=entry.at,
        document=document,
        signature=signature,
        key=seal.name,
    )


def _document(event: Event, stage: str | None, at: float, hardware: Hardware | None) -> str:
    told = event.data["erasure"]
    machine = {
        name: getattr(hardware, name, None)
        for name in ("serial", "system_uuid", "vendor", "product")
    }
    document = {
        "kind": KIND,
        "format": FORMAT,
        "node": event.node,
        "jid": event.data["jid"],
        "stage": stage,
        "machine": machine,
        "started": _iso(told["started_at"]),
        "ended": _iso(told["ended_at"]),
        "issued": _iso(at),
        "disks": [
            {**disk, "started": _iso(disk["started"]), "ended": _iso(disk["ended"])}
            for disk in told["disks"]
        ],
        "tools": told["tools"],
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _disk(told: Mapping[str, Any]) -> dict[str, Any]:
    verified = told.get("verified")
    proof = verified if isinstance(verified, Mapping) else {}
    notes = told.get("notes")
    return {
        **{name: _text(told.get(name)) for name in ("name", "serial", "wwn", "model", "method")},
        "bytes": _number(told.get("bytes")),
        "notes": [_text(note, LONG) for note in notes[:MOST_NOTES]]
        if isinstance(notes, list)
        else [],
        "verified": {
            "how": _text(proof.get("how")),
            "bytes": _number(proof.get("bytes")),
            "pattern": _text(proof.get("pattern")),
        },
        "started": _time(told.get("started_at")),
        "ended": _time(told.get("ended_at")),
    }


def _text(value: Any, size: int = SHORT) -> str | None:
    if not isinstance(value, str | int | float):
        return None
    return "".join(c for c in str(value) if c.isprintable())[:size] or None


def _number(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INT63
    return value if fits else None


def _time(value: Any) -> float | None:
    # Later than the year 9999 no clock of a node is right.
    return float(value) if isinstance(value, int | float) and 0 <= value < 253402300800 else None


def _iso(at: float | None) -> str | None:
    return None if at is None else strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))
