"""A request with an id of its own, as it was taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a request was about when it came for the first time; the same one again is about nothing else.

    ``plan`` is the hash of the whole plan, ``nodes`` has the hash of each node's own. ``refused`` are the refusals of
    the nodes that had no plan.
    """

    id: str
    at: float
    plan: str
    nodes: dict[str, str] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
