"""How big the schema itself is, for the cost of reading it: whoever has a token may, and no snapshot knows.

graphql-core answers ``__schema`` and ``__type`` in one step of the event loop and nothing of it is compiled, so an
object of them weighs more than one of the topology.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graphql import (
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    get_named_type,
    is_abstract_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_object_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graphql import GraphQLSchema

META: dict[str, Any] = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}
"""Fields of the query root that no type lists."""
WEIGHT = 3.0
"""Points of one object of the schema."""


@lru_cache(maxsize=4)
def fanouts(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """Return the fan-outs of introspection, as cost.Fanouts has them; of ``__type`` that of its largest choice."""
    types = list(schema.type_map.values())
    composite = [one for one in types if is_object_type(one) or is_interface_type(one)]
    fields = [field for one in composite for field in one.fields.values()]
    # A type is met in the list of all, or as that of a field or of an argument.
    ways = [types, [field.type for field in fields], _types_of_arguments(fields)]
    met = [[get_named_type(one) for one in way] for way in ways]

    def of_type(count: Callable[[Any], int]) -> float:
        return max(1.0, *(sum(map(count, way)) / len(way) for way in met))

    def own(one: Any) -> int:
        return len(one.fields) if one in composite else 0

    return {
        ("Query", "__type"): max(map(own, types)) / of_type(own),
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): of_type(own),
        ("__Type", "inputFields"): of_type(
            lambda one: len(one.fields) if is_input_object_type(one) else 0
        ),
        ("__Type", "enumValues"): of_type(lambda one: len(one.values) if is_enum_type(one) else 0),
        ("__Type", "interfaces"): 1.0,
        ("__Type", "possibleTypes"): of_type(
            lambda one: len(schema.get_possible_types(one)) if is_abstract_type(one) else 0
        ),
        ("__Field", "args"): reached(len(one.args) for one in fields),
        ("__Directive", "args"): reached(len(one.args) for one in schema.directives),
    }


def _types_of_arguments(fields: Iterable[Any]) -> list[Any]:
    return [argument.type for field in fields for argument in field.args.values()]


def reached(sizes: Iterable[int]) -> float:
    """Return the mean size of the group that a member is in; 1 when there is none."""
    total = squares = 0
    for size in sizes:
        total += size
        squares += size * size
    return max(1.0, squares / total) if total else 1.0
