"""A node's configuration with its provenance, and what it waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import strawberry

from graphql_api.snapshot.objects import timestamp
from graphql_api.types.scalars import JSON, DateTime
from racksalt.model.errors import NotFoundError

if TYPE_CHECKING:
    from graphql_api.context import Context
    from graphql_api.snapshot.objects import Node


WORD = 63
"""Bits of the greatest integer that the encoder writes by itself."""


@strawberry.type(description="The layer that a configuration value comes from.")
class ConfigSource:
    """One leaf and its layer."""

    path: str
    layer: str
    file: str


@strawberry.type(description="A value that a lower layer sets and a higher one hides.")
class HiddenValue:
    """What lost."""

    path: str
    layer: str
    file: str
    value: JSON | None


@strawberry.type(
    description="An effective configuration value. Secrets are shown as hidden, never in clear."
)
class ConfigValue:
    """What `racksalt explain` says."""

    path: str
    value: JSON | None
    removed: bool = strawberry.field(description="A layer takes the key away.")
    layer: str = strawberry.field(description="The layer that won.")
    file: str
    sources: list[ConfigSource] = strawberry.field(description="The layer of each leaf below.")
    hidden: list[HiddenValue] = strawberry.field(description="What lost, strongest first.")


@strawberry.type(description="Something that is still to be done to the world.")
class PendingEffect:
    """A row of the outbox."""

    name: str
    attempts: int
    since: DateTime
    not_before: DateTime
    error: str | None


@strawberry.type(description="What a node waits for, since when, and what a person can do.")
class Waiting:
    """What `racksalt why` says."""

    meaning: str = strawberry.field(description="What the node's state means.")
    waits_for: str
    since: DateTime
    deadline_at: DateTime | None
    last_seen_at: DateTime | None
    tries: int = strawberry.field(description="Tries of the current stage or boot.")
    reason: str | None
    last_error: str | None = strawberry.field(description="The last failure of a pending effect.")
    what_to_do: str
    pending: list[PendingEffect]


async def config_value(context: Context, node: Node, path: str) -> ConfigValue | None:
    """Return the explanation of one key for one node; None if no layer mentions the key.

    The snapshot knows where the node stands, so the site's layers are all that is needed: no statement.
    """
    rack, zone = (place.name if place else None for place in (node.rack, node.zone))
    explain = context.operations.site.explain
    try:
        found = (await asyncio.to_thread(explain, path, node.id, rack, zone)).as_dict()
    except NotFoundError:
        return None
    return ConfigValue(
        path=found["key"],
        value=_writable(found["value"]),
        removed=found.get("removed", False),
        layer=found["layer"],
        file=found["file"],
        sources=[
            ConfigSource(path=key, layer=origin["layer"], file=origin["file"])
            for key, origin in found["sources"].items()
        ],
        hidden=[
            HiddenValue(
                path=it["key"], layer=it["layer"], file=it["file"], value=_writable(it["value"])
            )
            for it in found["hidden"]
        ],
    )


def _writable(value: Any) -> Any:
    """Return a value of the site's files with what the encoder takes for integers: JSON has them of any size."""
    if isinstance(value, dict):
        return {key: _writable(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(below) for below in value]
    if isinstance(value, int) and value.bit_length() > WORD:
        return orjson.Fragment(str(value))
    return value


async def waiting(context: Context, node: str) -> Waiting:
    """Return what the node waits for, as the operations see it now."""
    found = await asyncio.to_thread(context.operations.why, node)
    return Waiting(
        meaning=found["meaning"],
        waits_for=found["waits_for"],
        since=_when(found["since"]),
        deadline_at=_when(found["deadline_at"]),
        last_seen_at=_when(found["last_seen_at"]),
        tries=found["tries"],
        reason=found["reason"],
        last_error=found["last_error"],
        what_to_do=found["what_to_do"],
        pending=[
            PendingEffect(
                name=one["name"],
                attempts=one["attempts"],
                since=_when(one["created_at"]),
                not_before=_when(one["not_before"]),
                error=one["error"],
            )
            for one in found["pending"]
        ],
    )


def _when(at: float | None) -> Any:
    return timestamp(at)
