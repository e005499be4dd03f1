"""What the machine says to the stages that a site's files declare: the files alone cannot tell."""

from __future__ import annotations

from collections.abc import Iterator

from racksalt.model.errors import UnsoundMachineError
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE
from racksalt.site.problems import SiteProblem, at
from racksalt.site.schema import Declarations

_SECTIONS = ("stages", "sequences")


def unsound(declared: Declarations) -> Iterator[SiteProblem]:
    """Yield why a site's stages and sequences make no sound machine, else the stages that would never run."""
    try:
        made = Sequences(STAGES, SEQUENCES, MACHINE).extend(declared.additions)
    except UnsoundMachineError as error:
        told_in = [file for (section, _), file in declared.files.items() if section in _SECTIONS]
        yield SiteProblem(told_in[0] if told_in else "site", "", error.message, error.hint)
        return
    yield from _never_run(declared, made)


def _never_run(declared: Declarations, made: Sequences) -> Iterator[SiteProblem]:
    """Yield the stages of the site that are in no sequence; a built-in one may be changed without being placed."""
    known = {stage.name for stage in STAGES}.union(*made.sequences.values())
    for name in declared.additions.get("stages", {}):
        if name not in known:
            yield at(declared.files, "stages", name)(
                "is in no sequence, so no node would ever run it",
                "give `after` or `before`, or an `add` below `sequences`",
            )
