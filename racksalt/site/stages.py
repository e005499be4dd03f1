"""A site's own stages and changes of sequences, as plain data that the machine's ``Sequences.extend`` takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from racksalt.site.fields import Section, parse
from racksalt.site.problems import one_of
from racksalt.site.schema import StageDeclaration

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_PLACING = ("sequence", "after", "before")
_USUAL: Final = "commission"
_CONDITIONS: Final = ("zone", "rack", "node", "vendor", "product")
_EDITS: Final = {"add": ("after", "before"), "drop": (), "replace": ("with",)}


def additions(stages: Mapping[str, Section], sequences: Mapping[str, Section]) -> dict[str, Any]:
    """Return ``{"stages": …, "sequences": …}``; empty if the site changes nothing.

    Whether the outcome makes a sound machine is for the machine to say: it knows the built-in stages.
    """
    found: dict[str, Any] = {"stages": {}, "sequences": {}}
    for name, where in stages.items():
        stage = parse(StageDeclaration, where)
        if stage is None or not _is_sensible(name, stage, where):
            continue
        fields = {key: value for key, value in asdict(stage).items() if value is not None}
        anchor: dict[str, Any] = {key: fields[key] for key in ("after", "before") if key in fields}
        if anchor:
            edits = found["sequences"].setdefault(stage.sequence or _USUAL, [])
            edits.append({"add": name, **anchor})
        found["stages"][name] = {k: v for k, v in fields.items() if k not in _PLACING}
    for name, where in sequences.items():
        edits = [edit for n in range(_length(where)) if (edit := _edit(where, n))]
        found["sequences"].setdefault(name, []).extend(edits)
    return {key: value for key, value in found.items() if value}


def _is_sensible(name: str, stage: StageDeclaration, where: Section) -> bool:
    """Report what is wrong with a stage that parses; return whether nothing is."""
    before = len(where.problems)
    if not _NAME.match(name):
        where.say("", "is no name for a stage", "use lower-case letters, digits and _")
    if stage.deadline_s is not None and stage.deadline_s <= 0:
        where.say("deadline_s", "a stage needs time", "give the seconds that it may take at most")
    if stage.retries is not None and stage.retries < 0:
        where.say("retries", "is below 0", "0 means that the first failure parks the node")
    if stage.after and stage.before:
        where.say("before", "the stage has `after` too", "keep one of the two")
    if stage.sequence and not (stage.after or stage.before):
        where.say("sequence", "places nothing by itself", "give `after` or `before` too")
    for key in stage.when or {}:
        if key not in _CONDITIONS:
            where.say(f"when:{key}", "nodes are not told apart by this", one_of(key, _CONDITIONS))
    return len(where.problems) == before


def _length(where: Section) -> int:
    if isinstance(where.body, list):
        return len(where.body)
    where.say(
        "", "is not a list", "write one `- add: …`, `- drop: …` or `- replace: …` for each change"
    )
    return 0


def _edit(where: Section, number: int) -> dict[str, str] | None:
    """Return one change of a sequence; None after reporting what is wrong with it."""
    edit = where.body[number]
    verbs = [verb for verb in _EDITS if isinstance(edit, Mapping) and verb in edit]
    if len(verbs) != 1:
        where.say(str(number), "is no change", f"give exactly one of {', '.join(_EDITS)}")
        return None
    verb, others = verbs[0], [key for key in edit if key not in _EDITS]
    allowed = _EDITS[verb]
    for key in others:
        if key not in allowed:
            where.say(f"{number}:{key}", f"does not go with `{verb}`", one_of(key, allowed))
            return None
    if len(others) > 1:
        where.say(str(number), "has `after` and `before`", "keep one of the two")
        return None
    if verb == "replace" and "with" not in edit:
        where.say(f"{number}:with", "is missing", "name the stage that takes the place")
        return None
    if not all(isinstance(value, str) for value in edit.values()):
        where.say(str(number), "stages are named by text", "put the name in quotes")
        return None
    return dict(edit)
