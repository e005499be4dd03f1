"""The verbs. Runner, CLI, GraphQL and Salt states all call these; nothing can be done through one that another forbids.

Every answer is plain data that JSON can carry. Times are seconds since the epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from racksalt.conductor.access import Access, Principal
from racksalt.conductor.certificates import Seal, as_dict, parse
from racksalt.conductor.commands import Commands
from racksalt.conductor.conductor import Conductor
from racksalt.conductor.declare import REFUSED, declare
from racksalt.conductor.why import why
from racksalt.model.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SettingsError,
)
from racksalt.model.event import Entry, Event
from racksalt.model.hardware import PlaceProposal
from racksalt.model.node import Address, Bmc, Disk, Hardware, Nic, Node
from racksalt.model.place import Rack, Zone
from racksalt.psm.table import MACHINE
from racksalt.site.problems import one_of
from racksalt.site.schema import Place
from racksalt.site.secrets import shown
from racksalt.site.site import Site
from racksalt.store.certificates import certificates
from racksalt.store.rows import values

PLACES: dict[str, type[Rack | Zone]] = {"zone": Zone, "rack": Rack}


class Operations:
    """All that a person or program may ask, over one site."""

    def __init__(self, conductor: Conductor, site: Site, access: Access) -> None:
        self.conductor, self.site, self.access = conductor, site, access
        self.store, self.clock = conductor.store, conductor.world.clock
        self.commands = Commands(conductor)

    # Asking.

    def list_nodes(
        self, state: str | None = None, rack: str | None = None, zone: str | None = None
    ) -> list[dict[str, Any]]:
        """Return nodes by id, narrowed by state, rack and zone.

        Raises:
            InvalidInputError: there is no such state, rack or zone.
        """
        found = self.store.nodes(state=state, rack=rack, zone=zone)
        # Whether the names make sense is asked only where nothing fits them.
        asked = {"state": state, "rack": rack, "zone": zone} if not found else {}
        for kind, name in asked.items():
            if name is not None and name not in (known := self._known(kind)):
                raise InvalidInputError(f"no {kind} {name!r}", one_of(name, known))
        return [_told(node) for node in found]

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
        others = {
            kind: [place.name for place in self.store.all_of(noun)] for kind, noun in PLACES.items()
        }
        wanted = [places[name] for name in sorted(places)]
        return self.site.impact(file, against, wanted, others).as_dict()

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
            request: an id of this request; the same id again has no second effect, and the same answer: about the
                nodes of the first time, whatever is named now. What was cut off is carried out if its plan is the same.

        Returns:
            ``{"command", "dry_run", "accepted": [{"node", "from", "to", "seq"}], "refused": [{"node", "code",
            "message", "hint", "legal"}], "plan": {"hash", "nodes": [...]}}``
        """
        return self.commands.run(command, nodes, actor, dry_run, plan, goal, request)

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

    def _known(self, kind: str) -> list[str]:
        if kind == "state":
            return sorted(MACHINE.states)
        return sorted(place.name for place in self.store.all_of(PLACES[kind]))

    def _place(self, node: str) -> tuple[str | None, str | None]:
        try:
            found = self.store.node(node)
        except NotFoundError:
            place = self.site.place(node)
            return place.zone, place.rack
        return found.zone, found.rack

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


def _told(node: Node) -> dict[str, Any]:
    """Return what users are told of a node's own row."""
    return {name: value for name, value in values(node).items() if name != "parts_version"}


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
