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

    @property
    def edges(self) -> list[Edge[T]]:
        """The rows with their cursors."""
        return [Edge(encode(self.key(row)), row) for row in self.nodes]


def encode(key: Any) -> str:
    """Return a key as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decode(cursor: str, like: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the key of a cursor of this list: a tuple of the same types as ``like``; others are refused."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        fits = isinstance(key, list) and [_kind(part) for part in key] == [_kind(p) for p in like]
    except ValueError:
        fits = False
    if not fits:
        raise UserError(
            "BAD_USER_INPUT",
            "after: this cursor is not of this list and ordering; use pageInfo.endCursor of the same query",
        )
    return tuple(key)


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
    descending: bool = False,
) -> Page[T]:
    """Return the page that follows the cursor ``after``.

    ``rows`` are in the ascending order of ``key``; a descending page is taken from the end and turned around.
    """
    bound = decode(after, key(rows[0])) if after is not None and rows else None
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
        encode(key(chosen[0])) if chosen else None,
        encode(key(chosen[-1])) if chosen else None,
    )
    return Page(chosen, len(rows), info, key)
