"""Filters as predicates over snapshot objects, built once per answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from strawberry.utils.str_converters import to_camel_case

from graphql_api.problems import UserError
from graphql_api.types.scalars import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphql_api.records import Record
    from graphql_api.snapshot.objects import Network, Node, Rack, Zone
    from graphql_api.types.filters import (
        IntRange,
        NetworkFilter,
        NodeFilter,
        RackFilter,
        StringMatch,
        TimeRange,
        TransitionFilter,
        ZoneFilter,
    )

Test = Callable[[Any], bool]
NESTING = 10
"""Deepest nesting of and, or and not."""


def text(match: StringMatch | None, read: Callable[[Any], str | None]) -> list[Test]:
    """Return the tests of a StringMatch on what ``read`` gives; null fits nothing that is asked for."""
    if match is None:
        return []
    eq, prefix, part = match.eq, match.prefix, match.contains
    any_of = None if match.in_ is None else frozenset(match.in_)
    tests: list[Test] = []
    if eq is not None:
        tests.append(lambda it: read(it) == eq)
    if any_of is not None:
        tests.append(lambda it: read(it) in any_of)
    if prefix is not None:
        tests.append(lambda it: (read(it) or "").startswith(prefix))
    if part is not None:
        tests.append(lambda it: part in (read(it) or ""))
    return tests


def words(chosen: Iterable[Any] | None, read: Callable[[Any], str | None]) -> list[Test]:
    """Return the test of an any-of list of enumeration members or words."""
    if chosen is None:
        return []
    allowed = frozenset(getattr(one, "value", one) for one in chosen)
    return [lambda it: read(it) in allowed]


def numbers(bounds: IntRange | None, read: Callable[[Any], float | None]) -> list[Test]:
    """Return the tests of an IntRange; null fits no bound."""
    if bounds is None:
        return []
    return _within(bounds.gte, bounds.lte, read)


def times(bounds: TimeRange | None, read: Callable[[Any], float | None]) -> list[Test]:
    """Return the tests of a TimeRange on seconds since the epoch."""
    if bounds is None:
        return []
    low, high = (seconds(one) if one is not None else None for one in (bounds.gte, bounds.lte))
    return _within(low, high, read)


def _within(
    low: float | None, high: float | None, read: Callable[[Any], float | None]
) -> list[Test]:
    tests: list[Test] = []
    if low is not None:
        tests.append(lambda it: (value := read(it)) is not None and value >= low)
    if high is not None:
        tests.append(lambda it: (value := read(it)) is not None and value <= high)
    return tests


def all_of(tests: list[Test]) -> Test | None:
    """Return one test for all; None when there is none, so that nothing need be run."""
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda it: all(test(it) for test in tests)


def zone_test(chosen: ZoneFilter | None) -> Callable[[Zone], bool] | None:
    """Return the predicate of a ZoneFilter."""
    return all_of(text(chosen.name, lambda it: it.name)) if chosen else None


def rack_test(chosen: RackFilter | None) -> Callable[[Rack], bool] | None:
    """Return the predicate of a RackFilter."""
    if chosen is None:
        return None
    return all_of(
        text(chosen.name, lambda it: it.name) + text(chosen.zone, lambda it: it.zone.name)
    )


def network_test(chosen: NetworkFilter | None) -> Callable[[Network], bool] | None:
    """Return the predicate of a NetworkFilter."""
    if chosen is None:
        return None
    return all_of(
        text(chosen.name, lambda it: it.name)
        + text(chosen.zone, lambda it: it.zone.name if it.zone else None)
        + text(chosen.rack, lambda it: it.rack.name if it.rack else None)
        + text(chosen.purpose, lambda it: it.purpose)
    )


def node_test(chosen: NodeFilter | None, depth: int = 0) -> Callable[[Node], bool] | None:
    """Return the predicate of a NodeFilter; nesting deeper than NESTING is refused."""
    if chosen is None:
        return None
    if depth > NESTING:
        raise UserError("LIMIT", f"filter: and, or and not may nest {NESTING} deep")
    tests = _own_tests(chosen)
    for part in chosen.and_ or ():
        inner = node_test(part, depth + 1)
        if inner is not None:
            tests.append(inner)
    if chosen.or_ is not None:
        options = [node_test(part, depth + 1) or _anything for part in chosen.or_]
        tests.append(lambda it: any(option(it) for option in options))
    if chosen.not_ is not None:
        negated = node_test(chosen.not_, depth + 1) or _anything
        tests.append(lambda it: not negated(it))
    return all_of(tests)


def must_say(chosen: Any, where: str = "filter") -> None:
    """Raise UserError (code INVALID) for a part of a filter that narrows nothing down.

    A reader who asks for rows with ``prefix: ""`` sees too many of them; a command with it would be every node's,
    most likely because a variable was not set. So each part that is given has to say something, at any depth.
    """
    given = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    said = {name: value for name, value in given.items() if value is not None}
    if not said:
        raise _says_nothing(where)
    for name, value in said.items():
        path = f"{where}.{to_camel_case(name.rstrip('_'))}"
        if value == [] or (value == "" and name in ("prefix", "contains")):
            raise _says_nothing(path)
        for part in value if isinstance(value, list) else [value]:
            if is_dataclass(part):
                must_say(part, path)


def _says_nothing(path: str) -> UserError:
    return UserError(
        "INVALID",
        f"{path} says nothing, and a command could mean every node by it; say what you mean or leave it out",
    )


def _own_tests(chosen: NodeFilter) -> list[Test]:
    return [
        *words(chosen.state, lambda it: it.state),
        *words(chosen.power, lambda it: it.power.state),
        *words(chosen.agent, lambda it: it.agent),
        *text(chosen.id, lambda it: it.id),
        *text(chosen.name, lambda it: it.name),
        *text(chosen.rack, lambda it: it.rack.name if it.rack else None),
        *text(chosen.zone, lambda it: it.zone.name if it.zone else None),
        *text(chosen.serial, lambda it: it.hardware.serial if it.hardware else None),
        *text(chosen.product, lambda it: it.hardware.product if it.hardware else None),
        *text(chosen.stage, lambda it: it.stage),
        *text(chosen.goal, lambda it: it.goal),
        *([] if chosen.approved is None else [lambda it: it.approved is chosen.approved]),
        *numbers(chosen.memory_mib, lambda it: it.hardware.memory_mib if it.hardware else None),
        *numbers(chosen.cpu_cores, lambda it: it.hardware.cpu_cores if it.hardware else None),
        *times(chosen.state_since, lambda it: it.since_s),
    ]


def record_test(chosen: TransitionFilter | None) -> Callable[[Record], bool] | None:
    """Return the predicate of a TransitionFilter."""
    if chosen is None:
        return None
    return all_of(
        [
            *text(chosen.node, lambda it: it.node_id),
            *words(chosen.kind, lambda it: it.kind),
            *words(chosen.event, lambda it: it.event),
            *words(chosen.from_state, lambda it: it.from_state),
            *words(chosen.to_state, lambda it: it.to_state),
        ]
    )


def _anything(_it: Any) -> bool:
    return True
