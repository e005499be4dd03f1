"""A selection of plain attributes, turned into the source of one Python expression.

Plain is a field without resolver, arguments and extensions. What the expression cannot say exactly as
graphql-core would (a null where none may be, a value that its enumeration does not know) it answers by raising:
the caller then lets graphql-core do that subtree again, so that errors, paths and nulls are exact.
Leaves are trusted to hold what their scalar writes out: the snapshot and our own scalars see to that.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql.execution.collect_fields import FieldDetailsList

BACKREF = "strawberry-definition"


class NotPlainError(Exception):
    """The selection holds something that only graphql-core can answer."""


class NullError(Exception):
    """A null was met where the schema allows none."""


def null() -> None:
    """Raise NullError: an expression that stands where a value must be."""
    raise NullError


def attribute(field: Any) -> str:
    """Return the attribute that a plain field reads; NotPlainError for any other field."""
    definition = field.extensions.get(BACKREF)
    if definition is None or not definition.is_basic_field or field.args:
        raise NotPlainError
    return str(definition.python_name)


class Compiler:
    """Compiles the sub-selection of one field for one executor (whose variables decide @skip and @include)."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._names = count()
        self._scope: dict[str, Any] = {"null": null}

    def compile(
        self, type_: GraphQLObjectType, details: FieldDetailsList, *, many: bool, nullable: bool
    ) -> Callable[[Any], Any] | None:
        """Return a function from object (or list of objects) to its answer; None if the selection is not plain."""
        try:
            item = self._object(type_, details, "x")
        except (NotPlainError, GraphQLError):
            return None
        if many and nullable:
            item = f"(None if x is None else {item})"
        body = f"[{item} for x in xs]" if many else item
        source = f"lambda {'xs' if many else 'x'}: {body}"
        try:
            # The source holds only generated names, attribute names of our own classes and quoted GraphQL names.
            return eval(source, self._scope)  # type: ignore[no-any-return]  # noqa: S307
        except (SyntaxError, RecursionError, MemoryError):
            return None

    def _object(self, type_: GraphQLObjectType, details: FieldDetailsList, name: str) -> str:
        if type_.is_type_of is not None:
            raise NotPlainError
        collected = self._executor.collect_subfields(type_, details)
        if collected.new_defer_usages:
            raise NotPlainError
        entries = []
        reads = False
        for key, sub in collected.grouped_field_set.items():
            first = sub[0]
            if first.fragment_variable_values:
                raise NotPlainError
            field_name = first.node.name.value
            if field_name == "__typename":
                entries.append(f"{key!r}: {type_.name!r}")
                continue
            field = type_.fields.get(field_name)
            if field is None:
                raise NotPlainError
            reads = True
            entries.append(f"{key!r}: {self._value(field.type, f'{name}.{attribute(field)}', sub)}")
        text = "{" + ", ".join(entries) + "}"
        return text if reads else f"({text} if {name} is not None else null())"

    def _value(self, type_: Any, access: str, details: FieldDetailsList) -> str:
        if isinstance(type_, GraphQLNonNull):
            return self._required(type_.of_type, access, details)
        if isinstance(type_, GraphQLScalarType):
            return access
        name = self._fresh()
        return f"(None if ({name} := {access}) is None else {self._required(type_, name, details)})"

    def _required(self, type_: Any, access: str, details: FieldDetailsList) -> str:
        if isinstance(type_, GraphQLScalarType):
            name = self._fresh()
            return f"({name} if ({name} := {access}) is not None else null())"
        if isinstance(type_, GraphQLEnumType):
            return f"{self._enum(type_)}[{access}]"
        if isinstance(type_, GraphQLList):
            item = self._fresh()
            return f"[{self._value(type_.of_type, item, details)} for {item} in {access}]"
        if isinstance(type_, GraphQLObjectType):
            if access.isidentifier():
                return self._object(type_, details, access)
            name = self._fresh()
            inner = self._object(type_, details, name)
            return f"({inner} if ({name} := {access}) is not None else null())"
        raise NotPlainError

    def _enum(self, type_: GraphQLEnumType) -> str:
        name = f"E_{type_.name}"
        if name not in self._scope:
            self._scope[name] = {value.value: key for key, value in type_.values.items()}
        return name

    def _fresh(self) -> str:
        return f"v{next(self._names)}"
