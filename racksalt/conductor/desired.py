"""What Salt states declare of a data centre: things that exist, and nodes that shall be in a rest state.

The same core as the site's files (``racksalt.site.declare``, ``conductor.declare``), for one thing at a
time and with what the store already knows around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from racksalt.conductor.declare import declare
from racksalt.conductor.networks import forget
from racksalt.model.errors import InvalidInputError
from racksalt.model.place import Network, Rack, Zone
from racksalt.psm.kernel import Kind
from racksalt.site.declare import declare as read
from racksalt.site.networks import as_document, conduit_document
from racksalt.site.problems import refuse
from racksalt.site.schema import Declarations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from racksalt.conductor.operations import Operations

SOURCE = "a Salt state"
PLACES = {"zones": Zone, "racks": Rack, "networks": Network}
GONE = "gone_networks"
KINDS = (*PLACES, "nodes", GONE)
GOALS = ("ready", "commissioned", "retired")
_COMMANDS = {
    ("declared", "ready"): "commission",
    ("declared", "commissioned"): "commission",
    ("declared", "retired"): "retire",
    ("discovered", "ready"): "approve",
    ("discovered", "commissioned"): "approve",
    ("discovered", "retired"): "retire",
    ("commissioned", "ready"): "install",
    ("commissioned", "retired"): "retire",
    ("ready", "commissioned"): "release",
    ("ready", "retired"): "retire",
    ("retired", "ready"): "commission",
    ("retired", "commissioned"): "commission",
}
"""From a rest state towards a goal; a node in problem waits for a person."""


def present(
    operations: Operations, kind: str, name: str, fields: Mapping[str, Any], *, test: bool = False
) -> dict[str, Any]:
    """Bring one zone, rack, network or node to what is declared; return what changed (or would).

    Of the kind ``gone_networks`` is a network that shall not be there.

    Raises:
        InvalidInputError: the declaration makes no sense, or its BMC is another node's; nothing was changed.
        ConflictError: nodes have addresses in the network that shall not be there.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"no kind {kind!r}", f"one of {', '.join(KINDS)}")
    if kind == GONE:
        there = any(it.name == name for it in operations.store.all_of(Network))
        return forget(operations, name, test=test) if there else {}
    given = {key: value for key, value in fields.items() if value is not None}
    around, problems = read(
        {SOURCE: _joined(_around(operations, kind, name, given), kind, name, given)}
    )
    refuse(problems)
    one: dict[str, Any] = {kind: {name: getattr(around, kind)[name]}}
    if kind == "nodes":
        one |= {"racks": around.racks, "zones": around.zones}
    site = operations.site.declarations
    claims = {**site.claims, **around.claims}
    wanted = Declarations(policy=site.policy, conduits=site.conduits, claims=claims, **one)
    return declare(operations.store, wanted, operations.clock(), test=test, around=site)


def desire(
    operations: Operations, node: str, goal: str, actor: str, *, test: bool = False
) -> dict[str, Any]:
    """Send a node on its way to ``goal`` unless it is there or on its way.

    Returns:
        ``{"result": True | False | None, "comment", "changes"}``, as Salt states have it: False for a
        node that only a person can send on, None for what would be done in test mode.
    """
    if goal not in GOALS:
        raise InvalidInputError(f"no goal {goal!r}", f"one of {', '.join(GOALS)}")
    found = operations.store.node(node)
    if found.state == goal:
        return _told(True, f"{node} is {goal}")
    kind = operations.conductor.rules().machine.states[found.state].kind
    if kind is Kind.PROBLEM:
        return _told(False, f"{node} is in problem: {found.reason}; recover it by hand")
    if kind is Kind.BUSY:
        return _told(True, f"{node} is {found.state}, on its way to {found.goal}")
    command = _COMMANDS.get((found.state, goal))
    if command is None:
        return _told(False, f"nothing leads a node from {found.state} to {goal}")
    changes = {"state": {"old": found.state, "new": goal}, "command": command}
    if test:
        return {**_told(None, f"{node} would get the command {command}"), "changes": changes}
    asked = (
        goal if goal in ("ready", "commissioned") and command in ("commission", "approve") else None
    )
    answer = operations.run(command, [node], actor, goal=asked)
    if answer["refused"]:
        return _told(False, str(answer["refused"][0]["message"]))
    return {**_told(True, f"{node} got the command {command}"), "changes": changes}


def _around(
    operations: Operations, kind: str, name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a declaration may refer to, as the store has it, and the networks that it must fit to."""
    if kind not in ("nodes", "racks", "networks"):
        return {}
    store = operations.store
    found: dict[str, Any] = {"zones": {zone.name: {} for zone in store.all_of(Zone)}}
    if kind != "racks":
        found["racks"] = {
            rack.name: {"zone": rack.zone, "height_u": rack.height_u} for rack in store.all_of(Rack)
        }
    if kind == "networks" or given.get("addresses"):
        networks = [it for it in store.all_of(Network) if (kind, it.name) != ("networks", name)]
        found["networks"] = {it.name: as_document(it) for it in networks}
        conduits = operations.site.declarations.conduits.values()
        found["conduits"] = {it.name: conduit_document(it) for it in conduits}
    return found


def _joined(
    around: Mapping[str, Any], kind: str, name: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    return {**around, kind: {**around.get(kind, {}), name: given}}


def _told(result: bool | None, comment: str) -> dict[str, Any]:
    return {"result": result, "comment": comment, "changes": {}}
