"""What an operation will cost, reckoned before it runs: from ``first`` and the snapshot's live fan-outs.

One point is one object of the answer; what needs the database or the site's layers weighs more, and what is sought
there weighs what is looked at for it. Lists weigh what
following them from a row chosen by *reaching* it costs on average (a rack of 40 nodes is reached forty times as
often as a rack of one), so that going back and forth between a big rack and its nodes is not under-reckoned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from graphql_api import introspection
from graphql_api.commands import MOST
from graphql_api.introspection import reached
from graphql_api.lookup import CHUNK, CHUNKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphql_api.snapshot.snapshot import Snapshot

Fanouts = dict[tuple[str, str], float]
"""(type, field) → how many objects the list has on average, as seen by a query that follows it."""

WEIGHTS = {
    ("Node", "config"): 20.0,
    ("Node", "why"): 100.0,
    ("Query", "transitions"): 10.0,
    ("Node", "history"): 5.0,
    ("Node", "facts"): 5.0,
    ("Node", "placeProposal"): 5.0,
    ("Query", "burnIn"): 100.0,
    ("Query", "eraseCertificates"): 10.0,
    ("Mutation", "setPower"): 10.0,
    ("Mutation", "nodeCommand"): 10.0,
}
BURNS_OF_NODE, MOST_BURNS = 25.0, 50_000.0
"""Points for comparing the figures of one node, and for those of all: an operation can hold a few of them."""
LOOKED_AT = float(CHUNKS * CHUNK)
"""Points for a page of the journal that is sought: so many entries may be looked at for it, one point each."""
UNKNOWN_LIST = 10.0
OF_COMMAND = {
    ("CommandOutcome", "accepted"),
    ("CommandOutcome", "refused"),
    ("Plan", "nodes"),
}
"""Lists with a row for each node of the command that they answer."""
LEAF = 0.05
"""A leaf is cheap, but a thousand aliases of it are not."""


def fanouts(snapshot: Snapshot) -> Fanouts:
    """Return the live fan-outs of every list in the schema."""
    zones, racks, nodes = (
        snapshot.zones.values(),
        snapshot.racks.values(),
        snapshot.ordered,
    )
    nics = [nic for node in nodes for nic in node.nics]
    return {
        ("Query", "zones"): len(snapshot.zones),
        ("Query", "racks"): len(snapshot.racks),
        ("Query", "nodes"): len(snapshot.nodes),
        ("Query", "networks"): len(snapshot.networks),
        ("Query", "nodeStates"): 13,
        ("Zone", "racks"): reached(len(one.racks) for one in zones),
        ("Zone", "nodes"): reached(len(one.nodes) for one in zones),
        ("Zone", "networks"): reached(len(one.networks) for one in zones),
        ("Network", "ranges"): reached(len(one.ranges) for one in snapshot.networks.values()),
        ("Rack", "nodes"): reached(len(one.nodes) for one in racks),
        ("Node", "nics"): reached(len(one.nics) for one in nodes),
        ("Node", "disks"): reached(len(one.disks) for one in nodes),
        ("Node", "addresses"): reached(len(one.addresses) for one in nodes),
        ("Nic", "addresses"): reached(len(one.addresses) for one in nics),
    }


class Reckoner:
    """Reckons one operation. Linear in the document: a selection set costs the same wherever it is reached.

    ``audit`` says whether the caller may see the whole journal; for others what they may see is sought in it.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        fans: Fanouts,
        variables: Mapping[str, Any],
        *,
        audit: bool = False,
    ) -> None:
        self._schema = schema
        self._audit = audit
        self._fragments = fragments
        self._fans = {**introspection.fanouts(schema), **fans}
        self._variables = variables
        self._known: dict[tuple[int, str, float], float] = {}

    def operation(self, operation: OperationDefinitionNode) -> int:
        """Return the points of an operation, at least 1."""
        root = self._schema.get_root_type(operation.operation)
        assert root is not None
        return max(1, round(self._set(operation.selection_set, root, 0.0)))

    def _set(self, node: SelectionSetNode, type_: Any, page: float) -> float:
        key = (id(node), type_.name, page)
        known = self._known.get(key)
        if known is not None:
            return known
        total = 0.0
        for selection in node.selections:
            if not self._included(selection.directives or ()):
                continue
            if isinstance(selection, FieldNode):
                total += self._field(selection, type_, page)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self._fragments[selection.name.value]
                total += self._set(fragment.selection_set, self._narrowed(fragment, type_), page)
            else:
                inline: Any = selection
                total += self._set(inline.selection_set, self._narrowed(inline, type_), page)
        self._known[key] = total
        return total

    def _narrowed(self, fragment: Any, type_: Any) -> Any:
        condition = fragment.type_condition
        return self._schema.get_type(condition.name.value) if condition else type_

    def _field(self, node: FieldNode, type_: Any, page: float) -> float:
        name = node.name.value
        if not isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            return LEAF
        field = type_.fields.get(name) or introspection.META.get(name)
        if field is None or node.selection_set is None:
            return LEAF
        named = get_named_type(field.type)
        if not is_composite_type(named):
            return LEAF
        weight = WEIGHTS.get((type_.name, name), 0.0)
        if type_.name == "Query":
            weight += self._sought(node)
        rows = self._rows(node, field, type_)
        if named.name.endswith("Connection"):
            if weight:
                weight += rows
            return weight + 1 + self._set(node.selection_set, named, rows)
        if type_.name == "Mutation":
            page = self._commanded(node)
            weight += page * weight
        on = page if type_.name == "Mutation" or named.name == "Plan" else 0.0
        one = introspection.WEIGHT if named.name.startswith("__") else 1.0
        per_row = one + self._set(node.selection_set, named, on)
        is_list = is_list_type(get_nullable_type(field.type))
        if is_list and (type_.name.endswith("Connection") or (type_.name, name) in OF_COMMAND):
            return page * per_row
        return weight + rows * per_row

    def _sought(self, node: FieldNode) -> float:
        """Return what is looked at for a field of the query root besides what it answers."""
        if node.name.value == "burnIn":
            return min(MOST_BURNS, BURNS_OF_NODE * self._fans.get(("Query", "nodes"), 0.0))
        if node.name.value == "transitions" and not (self._audit and self._unfiltered(node)):
            return LOOKED_AT
        return 0.0

    def _unfiltered(self, node: FieldNode) -> bool:
        given = {one.name.value: one.value for one in node.arguments or ()}
        chosen: Any = given.get("filter")
        if isinstance(chosen, VariableNode):
            return self._variables.get(chosen.name.value) is None
        return chosen is None or isinstance(chosen, NullValueNode)

    def _rows(self, node: FieldNode, field: Any, type_: Any) -> float:
        """Return how many objects a field has: 1 where it is no list, but for what may be chosen at will."""
        known = self._fans.get((type_.name, node.name.value))
        argument = field.args.get("first")
        if argument is not None:
            first = self._first(node, argument)
            return first if known is None else min(first, known)
        if known is not None:
            return known
        return UNKNOWN_LIST if is_list_type(get_nullable_type(field.type)) else 1.0

    def _first(self, node: FieldNode, argument: Any) -> float:
        # strawberry still hands its defaults over in the older of graphql-core's two ways.
        default = argument.default.value if argument.default else argument.default_value
        for given in node.arguments or ():
            if given.name.value != "first":
                continue
            if isinstance(given.value, IntValueNode):
                return max(0.0, float(given.value.value))
            if isinstance(given.value, VariableNode):
                default = self._variables.get(given.value.name.value, default)
        return max(0.0, float(default)) if isinstance(default, (int, float)) else 100.0

    def _commanded(self, node: FieldNode) -> float:
        """Return how many nodes a mutation may mean: those that it names, or all that a command may take."""
        named = None
        for given in node.arguments or ():
            if given.name.value == "input":
                named = self._named(given.value)
        everybody = self._fans.get(("Query", "nodes"), float(MOST))
        return min(float(MOST), everybody if named is None else float(named))

    def _named(self, input_: Any) -> int | None:
        """Return the length of ``nodes`` in an input; None where there is none, or none that can be counted."""
        if isinstance(input_, VariableNode):
            value = self._variables.get(input_.name.value)
            nodes = value.get("nodes") if isinstance(value, dict) else None
            return _length(nodes)
        for entry in getattr(input_, "fields", ()):
            if entry.name.value != "nodes" or isinstance(entry.value, NullValueNode):
                continue
            if isinstance(entry.value, VariableNode):
                return _length(self._variables.get(entry.value.name.value))
            return len(entry.value.values) if isinstance(entry.value, ListValueNode) else 1
        return None

    def _included(self, directives: Iterable[DirectiveNode]) -> bool:
        for directive in directives:
            name = directive.name.value
            if name not in ("skip", "include") or not directive.arguments:
                continue
            value: Any = directive.arguments[0].value
            if isinstance(value, VariableNode):
                truth = self._variables.get(value.name.value)
            elif isinstance(value, NullValueNode):
                truth = None
            else:
                truth = getattr(value, "value", None)
            if (name == "skip" and truth is True) or (name == "include" and truth is False):
                return False
        return True


def _length(value: Any) -> int | None:
    """Return how many a list's value holds (one that is no list is taken as its only element)."""
    if value is None:
        return None
    return len(value) if isinstance(value, (list, tuple)) else 1
