"""What a document may be, checked before it is validated, and what a token may spend.

Validation compares fields with one another, so a document must be known to be small before it is validated.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from graphql_api.problems import UserError

if TYPE_CHECKING:
    from collections.abc import Callable


INTROSPECTION = 6
"""How much deeper than other queries introspection may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits, on by default. ``cost`` is points of one operation; see cost.py for what a point is."""

    characters: int = 32_768
    tokens: int = 4_000
    depth: int = 14
    aliases: int = 30
    repeats: int = 30
    selections: int = 1_000
    operations: int = 10
    cost: int = 200_000
    points_per_minute: int = 5_000_000
    answer_bytes: int = 32 * 1024 * 1024
    body_bytes: int = 256 * 1024
    subscriptions_per_socket: int = 100
    variables_depth: int = 32


class _Walk:
    """One walk over a document: every selection set once, fragments where they are defined."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self.limits = limits
        self.fragments = {
            one.name.value: one
            for one in document.definitions
            if isinstance(one, FragmentDefinitionNode)
        }
        self.aliases = 0
        self.selections = 0
        self._depths: dict[int, int] = {}

    def depth(self, node: SelectionSetNode | None, open_fragments: tuple[str, ...] = ()) -> int:
        """Return how many fields deep the selection set goes; a fragment's depth is reckoned once."""
        if node is None:
            return 0
        known = self._depths.get(id(node))
        if known is not None:
            return known
        self._count(node)
        deepest = 0
        for selection in node.selections:
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = self.fragments.get(name)
                # A cycle is refused by validation; here it only must not be followed for ever.
                if fragment is None or name in open_fragments:
                    continue
                found = self.depth(fragment.selection_set, (*open_fragments, name))
            else:
                below: Any = selection
                own = _own_depth(selection) if isinstance(selection, FieldNode) else 0
                found = max(0, own + self.depth(below.selection_set, open_fragments))
            deepest = max(deepest, found)
        self._depths[id(node)] = deepest
        return deepest

    def _count(self, node: SelectionSetNode) -> None:
        fields = [one for one in node.selections if isinstance(one, FieldNode)]
        self.aliases += sum(1 for one in fields if one.alias)
        self.selections += len(node.selections)
        names = Counter(one.name.value for one in fields)
        spreads = Counter(
            one.name.value for one in node.selections if isinstance(one, FragmentSpreadNode)
        )
        worst = max((*names.values(), *spreads.values()), default=0)
        if worst > self.limits.repeats:
            raise UserError(
                "LIMIT",
                f"a field is selected {worst} times at one place; the limit is {self.limits.repeats}",
            )


def _own_depth(field: FieldNode) -> int:
    """Introspection is deep by nature and bounded by validation: tools' usual query must pass."""
    return 1 - INTROSPECTION if field.name.value in ("__schema", "__type") else 1


def check(document: DocumentNode, limits: Limits) -> None:
    """Raise UserError (code LIMIT, naming the limit) unless the document is within the limits."""
    walk = _Walk(document, limits)
    operations = 0
    for definition in document.definitions:
        body = getattr(definition, "selection_set", None)
        operations += isinstance(definition, OperationDefinitionNode)
        try:
            depth = walk.depth(body)
        except RecursionError:
            depth = limits.depth + 1
        if depth > limits.depth:
            raise UserError(
                "LIMIT", f"the query is {depth} fields deep; the limit is {limits.depth}"
            )
    if walk.aliases > limits.aliases:
        raise UserError(
            "LIMIT", f"the query has {walk.aliases} aliases; the limit is {limits.aliases}"
        )
    if walk.selections > limits.selections:
        raise UserError(
            "LIMIT", f"the query has {walk.selections} selections; the limit is {limits.selections}"
        )
    if operations > limits.operations:
        raise UserError(
            "LIMIT", f"the document has {operations} operations; the limit is {limits.operations}"
        )


class Budget:
    """Points per token and minute, in this process."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._minute = -1
        self._spent: dict[str, int] = {}

    def spend(self, token_id: str, points: int) -> None:
        """Take points from the token's minute; raises UserError (code RATE_LIMITED) when they do not suffice."""
        left, resets = self.left(token_id)
        if points > left:
            raise UserError(
                "RATE_LIMITED",
                f"this needs {points} points and {left} of {self._per_minute} are left for this minute; "
                f"try again in {resets} s",
                retryAfterS=resets,
            )
        self._spent[token_id] = self._spent.get(token_id, 0) + points

    def left(self, token_id: str) -> tuple[int, int]:
        """Return the points left and the seconds until they are full again."""
        now = self._clock()
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._spent = {}
        return self._per_minute - self._spent.get(token_id, 0), 60 - int(now % 60)
