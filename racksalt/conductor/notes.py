"""What the conductor itself has to say of a node: journal entries that move nothing."""

from __future__ import annotations

from typing import Any

from racksalt.model.event import Entry
from racksalt.model.node import Node


def note(
    seq: int, now: float, node: Node, event: str, actor: str, message: str, detail: dict[str, Any]
) -> Entry:
    """Return a journal entry of an observation of ``actor``, a part of the conductor."""
    return Entry(
        seq=seq,
        at=now,
        node=node.id,
        kind="noted",
        event=event,
        event_id=f"{event}:{node.id}:{seq}",
        from_state=node.state,
        to_state=node.state,
        stage=node.stage,
        source="conductor",
        actor=actor,
        message=message,
        detail=detail,
    )
