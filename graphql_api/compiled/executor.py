"""graphql-core's executor with compiled plans for plain subtrees."""

from __future__ import annotations

import gc
from typing import Any

from graphql import GraphQLObjectType, get_nullable_type, is_non_null_type
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graphql_api.compiled.plan import Compiler

Plans = dict[Any, Any]
"""Plans of one document under one setting of its @skip and @include variables, by type and field nodes."""

_UNSEEN = object()


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """Answers an object or a list of objects by its plan; whatever a plan cannot do is done by graphql-core.

    ``plans`` (by keyword) turns it on. The keys are identities of syntax nodes, so a ``Plans`` must live no longer
    than its document.
    """

    def __init__(self, *args: Any, plans: Plans | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plans = plans

    def complete_object_value(
        self, return_type: Any, details: Any, info: Any, path: Any, result: Any, position: Any
    ) -> Any:
        """Complete one object (GraphQL specification, section 6.4.3)."""
        if self.plans is not None:
            plan = self._plan(return_type, details, many=False, nullable=False)
            if plan is not None:
                try:
                    return plan(result)
                except Exception:  # noqa: BLE001, S110 - done again below, with exact errors
                    pass
        return super().complete_object_value(return_type, details, info, path, result, position)

    def complete_list_value(
        self, return_type: Any, details: Any, info: Any, path: Any, result: Any, position: Any
    ) -> Any:
        """Complete a list (GraphQL specification, section 6.4.3)."""
        if self.plans is not None and isinstance(result, (list, tuple)):
            item = get_nullable_type(return_type.of_type)
            if isinstance(item, GraphQLObjectType):
                nullable = not is_non_null_type(return_type.of_type)
                plan = self._plan(item, details, many=True, nullable=nullable)
                if plan is not None:
                    try:
                        return _without_gc(plan, result)
                    except Exception:  # noqa: BLE001, S110 - done again below, with exact errors
                        pass
        return super().complete_list_value(return_type, details, info, path, result, position)

    def _plan(self, type_: Any, details: Any, *, many: bool, nullable: bool) -> Any:
        assert self.plans is not None
        key = (type_.name, many, *(id(detail.node) for detail in details))
        plan = self.plans.get(key, _UNSEEN)
        if plan is _UNSEEN:
            plan = Compiler(self).compile(type_, details, many=many, nullable=nullable)
            self.plans[key] = plan
        return plan


def _without_gc(plan: Any, value: Any) -> Any:
    """Run a plan with the cycle collector paused: a plan makes many objects and no cycle."""
    paused = gc.isenabled()
    if paused:
        gc.disable()
    try:
        return plan(value)
    finally:
        if paused:
            gc.enable()
