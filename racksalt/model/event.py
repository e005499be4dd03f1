"""What happened (event), what a person asks (command), what must be done (effect), and the journal of it.

Events and commands travel alike: a command is an event whose ``source`` is ``operator``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal[
    "boot", "bus", "keys", "jobs", "power", "clock", "operator", "site", "conductor", "dhcp"
]
"""Who says so. ``boot`` is the boot API (token checked where the event needs it), ``bus`` is Salt's event bus
(forgeable: never moves a node), ``keys`` the master's key store, ``jobs`` the master's job cache, ``power`` a BMC,
``clock`` a deadline, ``operator`` a person or program with a scoped token, ``site`` the site files,
``conductor`` the outcome of an effect, ``dhcp`` the DHCP service."""

EntryKind = Literal["transition", "refused", "noted"]
"""A journal entry: a committed move (also one that stays in its state), something refused and why, an observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to one node.

    ``id`` is unique per occurrence: the same id handed in twice has an effect once.
    ``at`` is seconds since the epoch (UTC), as seen by the one who took the event in.
    """

    id: str
    node: str
    name: str
    at: float
    source: Source
    actor: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the journal. ``seq`` is a total order; for ``transition`` rows the chain of states is unbroken."""

    seq: int
    at: float
    node: str
    kind: EntryKind
    event: str
    event_id: str
    from_state: str
    to_state: str
    stage: str | None
    source: Source
    actor: str
    message: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something that must be done to the world; a row of the outbox.

    ``progress`` is what earlier attempts left for the next one; ``boot`` is the node's boot generation at the time the
    effect was written (an effect of an older boot is void).
    """

    id: int
    node: str
    name: str
    boot: int
    args: dict[str, Any]
    attempts: int
    progress: dict[str, Any]
    created_at: float
