"""Documents, parsed, limited and validated once, and kept: nothing of that is done again for the next request."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    visit,
)
from strawberry.schema.schema import validate_document

from graphql_api import cost, limits
from graphql_api.problems import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLSchema

    from graphql_api.compiled.executor import Plans

KEPT = 256
PLAN_SETS = 8
"""Settings of @skip and @include variables that one document keeps plans for, all its operations together."""
_ABSENT = object()
"""Stands in a setting for a variable that was not given."""
LIVE_FIELDS = frozenset(
    {"config", "why", "viewer", "rateLimit", "history", "transitions", "eraseCertificates"}
)
"""Fields whose answer may change without a change of the topology's revision."""


class RefusedDocumentError(Exception):
    """The document cannot be run; ``errors`` say why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(slots=True)
class Prepared:
    """A document that may be run. ``switches`` are the variables that its @skip and @include look at."""

    id: str
    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]
    switches: tuple[str, ...]
    live: bool
    _plans: dict[tuple[Any, ...], Plans] = field(default_factory=dict)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation of this name, or the only one; UserError if there is no such."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        found = self.operations.get(name) if name is not None else None
        if found is None:
            names = ", ".join(sorted(one for one in self.operations if one))
            raise UserError(
                "BAD_USER_INPUT", f"operationName: {name!r} is not in the document; it has {names}"
            )
        return found

    def plans(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> Plans | None:
        """Return the plans made so far for this operation under these variables; None when there are too many to keep.

        Each operation has defaults of its own for the variables of a fragment that they share, and null is no default.
        """
        given = (variables.get(name, _ABSENT) for name in self.switches)
        key = (
            operation.name.value if operation.name else None,
            *(one if one is _ABSENT or isinstance(one, bool) else None for one in given),
        )
        found = self._plans.get(key)
        if found is None and len(self._plans) < PLAN_SETS:
            found = self._plans[key] = {}
        return found

    def points(
        self,
        operation: OperationDefinitionNode,
        schema: GraphQLSchema,
        fans: cost.Fanouts,
        variables: Mapping[str, Any],
        *,
        audit: bool,
    ) -> int:
        """Return what the operation will cost with these variables, asked by somebody who may audit or not."""
        known = _with_defaults(operation, variables)
        reckoner = cost.Reckoner(schema, self.fragments, fans, known, audit=audit)
        return reckoner.operation(operation)


class Documents:
    """The least recently used documents are forgotten. One event loop uses it; nothing is locked."""

    def __init__(self, schema: GraphQLSchema, allowed: limits.Limits) -> None:
        self._schema = schema
        self._limits = allowed
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._ids: dict[str, str] = {}

    def get(self, text: str) -> Prepared:
        """Return the document ready to run; raises RefusedDocumentError."""
        known = self._kept.get(text)
        if known is not None:
            self._kept.move_to_end(text)
            return known
        prepared = self._prepare(text)
        self._kept[text] = prepared
        self._ids[prepared.id] = text
        if len(self._kept) > KEPT:
            _, old = self._kept.popitem(last=False)
            self._ids.pop(old.id, None)
        return prepared

    def by_id(self, document_id: str) -> Prepared:
        """Return a document that was sent before, by its SHA-256; raises RefusedDocumentError."""
        text = self._ids.get(document_id.removeprefix("sha256:"))
        if text is None:
            raise RefusedDocumentError(
                [
                    UserError(
                        "DOCUMENT_NOT_FOUND",
                        "this documentId is not known here; send the document itself once",
                    )
                ]
            )
        return self.get(text)

    def _prepare(self, text: str) -> Prepared:
        if len(text) > self._limits.characters:
            raise RefusedDocumentError(
                [
                    UserError(
                        "LIMIT",
                        f"the query has {len(text)} characters; the limit is {self._limits.characters}",
                    )
                ]
            )
        try:
            document = parse(text, max_tokens=self._limits.tokens)
            limits.check(document, self._limits)
            errors = validate_document(self._schema, document, tuple(specified_rules))
        except GraphQLError as error:
            raise RefusedDocumentError([_named(error, self._limits)]) from None
        except RecursionError:
            raise RefusedDocumentError(
                [UserError("LIMIT", "the query is nested too deeply")]
            ) from None
        if errors:
            # What a scalar raised about a literal is about the caller's text, and no fault of ours.
            raise RefusedDocumentError([GraphQLError(one.message, one.nodes) for one in errors])
        return _prepared(text, document)


def digest(text: str) -> str:
    """Return the SHA-256 that names a document."""
    return hashlib.sha256(text.encode()).hexdigest()


def _named(error: GraphQLError, allowed: limits.Limits) -> GraphQLError:
    if "nested too deeply" in error.message:
        return UserError("LIMIT", f"the query is nested too deeply; the limit is {allowed.depth}")
    if "Document contains more than" in error.message:
        return UserError(
            "LIMIT", f"the query has more than {allowed.tokens} tokens, which is the limit"
        )
    return error


def _prepared(text: str, document: DocumentNode) -> Prepared:
    seen = _Seen()
    visit(document, seen)
    operations: dict[str | None, OperationDefinitionNode] = {}
    fragments = {}
    for one in document.definitions:
        if isinstance(one, OperationDefinitionNode):
            operations[one.name.value if one.name else None] = one
        elif isinstance(one, FragmentDefinitionNode):
            fragments[one.name.value] = one
    return Prepared(
        digest(text),
        document,
        operations,
        fragments,
        tuple(sorted(seen.switches)),
        bool(seen.fields & LIVE_FIELDS)
        or any(one.operation is not OperationType.QUERY for one in operations.values()),
    )


class _Seen(Visitor):
    """Collects field names and the variables of @skip and @include."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: set[str] = set()
        self.switches: set[str] = set()

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        """Note the field's name."""
        self.fields.add(node.name.value)

    def enter_directive(self, node: Any, *_args: Any) -> None:
        """Note the variable of a condition."""
        if node.name.value in ("skip", "include"):
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    self.switches.add(argument.value.name.value)


def _with_defaults(
    operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> dict[str, Any]:
    known = dict(variables)
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        default: Any = definition.default_value
        if name not in known and default is not None and hasattr(default, "value"):
            text = default.value
            known[name] = int(text) if default.kind == "int_value" else text
    return known
