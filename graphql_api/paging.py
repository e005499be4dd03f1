"""Keyset pages over snapshot lists: a cursor names the last row seen, so rows that come or go shift nothing."""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson

from graphql_api.problems import UserError
from graphql_api.records import PageInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
DEFAULT = 100
MOST = 1000
"""Most rows of one page at a root."""


@dataclass(slots=True, eq=False, repr=False)
class Edge(Generic[T]):
    """A row and its cursor."""

    cursor: str
    node: T


@dataclass(slots=True, eq=False, repr=False)
class Page(Generic[T]):
    """A page of a list; ``total_count`` counts all rows that fit the filter, not only the page's."""

    nodes: Sequence[T]
    total_count: int
    page_info: PageInfo
    key: Callable[[T], Any]
    tag: str

    @property
    def edges(self) -> list[Edge[T]]:
        """The rows with their cursors."""
        return [Edge(encode(self.tag, self.key(row)), row) for row in self.nodes]


def encode(tag: str, key: tuple[Any, ...]) -> str:
    """Return a key as a cursor of the list and ordering that ``tag`` names."""
    return base64.urlsafe_b64encode(orjson.dumps((tag, *key))).decode().rstrip("=")


def decode(cursor: str, tag: str, like: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return the key of a cursor of this list: a tuple of the same types as ``like``; others are refused."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, list) or found[:1] != [tag] or not _alike(found[1:], like):
        raise UserError(
            "BAD_USER_INPUT",
            "after: this cursor is not of this list and ordering; use pageInfo.endCursor of the same query",
        )
    return tuple(found[1:])


def _alike(key: list[Any], like: tuple[Any, ...] | None) -> bool:
    return like is None or [_kind(part) for part in key] == [_kind(part) for part in like]


def _kind(part: Any) -> type:
    return float if isinstance(part, (int, float)) else type(part)


def limited(first: int, field: str, most: int = MOST) -> int:
    """Return ``first`` if it is within the limit; an error that names the limit otherwise."""
    if not 1 <= first <= most:
        raise UserError(
            "LIMIT", f"{field}: first must be between 1 and {most}, not {first}; page with after"
        )
    return first


def paginate(
    rows: Sequence[T],
    key: Callable[[T], tuple[Any, ...]],
    first: int,
    after: str | None,
    *,
    tag: str,
    descending: bool = False,
) -> Page[T]:
    """Return the page that follows the cursor ``after``.

    ``rows`` are in the ascending order of ``key``; a descending page is taken from the end and turned around.
    ``tag`` names list, order and direction: a cursor of another one is refused.
    """
    bound = None if after is None else decode(after, tag, key(rows[0]) if rows else None)
    if descending:
        stop = len(rows) if bound is None else bisect_left(rows, bound, key=key)
        start = max(0, stop - first)
        chosen: Sequence[T] = rows[start:stop][::-1]
        more, less = start > 0, stop < len(rows)
    else:
        start = 0 if bound is None else bisect_right(rows, bound, key=key)
        chosen = rows if start == 0 and len(rows) <= first else rows[start : start + first]
        more, less = start + len(chosen) < len(rows), start > 0
    info = PageInfo(
        more,
        less,
        encode(tag, key(chosen[0])) if chosen else None,
        encode(tag, key(chosen[-1])) if chosen else None,
    )
    return Page(chosen, len(rows), info, key, tag)
