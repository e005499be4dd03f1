"""What is wrong with a site's files: collected, then told all at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from racksalt.model.errors import InvalidInputError

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SiteProblem:
    """One thing to mend: the file below ``pillar/``, the key in it (colon form), what is wrong, what to do.

    A ``warning`` is worth a look; an ``error`` keeps the site from being used.
    """

    file: str
    key: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return ``site/nodes.yaml: nodes:n1:rack: no rack 'r9' (…)``."""
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def errors(problems: Iterable[SiteProblem]) -> list[SiteProblem]:
    """Return the problems that keep a site from being used."""
    return [problem for problem in problems if problem.severity == "error"]


def refuse(problems: Iterable[SiteProblem]) -> None:
    """Raise InvalidInputError with all errors in its message and in ``detail['problems']``; warnings pass."""
    found = errors(problems)
    if not found:
        return
    told = [str(problem) for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
        told.append(f"and {len(found) - _SHOWN} more")
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    raise InvalidInputError(
        f"the site's files have {count}:\n  " + "\n  ".join(told),
        "mend them and run `racksalt site check`",
        problems=[problem.as_dict() for problem in found],
    )


def at(
    files: Mapping[tuple[str, str], str], section: str, name: str, key: str = ""
) -> Callable[..., SiteProblem]:
    """Return a maker of problems at one declared thing; ``files`` says in which file it is declared."""
    file = files.get((section, name), "")
    path = ":".join(filter(None, (section, name if name != section else "", key)))
    return lambda message, hint="": SiteProblem(file, path, message, hint)


def one_of(name: str, known: Sequence[str]) -> str:
    """Return a hint: the known names that are near, or the first few of all."""
    near = difflib.get_close_matches(name, known, 3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    few = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    return f"there is {few}" if known else "there is none yet"
