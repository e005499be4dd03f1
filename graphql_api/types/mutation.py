"""Commands. Nothing is decided here: every one goes to the operations that all front doors share.

Whatever a caller can act on is data of the answer; bugs and outages are errors.
"""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry.types import Info

from graphql_api.commands import carry_out
from graphql_api.context import Context
from graphql_api.types.filters import NodeFilter
from graphql_api.types.scalars import (
    JSON,
    BigInt,
    Command,
    Goal,
    NodeCommand,
    NodeState,
    PowerAction,
)
from graphql_api.types.topology import Node


@strawberry.input
class Selection:
    """What every command takes: the nodes meant, and how sure the caller is."""

    nodes: list[strawberry.ID] | None = None
    filter: NodeFilter | None = strawberry.field(
        default=None, description="Needs the scope topology:read as well."
    )
    dry_run: bool = False
    idempotency_key: str | None = strawberry.field(
        default=None, description="The same key again has no second effect."
    )
    plan_hash: str | None = strawberry.field(
        default=None, description="The hash of a plan; another plan by now is a Conflict."
    )


@strawberry.input(description="Which nodes to switch, and how. Give nodes or filter, not both.")
class PowerInput(Selection):
    """The input of setPower."""

    action: PowerAction


@strawberry.input(description="Which nodes to command. Give nodes or filter, not both.")
class NodeCommandInput(Selection):
    """The input of nodeCommand."""

    command: NodeCommand
    goal: Goal | None = strawberry.field(
        default=None, description="Where COMMISSION shall lead; READY unless given."
    )


SHOWN = "Null without the scope topology:read, and once the node is forgotten."


@strawberry.type(description="A node that took the command.")
class AcceptedNode:
    """One acceptance."""

    node_id: str
    node: Node | None = strawberry.field(description=SHOWN)
    from_state: NodeState | None
    to_state: NodeState | None
    seq: BigInt | None = strawberry.field(description="The journal entry; null in a dry run.")


@strawberry.type(description="A node that refused the command, and what it would take.")
class RefusedNode:
    """One refusal."""

    node_id: str
    node: Node | None = strawberry.field(description=SHOWN)
    code: str
    message: str
    hint: str | None
    legal: list[Command]


@strawberry.type(description="One move of a plan.")
class PlannedStep:
    """One step."""

    from_state: NodeState
    event: str
    to_state: NodeState
    stage: str | None


@strawberry.type(description="What the command would do to one node if all goes well.")
class PlannedNode:
    """One node of a plan."""

    node_id: str
    transitions: list[PlannedStep]
    reboots: int
    disks_wiped: list[str]
    ends_in: NodeState | None


@strawberry.type(description="What the command does or would do. The hash names the plan.")
class Plan:
    """A plan."""

    hash: str
    nodes: list[PlannedNode]


@strawberry.type(
    description="The command was looked at, node by node; nothing is done in a dry run."
)
class CommandOutcome:
    """What became of a command."""

    command: Command
    dry_run: bool
    accepted: list[AcceptedNode]
    refused: list[RefusedNode]
    plan: Plan
    revision: BigInt


@strawberry.interface(description="Something that the caller can mend.")
class Problem:
    """A refusal of the whole command."""

    code: str
    message: str


@strawberry.type(description="A node that does not exist; nothing was done.")
class NotFound(Problem):
    """Unknown nodes."""

    ids: list[str]


@strawberry.type(description="The input makes no sense; nothing was done.")
class Invalid(Problem):
    """Bad input."""

    path: list[str]


@strawberry.type(description="The token lacks a scope; nothing was done.")
class Forbidden(Problem):
    """Missing scope."""

    required_scope: str


@strawberry.type(description="Somebody else changed it in between; read again and retry.")
class Conflict(Problem):
    """Lost a race."""

    detail: JSON | None = None


CommandResult = Annotated[
    CommandOutcome | NotFound | Invalid | Forbidden | Conflict, strawberry.union("CommandResult")
]


async def set_power(info: Info[Context, None], input: PowerInput) -> CommandResult:  # noqa: A002
    """Switch nodes on or off."""
    return await carry_out(info.context, input.action.value, input)  # type: ignore[no-any-return]


async def node_command(info: Info[Context, None], input: NodeCommandInput) -> CommandResult:  # noqa: A002
    """Command nodes."""
    return await carry_out(info.context, input.command.value, input)  # type: ignore[no-any-return]


@strawberry.type(description="Everything that can be asked of nodes.")
class Mutation:
    """The mutation root."""

    set_power: CommandResult = strawberry.field(
        resolver=set_power, description="Switch nodes on, off, or off and on. Needs power:write."
    )
    node_command: CommandResult = strawberry.field(
        resolver=node_command,
        description="Send nodes through their life. Needs node:write.",
    )
