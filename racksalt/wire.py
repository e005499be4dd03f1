"""Tags and payloads on Salt's event bus. Standard library only, so that anything may import it.

``racksalt/node/<id>/state/<state>``   published for every committed transition
``racksalt/node/<id>/event/<event>``   taken in as a hint: journalled, checked against a channel that cannot be forged
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

ROOT = "racksalt/node"
NODE_ID = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
NO_TEXT = re.compile(
    r"^(0[0-9]+|0x[0-9a-f]+|0b[01]+|[0-9]+\.[0-9]*(e-[0-9]+)?|on|off|yes|no|true|false|null)\Z"
)
"""Ids that Salt's command line, which reads words as YAML 1.1, takes for another: ``1.10`` is 1.1, ``010`` is 10."""
EVENT_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")
_INBOUND = re.compile(rf"^{ROOT}/([^/]+)/event/([^/]+)\Z")
_MINION_START = re.compile(r"^salt/minion/([^/]+)/start\Z")
_JOB_RETURN = re.compile(r"^salt/job/([0-9]{20})/ret/([^/]+)\Z")


class Inbound(NamedTuple):
    """A node event found on the bus."""

    node: str
    event: str


def state_tag(node: str, state: str) -> str:
    """Return the tag under which a committed transition is published."""
    return f"{ROOT}/{node}/state/{state}"


def event_tag(node: str, event: str) -> str:
    """Return the tag under which anybody may hint that something happened to a node."""
    return f"{ROOT}/{node}/event/{event}"


def parse(tag: str) -> Inbound | None:
    """Return node and event of an inbound tag; None for any other tag or a malformed name."""
    found = _INBOUND.match(tag)
    if found and NODE_ID.match(found[1]) and EVENT_NAME.match(found[2]):
        return Inbound(found[1], found[2])
    return None


def minion_started(tag: str) -> str | None:
    """Return the minion id of ``salt/minion/<id>/start``; None for any other tag."""
    found = _MINION_START.match(tag)
    return found[1] if found and NODE_ID.match(found[1]) else None


def job_returned(tag: str) -> tuple[str, str] | None:
    """Return (jid, minion id) of ``salt/job/<jid>/ret/<id>``; None for any other tag."""
    found = _JOB_RETURN.match(tag)
    return (found[1], found[2]) if found and NODE_ID.match(found[2]) else None


def state_payload(entry: Any) -> dict[str, Any]:
    """Return what is published of a journal entry: no detail, so no secret can slip out."""
    return {
        "seq": entry.seq,
        "node": entry.node,
        "from": entry.from_state,
        "to": entry.to_state,
        "event": entry.event,
        "stage": entry.stage,
        "at": entry.at,
        "event_id": entry.event_id,
    }
