"""Parsing one map into one class field by field, so that one wrong field does not hide the next."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from racksalt.site.problems import SiteProblem, one_of

T = TypeVar("T")
_TYPE = re.compile(r"`([^`]*)`")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a map",
}
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[\.\.\.\]")


@dataclasses.dataclass(frozen=True)
class Section:
    """A piece of a document, where it stands, and where its problems go."""

    file: str
    key: str
    body: Any
    problems: list[SiteProblem]

    def say(self, key: str, message: str, hint: str = "") -> None:
        """Report a problem at a key below this piece ("" is the piece itself)."""
        at = f"{self.key}:{key}" if key else self.key
        self.problems.append(SiteProblem(self.file, at, message, hint))

    def below(self, key: str) -> Section | None:
        """Return the piece at ``key``; None if there is none."""
        if not isinstance(self.body, Mapping) or self.body.get(key) is None:
            return None
        return Section(self.file, f"{self.key}:{key}", self.body[key], self.problems)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Section:
        """Return this piece with values for what it leaves out."""
        if not isinstance(self.body, Mapping):
            return self
        return dataclasses.replace(self, body={**defaults, **self.body})


def parse(
    cls: type[T], where: Section, given: Mapping[str, Any] | None = None, skip: Iterable[str] = ()
) -> T | None:
    """Return the piece as a ``cls`` (a dataclass); None after reporting every field that does not fit.

    A field that the class does not have is reported and left out.

    ``given`` are fields that come from elsewhere: the piece may not set them, except for those in ``skip``.
    """
    given = given or {}
    body = {} if where.body is None else where.body
    if not isinstance(body, Mapping):
        where.say("", f"is {_kind(body)}, not a map", "write its fields below it, indented")
        return None
    hints = _types(cls)  # type: ignore[arg-type]  # mypy takes a type variable's class for unhashable
    types = {name: hint for name, hint in hints.items() if name not in given}
    for name in body:
        if name not in types and name not in skip:
            where.say(str(name), "no such field", one_of(str(name), list(types)))
    # With a field too many the rest can still be looked at: all that is wrong is told at once.
    before = len(where.problems)
    values = dict(given)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # every cls handed in is one
        if field.name not in types:
            continue
        if field.name in body:
            values[field.name] = _convert(body[field.name], types[field.name], field.name, where)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            where.say(field.name, "is missing", f"add `{field.name}:`")
    return cls(**values) if len(where.problems) == before else None


@lru_cache(maxsize=64)
def _types(cls: type) -> dict[str, Any]:
    # Resolving annotations takes longer than all the rest, and sites have thousands of nodes.
    return get_type_hints(cls)


def _convert(value: Any, hint: Any, name: str, where: Section) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        if message.startswith("Invalid enum value"):
            message = "Is none of the values that it may have"
        steps = [first or second for first, second in _STEP.findall(path)]
        where.say(":".join([name, *filter(None, steps)]), _plain(message), _hint(hint, message))
        return None


def _plain(message: str) -> str:
    """Return msgspec's message in the words of YAML; of the value it tells the kind only, for it might be a secret."""
    return _TYPE.sub(
        lambda found: " or ".join(_WORDS.get(word, word) for word in found[1].split(" | ")),
        message[:1].lower() + message[1:],
    )


def _hint(hint: Any, message: str) -> str:
    literals = [hint, *get_args(hint)]
    names = [str(value) for it in literals if get_origin(it) is Literal for value in get_args(it)]
    if names:
        return f"use {', '.join(names)}"
    return "put it in quotes" if message.startswith("Expected `str") else ""


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
