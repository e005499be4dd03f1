"""Switches: what they should be, what they are, and the way there. Each change is in the journal, as ``switch:<name>``.

An application writes what was before into the journal ahead of its first step. One that broke off is therefore seen,
and can be taken back or gone on with, whoever died in the middle.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from racksalt.conductor.claims import renewed
from racksalt.conductor.ports import Clock, Switches
from racksalt.model.errors import ConflictError, NotFoundError, RacksaltError, SwitchError
from racksalt.model.event import Entry
from racksalt.model.node import Node
from racksalt.model.switch import JOURNAL_PREFIX, Switch
from racksalt.network import switch_plan as plans
from racksalt.network.switch_plan import SwitchPlan
from racksalt.network.switches import Observed, Occupant, misplugged, wanted
from racksalt.site.problems import one_of
from racksalt.site.site import Site
from racksalt.store import Store
from racksalt.store.rows import values

log = logging.getLogger(__name__)
BEGAN, APPLIED, FAILED = "switch_change_began", "switch_changed", "switch_change_failed"
ROLLED_BACK: Final = "switch_rolled_back"
ENDS: Final = (APPLIED, FAILED, ROLLED_BACK)
PATIENCE_S: Final = 300.0
"""After how long a silence a change that has not ended is taken for broken off."""
RENEW_S: Final = 60.0
"""So often who is at a change says so, however long a switch takes for it."""


class SwitchOperations:
    """All that a person or program may ask of switches. Answers are plain data."""

    def __init__(
        self, store: Store, site: Site, drivers: Mapping[str, Switches], clock: Clock
    ) -> None:
        self.store, self.site, self.drivers, self.clock = store, site, drivers, clock

    # Asking.

    def listed(self) -> list[dict[str, Any]]:
        """Return the declared switches by name, and what was last done to each; no switch is asked."""
        return [self._told(switch) for _, switch in sorted(self.site.declarations.switches.items())]

    def plan(self, name: str, *, clear: bool = False) -> dict[str, Any]:
        """Return the steps to what is declared, or (``clear``) to a switch out of its box, with the plan's hash.

        Raises:
            NotFoundError: no such switch. SwitchError: it cannot be asked. SwitchPlanError: there is no safe plan.
        """
        switch = self._switch(name)
        return self._plan(switch, self._observe(switch), clear=clear).as_dict()

    def drift(self, name: str) -> dict[str, Any]:
        """Return how a switch differs from what is declared, who is behind its ports, and who should not be there."""
        switch = self._switch(name)
        seen = self._observe(switch)
        made = self._plan(switch, seen, clear=False)
        racks, occupants = self.site.declarations.racks, self._occupants(switch)
        return {
            "switch": name,
            "differences": plans.drift(made),
            "misplugged": misplugged(switch, racks, occupants, seen.neighbours),
            "notes": list(made.notes),
            "neighbours": seen.neighbours,
        }

    def show(self, name: str) -> dict[str, Any]:
        """Return a switch as it is."""
        switch = self._switch(name)
        return {"switch": name, **self._observe(switch).as_dict()}

    def history(self, name: str, limit: int = 50) -> list[dict[str, Any]]:
        """Return what was done to a switch, newest first."""
        self._switch(name)
        return [values(entry) for entry in self.store.history(JOURNAL_PREFIX + name, limit=limit)]

    # Commanding.

    def apply(
        self,
        name: str,
        actor: str,
        *,
        plan: str | None = None,
        clear: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Make a switch what is declared (or clear it). A step that fails takes the others back.

        Args:
            name: the switch.
            actor: who asks, for the journal.
            plan: hash of the plan that was reviewed; another plan by now is a ConflictError.
            clear: lead to a switch out of its box instead.
            dry_run: only plan.

        Returns:
            the plan, with ``"applied"``: whether anything was changed.
        """
        switch = self._switch(name)
        seen = self._observe(switch)
        made = self._plan(switch, seen, clear=clear)
        before = plans.before(made, seen)
        return self._carry_out(switch, before, made, actor, APPLIED, reviewed=plan, dry_run=dry_run)

    def rollback(
        self, name: str, actor: str, *, plan: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Take back the last change of a switch, ended or not; NotFoundError if there is none."""
        switch = self._switch(name)
        last = self._last(name)
        if last is None or last["settled"]:
            raise NotFoundError(f"{name}: no change is left to be taken back", "see its history")
        seen = self._observe(switch)
        made, before = plans.restoring(switch, last["before"], seen), last["before"]
        return self._carry_out(
            switch, before, made, actor, ROLLED_BACK,
            reviewed=plan, dry_run=dry_run, settles=last["change"],
        )  # fmt: skip

    def close(self) -> None:
        """End the connections to all switches."""
        for driver in self.drivers.values():
            driver.close()

    # Inside.

    def _switch(self, name: str) -> Switch:
        known = self.site.declarations.switches
        if name not in known:
            raise NotFoundError(f"no switch {name!r} is declared", one_of(name, sorted(known)))
        return known[name]

    def _driver(self, switch: Switch) -> Switches:
        if switch.driver not in self.drivers:
            raise SwitchError(
                f"{switch.name}: no driver {switch.driver!r} here", "see its settings"
            )
        return self.drivers[switch.driver]

    def _observe(self, switch: Switch) -> Observed:
        return self._driver(switch).observe(switch)

    def _plan(self, switch: Switch, seen: Observed, *, clear: bool) -> SwitchPlan:
        if clear:
            return plans.clearing(switch, seen)
        declared = self.site.declarations
        want = wanted(switch, declared.networks, declared.racks, self._occupants(switch))
        return plans.plan(switch, want, seen)

    def _occupants(self, switch: Switch) -> list[Occupant]:
        """Return the nodes of the racks that the switch's ports lead to, with the networks of their addresses."""
        racks = {port.rack or switch.rack for port in switch.ports.values()}
        declared = self.site.declarations.nodes
        nodes: dict[str, Node] = {}
        for rack in sorted(racks):
            nodes |= {node.id: node for node in self.store.nodes(rack=rack)}
        networks: dict[str, set[str]] = {}
        for address in self.store.topology_of(list(nodes))["addresses"]:
            if address.network and address.kind == "reservation":
                networks.setdefault(address.node, set()).add(address.network)
        places = {it.id: (it.rack, it.position_u) for it in nodes.values()}
        places |= {it.id: (it.rack, it.position_u) for it in declared.values() if it.rack in racks}
        return [
            Occupant(
                node=name,
                rack=rack,
                first_u=unit,
                last_u=unit + (declared[name].height_u if name in declared else 1) - 1,
                networks=frozenset(networks.get(name, ())),
            )
            for name, (rack, unit) in sorted(places.items())
            if rack is not None and unit is not None
        ]

    def _carry_out(
        self,
        switch: Switch,
        before: Mapping[str, Any],
        made: SwitchPlan,
        actor: str,
        end: str,
        *,
        reviewed: str | None,
        dry_run: bool,
        settles: str = "",
    ) -> dict[str, Any]:
        if reviewed is not None and reviewed != made.hash:
            raise ConflictError(
                f"the plan of {switch.name} is now {made.hash}, not {reviewed}",
                "review the new plan and commit it",
            )
        told = {**made.as_dict(), "dry_run": dry_run, "applied": False}
        if dry_run:
            return told
        if not made.steps:
            if end == ROLLED_BACK:
                self._note(switch, settles, end, actor, "nothing was left to take back")
            return told
        change = uuid.uuid4().hex
        self._begin(switch, change, actor, made, before, ended=end == ROLLED_BACK)
        with renewed(lambda: self._renew(switch), RENEW_S):
            self._change(switch, before, made, change, actor)
        message = f"{len(made.steps)} steps, plan {made.hash}"
        self._note(switch, change, end, actor, message, hash=made.hash)
        return {**told, "applied": True}

    def _change(
        self,
        switch: Switch,
        before: Mapping[str, Any],
        made: SwitchPlan,
        change: str,
        actor: str,
    ) -> None:
        """Do what was planned; what fails is taken back, and journalled as the change's end."""
        try:
            self._driver(switch).apply(switch, made.steps)
            self._confirm(switch, made)
        except Exception as error:
            undone = self._undo(switch, before)
            self._note(switch, change, FAILED, actor, _said(error), undone=undone, hash=made.hash)
            raise _failure(switch, error, undone=undone) from error

    def _confirm(self, switch: Switch, made: SwitchPlan) -> None:
        """Read the switch back; SwitchError names the steps that it took and did not do."""
        seen = self._observe(switch)
        wrong = [
            f"{step.port or switch.bridge} {step.kind}"
            for step in made.steps
            if _is(seen, step.port, step.kind) != step.after
        ]
        if wrong:
            raise SwitchError(f"{switch.name} said yes and did not do: {', '.join(wrong[:8])}")

    def _undo(self, switch: Switch, before: Mapping[str, Any]) -> bool:
        try:
            back = plans.restoring(switch, before, self._observe(switch))
            self._driver(switch).apply(switch, back.steps)
            left = plans.restoring(switch, before, self._observe(switch))
        except Exception as error:  # noqa: BLE001 - whatever it is, the first failure is the one to tell
            log.error("%s: what was done cannot be taken back: %s", switch.name, error)
            return False
        return not left.steps

    # The journal.

    def _begin(
        self,
        switch: Switch,
        change: str,
        actor: str,
        made: SwitchPlan,
        before: Mapping[str, Any],
        *,
        ended: bool,
    ) -> None:
        """Write down what will be done and what is before it, unless somebody else is at it.

        ``ended``: whoever was at it is declared to have ended.
        """
        detail = {"change": change, "plan": made.as_dict(), "before": dict(before)}
        message = f"{len(made.steps)} steps, plan {made.hash}"
        with self.store.write() as tx:
            last = self._last(switch.name)
            busy = not ended and last is not None and last["ended"] is None
            if busy and last and self.clock() - self._heard(switch, last["at"]) < PATIENCE_S:
                raise ConflictError(
                    f"{switch.name} is being changed by {last['actor']}",
                    f"if nobody is, `racksalt switch rollback {switch.name}` ends it",
                )
            tx.append([self._entry(tx.head(), switch, change, BEGAN, actor, message, detail)])

    def _renew(self, switch: Switch) -> None:
        self.store.set_mark(JOURNAL_PREFIX + switch.name, int(self.clock()))

    def _heard(self, switch: Switch, began: float) -> float:
        """Return when who is at a switch was heard of last."""
        return max(began, self.store.mark(JOURNAL_PREFIX + switch.name))

    def _note(
        self, switch: Switch, change: str, event: str, actor: str, message: str, **detail: Any
    ) -> None:
        with self.store.write() as tx:
            told = {"change": change, **detail}
            tx.append([self._entry(tx.head(), switch, change, event, actor, message, told)])

    def _entry(
        self,
        head: int,
        switch: Switch,
        change: str,
        event: str,
        actor: str,
        message: str,
        detail: dict[str, Any],
    ) -> Entry:
        return Entry(
            seq=head + 1,
            at=self.clock(),
            node=JOURNAL_PREFIX + switch.name,
            kind="noted",
            event=event,
            event_id=f"{JOURNAL_PREFIX}{change}:{event}",
            from_state="",
            to_state="",
            stage=None,
            source="operator",
            actor=actor,
            message=message,
            detail=detail,
        )

    def _last(self, name: str) -> dict[str, Any] | None:
        """Return the last change: when, by whom, what was before it, and how it ended (None: it did not).

        An end is of the change that it names: who was slow may end after another has begun.
        """
        ends: dict[str, Entry] = {}
        for entry in self.store.history(JOURNAL_PREFIX + name, limit=20):
            if entry.event in ENDS:
                ends.setdefault(entry.detail["change"], entry)
            if entry.event == BEGAN:
                end = ends.get(entry.detail["change"])
                undone = end is not None and bool(end.detail.get("undone"))
                return {
                    "change": entry.detail["change"],
                    "at": entry.at,
                    "actor": entry.actor,
                    "ended": end.event if end else None,
                    "settled": undone or (end is not None and end.event == ROLLED_BACK),
                    "before": entry.detail["before"],
                }
        return None

    def _told(self, switch: Switch) -> dict[str, Any]:
        last = self._last(switch.name)
        return {
            "name": switch.name,
            "rack": switch.rack,
            "driver": switch.driver,
            "address": switch.address,
            "ports": len(switch.ports),
            "last_change": last and (last["ended"] or BEGAN),
            "last_change_at": last and last["at"],
            "last_change_by": last and last["actor"],
        }


def _is(seen: Observed, port: str, kind: str) -> Any:
    if kind == "bridge":
        return seen.bridge
    return seen.ports[port].value(kind) if port in seen.ports else None  # type: ignore[arg-type]  # a step's kind


def _said(error: Exception) -> str:
    return error.message if isinstance(error, RacksaltError) else type(error).__name__


def _failure(switch: Switch, error: Exception, *, undone: bool) -> SwitchError:
    after = "it is as it was" if undone else "it may be half changed"
    hint = "see its history" if undone else f"`racksalt switch drift {switch.name}` shows it"
    return SwitchError(f"{_said(error)}; {after}", hint, undone=undone)
