"""A request that was taken in before: the same one again is about the same nodes and plan, and about nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any

from racksalt.conductor.planning import plan_hash, refusal
from racksalt.model.errors import ConflictError
from racksalt.model.request import Request


def asked(
    command: str,
    request: str,
    plans: list[dict[str, Any]],
    refused: list[dict[str, Any]],
    at: float,
) -> Request:
    """Return what is kept of a request: of each node that it will command, the hash of its plan."""
    return Request(
        # Of whatever length and characters the given id is, this one fits its column.
        id=sha256(f"{command}\n{request}".encode()).hexdigest(),
        at=at,
        plan=plan_hash(plans),
        nodes={plan["node"]: plan_hash([plan]) for plan in plans},
        refused=refused,
    )


def check_plan(first: Request, plan: str | None) -> None:
    """Refuse the plan that a request names, unless it is that of the first time.

    Raises:
        ConflictError: it is another one.
    """
    if plan not in (None, first.plan):
        raise ConflictError(
            f"this request was taken in with the plan {first.plan}, not {plan}",
            "review the new plan and commit it under a new request id",
        )


def left(
    first: Request, plans: Sequence[dict[str, Any]], done: Collection[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the plans that a request which was cut off has still to carry out, and refusals where they are others."""
    now = {plan["node"]: plan for plan in plans}
    waiting = [name for name in first.nodes if name not in done]
    same = [n for n in waiting if n in now and plan_hash([now[n]]) == first.nodes[n]]
    error = ConflictError(
        "its plan is another one than when this request came first",
        "review the new plan and commit it under a new request id",
    )
    changed = [refusal(name, error) for name in waiting if name not in same]
    return [now[name] for name in same], changed


def strangers(first: Request, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return refusals of the nodes that the request did not have when it came first."""
    known = {*first.nodes, *(one["node"] for one in first.refused)}
    error = ConflictError(
        "this request was taken in before, without this node", "command it under a new request id"
    )
    return [refusal(name, error) for name in names if name not in known]


def in_order(first: Request, told: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what is told of nodes in the order of the first answer."""
    order = {name: number for number, name in enumerate(first.nodes)}
    return sorted(told, key=lambda one: order.get(one["node"], len(order)))
