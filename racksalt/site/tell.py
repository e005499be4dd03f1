"""Explanations and impacts as lines for people; programs take the same data as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def explanation_lines(told: Mapping[str, Any]) -> list[str]:
    """Return an explanation (``Explanation.as_dict()``): the value, who sets it, and what that hides."""
    key = told["key"]
    if told["removed"]:
        lines = [f"{key} is removed", f"by {told['layer']} ({told['file']})"]
    else:
        lines = [f"{key} = {_text(told['value'])}"]
        sources = told["sources"]
        if set(sources) == {key}:
            lines.append(f"from {told['layer']} ({told['file']})")
        else:
            rows = [(leaf, f"from {it['layer']} ({it['file']})") for leaf, it in sources.items()]
            lines += _table(rows)
    if told["hidden"]:
        lines.append("hidden:")
        lines += _table(
            [
                (f"{it['layer']} ({it['file']})", _said(key, it["key"], it["value"]))
                for it in told["hidden"]
            ]
        )
    return lines


def impact_lines(told: Mapping[str, Any]) -> list[str]:
    """Return an impact (``FileImpact.as_dict()``): each node, and what the file means or would change there."""
    count = len(told["nodes"])
    nodes = "1 node" if count == 1 else f"{count} nodes"
    verb = "would change" if told["proposed"] else "reaches"
    rows: list[tuple[str, str]] = []
    for node in told["nodes"]:
        said = _changes(node["changes"]) if told["proposed"] else _keys(node)
        rows += [("" if number else node["node"], line) for number, line in enumerate(said)]
    return [f"{told['file']} {verb} {nodes}", *_table(rows)]


def problem_lines(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return problems (``SiteProblem.as_dict()``): file, key and what is wrong in one line, the remedy below it."""
    lines = []
    for one in told:
        where = ": ".join(filter(None, (one["file"], one["key"])))
        warning = "warning: " if one["severity"] == "warning" else ""
        lines.append(f"{warning}{where}: {one['message']}")
        if one["hint"]:
            lines.append(f"  {one['hint']}")
    return lines


def _keys(node: Mapping[str, Any]) -> list[str]:
    sets = [f"sets {key}" for key in node["wins"]]
    hidden = [f"{it['key']} is hidden by {it['by']} ({it['file']})" for it in node["hidden"]]
    return [*sets, *hidden] or ["sets nothing"]


def _changes(changes: Sequence[Mapping[str, Any]]) -> list[str]:
    words = {
        "added": "{key}: {after} is new",
        "removed": "{key}: {before} goes",
        "changed": "{key}: {before} becomes {after}",
    }
    return [
        words[it["kind"]].format(
            key=it["key"], before=_text(it["before"]), after=_text(it["after"])
        )
        for it in changes
    ]


def _said(asked: str, key: str, value: Any) -> str:
    return _text(value) if key == asked else f"{key} = {_text(value)}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows), default=0)
    return [f"  {left:<{width}}  {right}" for left, right in rows]
