"""Commands of people and programs: planned, carried out, and told again to whoever did not hear the answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from racksalt.conductor.conductor import Conductor
from racksalt.conductor.handle import bounded
from racksalt.conductor.planning import plan_hash, plan_node, refusal
from racksalt.conductor.requests import asked, check_plan, in_order, left, strangers
from racksalt.conductor.view import View
from racksalt.model.errors import (
    ConflictError,
    IllegalEventError,
    InvalidInputError,
    NotFoundError,
    RacksaltError,
)
from racksalt.model.event import Entry, Event
from racksalt.model.node import Disk, Node
from racksalt.model.request import Request
from racksalt.psm.table import COMMANDS
from racksalt.store.requests import known_request, take_request


class Commands:
    """What ``Operations.run`` does, over one conductor."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.store, self.clock = conductor.store, conductor.world.clock

    def run(
        self,
        command: str,
        nodes: Sequence[str],
        actor: str,
        dry_run: bool,
        plan: str | None,
        goal: str | None,
        request: str | None,
    ) -> dict[str, Any]:
        """Give a command to nodes; see ``Operations.run``."""
        if command not in COMMANDS:
            raise InvalidInputError(f"no command {command!r}", f"one of {', '.join(COMMANDS)}")
        if goal not in (None, "ready", "commissioned"):
            raise InvalidInputError(f"no goal {goal!r}", "ready or commissioned")
        names = list(dict.fromkeys(nodes))

        def event(name: str) -> Event:
            return self._command(command, name, actor, goal, request)

        events = {name: event(name) for name in names}
        plans, refused = self._plan(events)
        answer: dict[str, Any] = {
            "command": command,
            "dry_run": dry_run,
            "accepted": [],
            "refused": refused,
            "plan": {"hash": plan_hash(plans), "nodes": plans},
        }
        reviewed = plan in (None, answer["plan"]["hash"])
        if request and not dry_run:
            mine = asked(command, request, plans, [*refused], self.clock())
            # Asked for after the planning: a plan that is another one because the same request is on its way in
            # another process finds what that process wrote first.
            first = (
                take_request(self.store, mine) if reviewed else known_request(self.store, mine.id)
            )
            if first is not None:
                check_plan(first, plan)
                return self._again(first, names, event, answer)
        if not reviewed:
            raise ConflictError(
                f"the plan is now {answer['plan']['hash']}, not {plan}",
                "review the new plan and commit it",
            )
        if not dry_run:
            self._carry_out([events[one["node"]] for one in plans], answer)
            self._note_refusals(events, refused)
        return answer

    def _again(
        self,
        first: Request,
        names: Sequence[str],
        event: Callable[[str], Event],
        answer: dict[str, Any],
    ) -> dict[str, Any]:
        """Answer a request that was taken in before, and carry out what was cut off of it."""
        events = {name: event(name) for name in first.nodes}
        plans, _ = self._plan(events)
        # Read after the planning: a node that another process has moved meanwhile for this request is done.
        done = self._answered(events.values())
        going, changed = left(first, plans, {entry.node for entry in done})
        refused = [*first.refused, *changed]
        answer |= {"refused": refused, "plan": {"hash": first.plan, "nodes": going}}
        self._note_refusals({one["node"]: event(one["node"]) for one in refused}, [*refused])
        self._carry_out([events[one["node"]] for one in going], answer)
        _tell_again(done, answer)
        answer["accepted"] = in_order(first, answer["accepted"])
        answer["refused"] += strangers(first, names)
        return answer

    def _command(
        self, command: str, node: str, actor: str, goal: str | None, request: str | None
    ) -> Event:
        one = f"{request}:{node}" if request else uuid.uuid4().hex
        data = {"goal": goal} if goal else {}
        return Event(
            id=f"{command}:{one}",
            node=node,
            name=command,
            at=self.clock(),
            source="operator",
            actor=actor,
            data=data,
        )

    def _answered(self, events: Iterable[Event]) -> list[Entry]:
        """Return what became of these commands when they came for the first time."""
        return self.store.entries([bounded(event).id for event in events])

    def _plan(
        self, events: Mapping[str, Event]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        rules, now = self.conductor.rules(), self.clock()
        found = self.store.topology_of(list(events))
        hardware = {row.node: row for row in found["hardware"]}
        nodes: dict[str, Node] = {node.id: node for node in found["nodes"]}
        disks: dict[str, list[Disk]] = {}
        for disk in found["disks"]:
            disks.setdefault(disk.node, []).append(disk)
        boots = self.store.boots_of(list(nodes))
        plans, refused = [], []
        for name, event in events.items():
            try:
                if name not in nodes:
                    raise NotFoundError(
                        f"node {name!r} is unknown",
                        "`racksalt node list` shows those that are known",
                    )
                known = tuple(boots.get(name, ()))
                view = View(node=nodes[name], boots=known, hardware=hardware.get(name), now=now)
                plans.append(plan_node(view, event, disks.get(name, []), rules).as_dict())
            except RacksaltError as error:
                refused.append(refusal(name, error))
        return plans, refused

    def _carry_out(self, events: Sequence[Event], answer: dict[str, Any]) -> None:
        before = []
        for event, outcome in zip(events, self.conductor.handle(events), strict=True):
            if outcome.error is not None:
                answer["refused"].append(refusal(event.node, outcome.error))
            elif outcome.entry is None:
                # The same request came in twice at the same time: the journal says what became of the other.
                before.append(event)
            else:
                answer["accepted"].append(_accepted(outcome.entry))
        _tell_again(self._answered(before) if before else (), answer)

    def _note_refusals(
        self, events: Mapping[str, Event], refused: Sequence[Mapping[str, Any]]
    ) -> None:
        """Journal what was refused while planning, for nodes that exist.

        As a refusal, whatever the node would accept by now: nobody has reviewed what that would do.
        """
        why = {one["node"]: one["message"] for one in refused if one["code"] != "not_found"}
        told = [(events[name], message) for name, message in why.items()]
        self.conductor.handle(
            [replace(e, data={**e.data, "refused": message}) for e, message in told]
        )


def _accepted(entry: Entry) -> dict[str, Any]:
    return {
        "node": entry.node,
        "from": entry.from_state,
        "to": entry.to_state,
        "seq": entry.seq,
    }


def _tell_again(entries: Sequence[Entry], answer: dict[str, Any]) -> None:
    for one in entries:
        if one.kind == "transition":
            answer["accepted"].append(_accepted(one))
        else:
            answer["refused"].append(refusal(one.node, IllegalEventError(one.message)))
