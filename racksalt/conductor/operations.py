"""The verbs. Runner, CLI, GraphQL and Salt states all call these; nothing can be done through one that another forbids.

Every answer is plain data that JSON can carry. Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from racksalt.conductor.access import Access, Principal
from racksalt.conductor.certificates import Seal, as_dict, parse
from racksalt.conductor.conductor import Conductor
from racksalt.conductor.declare import REFUSED, declare
from racksalt.conductor.planning import plan_hash, plan_node, refusal
from racksalt.conductor.view import View
from racksalt.conductor.why import why
from racksalt.model.errors import (
    ConflictError,
    IllegalEventError,
    InvalidInputError,
    NotFoundError,
    RacksaltError,
    SettingsError,
)
from racksalt.model.event import Entry, Event
from racksalt.model.hardware import PlaceProposal
from racksalt.model.node import Address, Bmc, Disk, Hardware, Nic, Node
from racksalt.psm.table import COMMANDS
from racksalt.site.schema import Place
from racksalt.site.secrets import shown
from racksalt.site.site import Site
from racksalt.store.certificates import certificates
from racksalt.store.rows import values


class Operations:
    """All that a person or program may ask, over one site."""

    def __init__(self, conductor: Conductor, site: Site, access: Access) -> None:
        self.conductor, self.site, self.access = conductor, site, access
        self.store, self.clock = conductor.store, conductor.world.clock

    # Asking.

    def list_nodes(
        self, state: str | None = None, rack: str | None = None, zone: str | None = None
    ) -> list[dict[str, Any]]:
        """Return nodes by id, narrowed by state, rack and zone."""
        return [_told(node) for node in self.store.nodes(state=state, rack=rack, zone=zone)]

    def show(self, node: str) -> dict[str, Any]:
        """Return one node with its hardware, NICs, disks, BMC (no secret), addresses and proposed place."""
        found = _told(self.store.node(node))
        parts: dict[str, type[Any]] = {"nics": Nic, "disks": Disk, "addresses": Address}
        found |= {
            name: [values(p) for p in self.store.parts(noun, node)] for name, noun in parts.items()
        }
        hardware, bmcs = self.store.parts(Hardware, node), self.store.parts(Bmc, node)
        found["hardware"] = values(hardware[0]) if hardware else None
        proposed = self.store.parts(PlaceProposal, node)
        found["place_proposal"] = values(proposed[0]) if proposed else None
        found["bmc"] = {k: v for k, v in values(bmcs[0]).items() if k != "secret"} if bmcs else None
        return found

    def why(self, node: str) -> dict[str, Any]:
        """Return what the node waits for, since when, what was last seen and what a person can do."""
        found = self.store.node(node)
        pending, recent = self.store.pending_effects(node), self.store.history(node, limit=50)
        return why(found, self.conductor.rules().machine, pending, recent)

    def history(
        self, node: str, limit: int = 50, before: int | None = None
    ) -> list[dict[str, Any]]:
        """Return the node's journal, newest first, older than sequence number ``before``."""
        found = self.store.history(node, before, limit)
        if not found and before is None:
            self.store.node(node)
        return [values(entry) for entry in found]

    def erase_certificates(self, node: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return a node's signed erase certificates, newest first, each checked now; of retired nodes, too."""
        found = certificates(self.store, node, limit)
        if not found:
            self.store.node(node)
        return [as_dict(one, self._seal()) for one in found]

    def check_certificate(self, told: Any) -> dict[str, Any]:
        """Say whether a certificate that somebody holds is what this site signed: ``{"good", "problem", "erasure"}``.

        Raises:
            InvalidInputError: it is no certificate at all.
        """
        try:
            held = as_dict(parse(told), self._seal())
        except ValueError as error:
            hint = "hand in what `racksalt erase-certificate NODE --json` printed, one of the list"
            raise InvalidInputError(f"this is no erase certificate: {error}", hint) from None
        return {name: held[name] for name in ("good", "problem", "erasure")}

    def erase_key(self) -> str:
        """Return the public key (PEM) with which anybody can check this site's erase certificates."""
        return self._seal().public

    def replay(self) -> dict[str, str]:
        """Return each node's state as the journal alone tells it.

        Raises:
            ConflictError: the chain of a node's states is broken.
        """
        states: dict[str, str] = {}
        after = 0
        while entries := self.store.journal(after, 5000):
            for entry in entries:
                _replayed(states, entry)
            after = entries[-1].seq
        return states

    def explain(self, node: str, key: str) -> dict[str, Any]:
        """Return a configuration value with the layer that set it and the layers that it hides."""
        zone, rack = self._place(node)
        return self.site.explain(key, node, rack, zone).as_dict()

    def effective(self, node: str) -> dict[str, Any]:
        """Return the node's whole configuration; what looks like a secret is hidden."""
        zone, rack = self._place(node)
        values: dict[str, Any] = shown("", self.site.effective(node, rack, zone).plain())
        return values

    def impact(self, file: str, against: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return which nodes a layer file touches, or would touch with other values."""
        places = {place.node: place for place in self.site.declarations.places()}
        places |= {node.id: Place(node.id, node.rack, node.zone) for node in self.store.nodes()}
        return self.site.impact(file, against, [places[name] for name in sorted(places)]).as_dict()

    # Commanding.

    def run(
        self,
        command: str,
        nodes: Sequence[str],
        actor: str,
        *,
        dry_run: bool = False,
        plan: str | None = None,
        goal: str | None = None,
        request: str | None = None,
    ) -> dict[str, Any]:
        """Give a command to nodes; each accepts or refuses by itself.

        Args:
            command: one of ``psm.table.COMMANDS``.
            nodes: node ids.
            actor: who asks, for the journal.
            dry_run: only plan.
            plan: hash of the plan that was reviewed; another plan by now is a ConflictError.
            goal: ``ready`` or ``commissioned``, where commissioning shall lead.
            request: an id of this request; the same id again has no second effect, and the same answer.

        Returns:
            ``{"command", "dry_run", "accepted": [{"node", "from", "to", "seq"}], "refused": [{"node", "code",
            "message", "hint", "legal"}], "plan": {"hash", "nodes": [...]}}``
        """
        if command not in COMMANDS:
            raise InvalidInputError(f"no command {command!r}", f"one of {', '.join(COMMANDS)}")
        if goal not in (None, "ready", "commissioned"):
            raise InvalidInputError(f"no goal {goal!r}", "ready or commissioned")
        names = list(dict.fromkeys(nodes))
        events = {name: self._command(command, name, actor, goal, request) for name in names}
        before = self._answered(events) if request and not dry_run else []
        events = {k: v for k, v in events.items() if k not in {entry.node for entry in before}}
        plans, refused = self._plan(events)
        told = {"hash": plan_hash(plans), "nodes": plans}
        if plan is not None and plan != told["hash"] and not before:
            raise ConflictError(
                f"the plan is now {told['hash']}, not {plan}", "review the new plan and commit it"
            )
        answer = {
            "command": command,
            "dry_run": dry_run,
            "accepted": [],
            "refused": refused,
            "plan": told,
        }
        if not dry_run:
            self._carry_out(
                [events[one["node"]] for one in plans], {p["node"]: p for p in plans}, answer
            )
            self._note_refusals(events, refused)
            _tell_again(before, answer)
        return answer

    def declare(self, *, test: bool = False) -> dict[str, Any]:
        """Take the site's declarations into the store; start nodes if its policy says so. Returns what changed."""
        declared = self.site.declarations
        changes = declare(self.store, declared, self.clock(), test=test)
        if declared.policy.auto_commission and not test:
            # One without a BMC is started by hand, and goes on its way when it asks for its first boot; one whose BMC
            # is another node's waits for a person.
            told = changes.get("nodes", {})
            remote = {
                name
                for name, node in declared.nodes.items()
                if node.bmc is not None and REFUSED not in told.get(name, {})
            }
            waiting = [it.id for it in self.store.nodes(state="declared") if it.id in remote]
            self.conductor.handle([self._auto(name, declared.policy.goal) for name in waiting])
        return changes

    # Access.

    def token_create(
        self,
        name: str,
        scopes: Sequence[str],
        expires_in_s: float = 30 * 86400,
        created_by: str = "operator",
    ) -> dict[str, Any]:
        """Create a token; its secret is in this answer and nowhere else."""
        return self.access.create(name, scopes, expires_in_s, created_by)

    def token_revoke(self, token: str) -> dict[str, Any]:
        """Make a token worthless within seconds: GraphQL requests 3 s, subscriptions 8 s."""
        return self.access.revoke(token)

    def token_list(self) -> list[dict[str, Any]]:
        """Return all tokens without their secrets."""
        return self.access.listed()

    def principal(self, bearer: str) -> Principal:
        """Return who a bearer token is; ForbiddenError if it is worth nothing."""
        return self.access.principal(bearer)

    # Inside.

    def _seal(self) -> Seal:
        if self.conductor.seal is None:
            raise SettingsError("erase certificates are not signed here", "no key was handed in")
        return self.conductor.seal

    def _place(self, node: str) -> tuple[str | None, str | None]:
        try:
            found = self.store.node(node)
        except NotFoundError:
            place = self.site.place(node)
            return place.zone, place.rack
        return found.zone, found.rack

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

    def _auto(self, node: str, goal: str) -> Event:
        return Event(
            id=f"auto:commission:{node}",
            node=node,
            name="commission",
            at=self.clock(),
            source="site",
            actor="policy auto_commission",
            data={"goal": goal},
        )

    def _answered(self, events: Mapping[str, Event]) -> list[Entry]:
        """Return what became of these commands when they came for the first time."""
        return self.store.entries([event.id for event in events.values()])

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

    def _carry_out(
        self, events: Sequence[Event], plans: Mapping[str, Any], answer: dict[str, Any]
    ) -> None:
        for event, outcome in zip(events, self.conductor.handle(events), strict=True):
            if outcome.error is not None:
                answer["refused"].append(refusal(event.node, outcome.error))
                continue
            steps = plans[event.node]["transitions"]
            state = outcome.node.state if outcome.node else None
            before = (
                outcome.entry.from_state
                if outcome.entry
                else (steps[0]["from"] if steps else state)
            )
            answer["accepted"].append(
                {"node": event.node, "from": before, "to": state, "seq": outcome.seq}
            )

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


def _told(node: Node) -> dict[str, Any]:
    """Return what users are told of a node's own row."""
    return {name: value for name, value in values(node).items() if name != "parts_version"}


def _tell_again(entries: Sequence[Entry], answer: dict[str, Any]) -> None:
    for one in entries:
        if one.kind == "transition":
            told = {"from": one.from_state, "to": one.to_state, "seq": one.seq}
            answer["accepted"].append({"node": one.node, **told})
        else:
            error = IllegalEventError(one.message)
            answer["refused"].append(refusal(one.node, error))


def _replayed(states: dict[str, str], entry: Entry) -> None:
    if entry.kind == "transition":
        before = states.get(entry.node)
        if before is not None and before != entry.from_state:
            raise ConflictError(
                f"entry {entry.seq}: {entry.node} goes on from {entry.from_state!r}, was {before!r}"
            )
        states[entry.node] = entry.to_state
    elif entry.event == "declared" and entry.source == "site" and entry.node not in states:
        states[entry.node] = entry.to_state
