"""Stages and their sequences, as data that a site's files can change.

A stage is one unit of phase 1 work: a Salt state (``sls``) applied to the node's agent in a boot environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from racksalt.model.errors import UnsoundMachineError
from racksalt.model.node import BootEnvironment
from racksalt.psm.kernel import Machine

MINUTE, HOUR = 60, 3600
AGENT_ENVIRONMENTS = ("live", "installer")
INVENTORY = "inventory"
"""The stage that reads the hardware."""
CONDITION_KEYS = ("zone", "rack", "node", "vendor", "product")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One unit of work. ``when`` maps a place or hardware attribute to the values for which the stage applies.

    ``destructive`` stages write to disks; ``certified`` ones must tell what they erased, else they have failed.
    ``retries`` is how often a failed try is repeated before the node parks.
    """

    name: str
    environment: BootEnvironment = "live"
    sls: str = ""
    deadline_s: int = 30 * MINUTE
    retries: int = 1
    destructive: bool = False
    certified: bool = False
    meaning: str = ""
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def applies(self, place: Mapping[str, str | None]) -> bool:
        """Return whether a node with these attributes (zone, rack, node, vendor, product) runs the stage."""
        return all(place.get(key) in values for key, values in self.when.items())


def _stage(
    name: str, environment: BootEnvironment, deadline_s: int, meaning: str, **more: Any
) -> Stage:
    return Stage(
        name=name,
        environment=environment,
        sls=f"stages.{name}",
        deadline_s=deadline_s,
        meaning=meaning,
        **more,
    )


ERASES: Final = {"destructive": True, "certified": True}


# fmt: off
STAGES = (
    _stage(INVENTORY,   "live",      10 * MINUTE, "Reads what hardware there is.", retries=2),
    _stage("firmware",  "live",      45 * MINUTE, "Compares firmware with the site's baseline."),
    _stage("bios",      "live",      15 * MINUTE, "Sets and reads back BIOS settings."),
    _stage("raid",      "live",      30 * MINUTE, "Builds the asked-for RAID layout.", destructive=True),
    _stage("burn_in",   "live",       4 * HOUR,   "Loads CPU, memory and disks, and keeps the result.", retries=0),
    _stage("security",  "live",      10 * MINUTE, "Looks for default passwords, unexpected firmware, insecure boot."),
    _stage("partition", "installer", 10 * MINUTE, "Partitions the disks and makes filesystems.", destructive=True),
    _stage("image",     "installer", 30 * MINUTE, "Writes the operating system.", destructive=True),
    _stage("configure", "installer", 10 * MINUTE, "Names the system, sets up its network and its minion's proof."),
    _stage("wipe",      "installer", 8 * HOUR, "Erases the system disks; sites add it to install.", **ERASES),
    _stage("erase",     "live",       8 * HOUR,   "Erases every disk in the plan and reads back.", **ERASES),
)
SEQUENCES = {
    "commission": ("inventory", "firmware", "bios", "raid", "burn_in", "security"),
    "install":    ("partition", "image", "configure"),
    "release":    ("erase",),
    "retire":     ("erase",),
}
# fmt: on


class Sequences:
    """Stages and their order, checked against a machine. Immutable; ``extend`` gives a new one."""

    def __init__(
        self, stages: Iterable[Stage], sequences: Mapping[str, Iterable[str]], machine: Machine
    ) -> None:
        self.machine = machine
        self.stages = {stage.name: stage for stage in stages}
        self.sequences = {name: tuple(members) for name, members in sequences.items()}
        problems = [*_stage_problems(self), *_sequence_problems(self)]
        if problems:
            raise UnsoundMachineError(
                "; ".join(problems), "nothing was changed; mend the site's stages"
            )

    def following(
        self, sequence: str, stage: str | None, place: Mapping[str, str | None]
    ) -> Stage | None:
        """Return the next stage of ``sequence`` after ``stage`` (None: the first) that applies at ``place``."""
        names = self.sequences[sequence]
        start = names.index(stage) + 1 if stage in names else 0
        for name in names[start:]:
            if self.stages[name].applies(place):
                return self.stages[name]
        return None

    def walk(self, sequence: str, place: Mapping[str, str | None]) -> list[Stage]:
        """Return the stages of ``sequence`` that apply at ``place``, in order."""
        return [self.stages[n] for n in self.sequences[sequence] if self.stages[n].applies(place)]

    def extend(self, additions: Mapping[str, Any]) -> Sequences:
        """Return new sequences with a site's additions.

        Args:
            additions: ``{"stages": {name: {environment, sls, deadline_s, retries, destructive, when}},
                "sequences": {sequence: [{"add": stage, "after"|"before": stage}, {"drop": stage},
                {"replace": stage, "with": stage}]}}``

        Raises:
            UnsoundMachineError: says which stage or sequence and why; nothing was changed.
        """
        stages = dict(self.stages)
        for name, body in (additions.get("stages") or {}).items():
            stages[name] = _parse_stage(name, body, stages.get(name))
        sequences = dict(self.sequences)
        for name, edits in (additions.get("sequences") or {}).items():
            if name not in sequences:
                raise UnsoundMachineError(
                    f"sequence {name!r} is unknown", f"one of {', '.join(sequences)}"
                )
            for edit in edits:
                sequences[name] = _edited(name, sequences[name], edit)
        return Sequences(stages.values(), sequences, self.machine)


def _parse_stage(name: str, body: Mapping[str, Any], base: Stage | None) -> Stage:
    when = {
        key: (value,) if isinstance(value, str) else tuple(value)
        for key, value in (body.get("when") or (base.when if base else {})).items()
    }
    known = {f for f in Stage.__dataclass_fields__ if f not in ("name", "when")}
    unknown = sorted(set(body) - known - {"when"})
    if unknown:
        raise UnsoundMachineError(
            f"stage {name!r} has unknown keys {', '.join(unknown)}", f"known: {sorted(known)}"
        )
    values = {f: getattr(base, f) for f in known} if base else {"sls": f"stages.{name}"}
    return Stage(
        name=name, **{**values, **{k: v for k, v in body.items() if k in known}}, when=when
    )


def _edited(sequence: str, names: tuple[str, ...], edit: Mapping[str, Any]) -> tuple[str, ...]:
    anchor = edit.get("after") or edit.get("before") or edit.get("drop") or edit.get("replace")
    if anchor is not None and anchor not in names:
        raise UnsoundMachineError(
            f"sequence {sequence!r} has no stage {anchor!r} to place {dict(edit)} by",
            f"it has {', '.join(names)}",
        )
    if "drop" in edit:
        return tuple(name for name in names if name != anchor)
    if "replace" in edit:
        return tuple(edit["with"] if name == anchor else name for name in names)
    if "add" not in edit:
        raise UnsoundMachineError(
            f"sequence {sequence!r}: {dict(edit)} is no edit", "use add, drop or replace"
        )
    rest = [name for name in names if name != edit["add"]]
    at = len(rest) if anchor is None else rest.index(anchor) + ("after" in edit)
    return (*rest[:at], edit["add"], *rest[at:])


def _stage_problems(these: Sequences) -> list[str]:
    problems = []
    for stage in these.stages.values():
        if stage.environment not in AGENT_ENVIRONMENTS:
            problems.append(
                f"stage {stage.name!r}: environment {stage.environment!r} has no agent to run it"
            )
        if stage.deadline_s <= 0:
            problems.append(f"stage {stage.name!r}: deadline_s must be above 0")
        if stage.retries < 0:
            problems.append(f"stage {stage.name!r}: retries must be 0 or more")
        if not stage.sls:
            problems.append(f"stage {stage.name!r}: no sls to apply")
        problems += [
            f"stage {stage.name!r}: cannot tell nodes by {key!r} (use {', '.join(CONDITION_KEYS)})"
            for key in stage.when
            if key not in CONDITION_KEYS
        ]
    return problems


def _sequence_problems(these: Sequences) -> list[str]:
    problems = []
    for name, members in these.sequences.items():
        if not members:
            problems.append(f"sequence {name!r} would be empty")
        problems += [
            f"sequence {name!r}: stage {m!r} is not declared"
            for m in members
            if m not in these.stages
        ]
        problems += [
            f"sequence {name!r}: stage {m!r} twice" for m in set(members) if members.count(m) > 1
        ]
        if members and not any(not these.stages[m].when for m in members if m in these.stages):
            problems.append(
                f"sequence {name!r} needs at least one stage without 'when', so that every node has work"
            )
    used = {state.sequence for state in these.machine.states.values() if state.sequence}
    problems += [
        f"sequence {name!r} is needed by the machine" for name in used - set(these.sequences)
    ]
    return problems
