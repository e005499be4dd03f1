"""Hands a command over to the operations, in a thread, and shapes what they say. Decides nothing."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from graphql_api.auth import NODE_WRITE, POWER_WRITE, TOPOLOGY_READ, missing
from graphql_api.filtering import must_say, node_test
from graphql_api.problems import UserError
from graphql_api.types.scalars import BigInt
from racksalt.model.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from racksalt.psm.table import COMMANDS

if TYPE_CHECKING:
    from graphql_api.context import Context

MOST = 1000
"""Most nodes of one command."""
KEY_LIMIT = 128
"""Longest idempotency key, in characters."""
CATCH_UP_S = 2.0
"""How long an answer waits for the snapshot to have what the command changed."""


async def carry_out(context: Context, command: str, asked: Any) -> Any:
    """Return the outcome of a command, or the problem that kept it from being tried."""
    from graphql_api.types import mutation as types  # noqa: PLC0415 - the types need this module

    scope = POWER_WRITE if command.startswith("power_") else NODE_WRITE
    if (lacking := _lacking(context, scope, asked)) is not None:
        return types.Forbidden(
            code="FORBIDDEN", message=f"the token lacks the scope {lacking}", required_scope=lacking
        )
    try:
        nodes = _chosen(context, asked)
    except UserError as error:
        return types.Invalid(
            code=str((error.extensions or {}).get("code")), message=error.message, path=["input"]
        )
    unknown = [name for name in nodes if name not in context.snapshot.nodes]
    if unknown:
        return types.NotFound(
            code="NOT_FOUND", message=f"no such node: {', '.join(unknown[:5])}", ids=unknown
        )
    try:
        found = await asyncio.to_thread(
            context.operations.run,
            command,
            nodes,
            context.caller.name,
            dry_run=asked.dry_run,
            plan=asked.plan_hash,
            goal=goal.value if (goal := getattr(asked, "goal", None)) is not None else None,
            request=_request(context, asked.idempotency_key),
        )
    except NotFoundError as error:
        return types.NotFound(code="NOT_FOUND", message=str(error), ids=[])
    except InvalidInputError as error:
        return types.Invalid(code="INVALID", message=str(error), path=["input"])
    except ForbiddenError as error:
        return types.Forbidden(code="FORBIDDEN", message=str(error), required_scope=scope)
    except ConflictError as error:
        return types.Conflict(code="CONFLICT", message=str(error))
    await _catch_up(context, found)
    return _outcome(context, found)


def _lacking(context: Context, scope: str, asked: Any) -> str | None:
    """Return the first scope that the command needs and the caller lacks.

    A filter reads: the plan of a dry run would tell which nodes have the serial that is guessed.
    """
    needed = (scope,) if asked.filter is None else (scope, TOPOLOGY_READ)
    return missing(context.caller, needed)


def _chosen(context: Context, asked: Any) -> list[str]:
    """Return the ids that the input names, in order and once each; refuses an input that names none or too many."""
    if (asked.nodes is None) == (asked.filter is None):
        raise UserError("INVALID", "give either nodes or filter")
    key = asked.idempotency_key
    if key is not None and not 1 <= len(key) <= KEY_LIMIT:
        raise UserError("INVALID", f"idempotencyKey must have 1 to {KEY_LIMIT} characters")
    if asked.nodes is not None:
        chosen = list(dict.fromkeys(str(one) for one in asked.nodes))
    else:
        test = node_test(asked.filter)
        must_say(asked.filter)
        chosen = [row.id for row in context.snapshot.ordered if test is not None and test(row)]
    if len(chosen) > MOST:
        raise UserError("LIMIT", f"{len(chosen)} nodes; one command takes at most {MOST}")
    if not chosen and asked.nodes is not None:
        raise UserError("INVALID", "nodes is empty")
    return chosen


def _request(context: Context, key: str | None) -> str | None:
    """Return an id for the request: one caller's key is nothing to another caller."""
    if key is None:
        return None
    return hashlib.sha256(f"{context.caller.id}\n{key}".encode()).hexdigest()[:32]


async def _catch_up(context: Context, found: dict[str, Any]) -> None:
    seq = max((one.get("seq") or 0 for one in found["accepted"]), default=0)
    if seq:
        await context.services.reached(seq, CATCH_UP_S)
        context.snapshot = context.services.snapshot


def _outcome(context: Context, found: dict[str, Any]) -> Any:
    from graphql_api.types import mutation as types  # noqa: PLC0415 - the types need this module

    # Who may command but not read hears of the nodes named what became of the command, and nothing else.
    by_id: Any = context.snapshot.nodes if context.caller.may(TOPOLOGY_READ) else {}
    accepted = [
        types.AcceptedNode(
            node_id=one["node"],
            node=by_id.get(one["node"]),
            from_state=one["from"],
            to_state=one["to"],
            seq=one["seq"],
        )
        for one in found["accepted"]
    ]
    refused = [
        types.RefusedNode(
            node_id=one["node"],
            node=by_id.get(one["node"]),
            code=one["code"].upper(),
            message=one["message"],
            hint=one.get("hint") or None,
            legal=[it for it in one.get("legal") or () if it in COMMANDS],
        )
        for one in found["refused"]
    ]
    return types.CommandOutcome(
        command=found["command"],
        dry_run=found["dry_run"],
        accepted=accepted,
        refused=refused,
        plan=types.Plan(
            hash=found["plan"]["hash"], nodes=[_planned(types, it) for it in found["plan"]["nodes"]]
        ),
        revision=BigInt(context.snapshot.seq),
    )


def _planned(types: Any, one: dict[str, Any]) -> Any:
    return types.PlannedNode(
        node_id=one["node"],
        transitions=[
            types.PlannedStep(
                from_state=step["from"],
                event=step["event"],
                to_state=step["to"],
                stage=step["stage"],
            )
            for step in one["transitions"]
        ],
        reboots=one["reboots"],
        disks_wiped=one["disks_wiped"],
        ends_in=one["ends_in"] or None,
    )
