"""The main path: a batch of events becomes one transaction. Journal, step, outbox: all of it or nothing.

An event that was handled before has no second effect. An event that the node's state does not accept is journalled
(as refused, if a person sent it) and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from time import gmtime, strftime
from typing import Any

from racksalt.boot.identity import Known
from racksalt.conductor import burn, placing
from racksalt.conductor.addresses import RETIRED, entry, named, settle
from racksalt.conductor.certificates import proven
from racksalt.conductor.decide import LANES, Decision, decide
from racksalt.conductor.records import write_inventories
from racksalt.conductor.twins import met, rivals
from racksalt.conductor.view import Rules, View
from racksalt.model.errors import IllegalEventError, NotFoundError, RacksaltError
from racksalt.model.event import Entry, Event
from racksalt.model.node import Boot, Nic, Node
from racksalt.model.place import Network
from racksalt.store.transaction import Seen, Transaction
from racksalt.wire import NODE_ID

UNKNOWN = "unknown"
"""The state that journal entries name for a node that racksalt does not know."""
MOST_BOOTS = 32
"""How many boots of one node are kept before the older half is forgotten."""
LEFT_OUT = ("inventory", "burn_in", "message", "refused", "noted")
"""What a journal entry's detail leaves out: it is kept elsewhere, or is the entry's message."""
LONGEST_ID, LONGEST_ACTOR, LONGEST_NODE = 200, 128, 253
"""What the journal's columns hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one event. ``error`` is set where it was refused; ``boot`` is the node's present boot."""

    seq: int
    node: Node | None
    boot: Boot | None
    entry: Entry | None
    error: RacksaltError | None = None


@dataclass(slots=True)
class _Batch:
    """The rows of one transaction, as they will be written."""

    tx: Transaction
    rules: Rules
    now: float
    seq: int
    nodes: dict[str, Node]
    boots: dict[str, list[Boot]]
    hardware: dict[str, Any]
    versions: dict[str, int]
    entries: list[Entry] = field(default_factory=list)
    new: dict[str, list[Nic]] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    effects: list[dict[str, Any]] = field(default_factory=list)
    void: dict[str, set[str]] = field(default_factory=dict)
    put_boots: dict[tuple[str, int, str], Boot] = field(default_factory=dict)
    inventories: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: dict[str, Node] = field(default_factory=dict)
    rivals: dict[str, list[Known]] = field(default_factory=dict)
    burns: dict[int, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)


def handle(tx: Transaction, events: Sequence[Event], rules: Rules, now: float) -> list[Outcome]:
    """Apply ``events`` in order within ``tx``; one outcome each."""
    events = [bounded(event) for event in events]
    ids = {event.node for event in events}
    nodes = tx.nodes(ids)
    batch = _Batch(
        tx=tx,
        rules=rules,
        now=now,
        seq=tx.head(),
        nodes=nodes,
        boots=tx.boots(ids),
        hardware=tx.hardware(ids),
        versions={node.id: node.version for node in nodes.values()},
        before=dict(nodes),
        rivals=rivals(tx, events),
    )
    seen = tx.seen(event.id for event in events)
    outcomes = []
    for event in events:
        outcomes.append(
            _repeated(batch, event, seen[event.id]) if event.id in seen else _one(batch, event)
        )
        if (told := outcomes[-1].entry) is not None:
            seen[event.id] = Seen(told.seq, told.kind, told.message)
    _write(batch)
    return outcomes


def _one(batch: _Batch, event: Event) -> Outcome:
    node = batch.nodes.get(event.node)
    if node is None:
        node = _enrolled(batch, event)
    else:
        event = proven(event, node, batch.rules)
    if node is None:
        error = NotFoundError(
            f"node {event.node!r} is unknown", "declare it in the site's files, or let it boot"
        )
        message = str(event.data.get("refused") or error)
        return _journal(
            batch,
            event,
            None,
            Decision(node=_nobody(event), kind="refused", message=message, error=error),
        )
    view = View(
        node=node,
        boots=tuple(batch.boots.get(node.id, ())),
        hardware=batch.hardware.get(node.id),
        now=batch.now,
        rivals=(
            *batch.rivals.get(node.id, ()),
            *met(node, event, batch.inventories, batch.nodes),
        ),
    )
    jid = job_id(batch.now, batch.seq + 1)
    try:
        decision = decide(view, event, batch.rules, jid)
    except IllegalEventError as error:
        kind = "refused" if event.source == "operator" else "noted"
        decision = Decision(node=node, kind=kind, message=str(error), error=error)  # type: ignore[arg-type]
    return _journal(batch, event, node, decision)


def _journal(batch: _Batch, event: Event, before: Node | None, decision: Decision) -> Outcome:
    batch.seq += 1
    state = before.state if before else UNKNOWN
    entry = Entry(
        seq=batch.seq,
        at=batch.now,
        node=event.node,
        kind=decision.kind,
        event=event.name,
        event_id=event.id,
        from_state=state,
        to_state=decision.node.state,
        stage=decision.node.stage,
        source=event.source,
        actor=event.actor,
        message=decision.message[:2000].replace("\x00", ""),
        detail=_detail(event, decision),
    )
    batch.entries.append(entry)
    if before is not None and decision.node is not before:
        _keep(batch, decision, batch.seq)
        if decision.kind == "transition" and isinstance(event.data.get("burn_in"), Mapping):
            batch.burns[batch.seq] = (event.node, event.data["burn_in"])
    error = decision.error if isinstance(decision.error, RacksaltError) else None
    known = decision.node if before is not None else None
    return Outcome(seq=batch.seq, node=known, boot=_boot(batch, known), entry=entry, error=error)


def _keep(batch: _Batch, decision: Decision, seq: int) -> None:
    node = decision.node
    batch.nodes[node.id] = node
    batch.changed[node.id] = None
    if decision.void:
        batch.void.setdefault(node.id, set()).update(decision.void)
        batch.effects = [
            e for e in batch.effects if e["node"] != node.id or e["name"] not in decision.void
        ]
    for number, (name, args) in enumerate(decision.effects):
        batch.effects.append(
            {
                "id": seq * 16 + number,
                "node": node.id,
                "lane": LANES[name],
                "name": name,
                "boot": node.boot,
                "args": args,
                "progress": {},
                "attempts": 0,
                "created_at": batch.now,
                "not_before": 0.0,
            }
        )
    for boot in decision.boots:
        batch.put_boots[(boot.node, boot.generation, boot.environment)] = boot
        key = (boot.generation, boot.environment)
        others = [b for b in batch.boots.get(node.id, ()) if (b.generation, b.environment) != key]
        batch.boots[node.id] = [*others, boot]
    if decision.inventory is not None:
        batch.inventories[node.id] = {**batch.inventories.get(node.id, {}), **decision.inventory}


def _write(batch: _Batch) -> None:
    tx = batch.tx
    known = [name for name in batch.inventories if name not in batch.new]
    _record(batch, known)
    _place(batch, known)
    settling = _settling(batch)
    networks = tx.all_of(Network) if settling else []
    for name in settling:
        batch.nodes[name] = named(batch.nodes[name], batch.rules.site, networks)
    tx.add_nodes([batch.nodes[name] for name in batch.new])
    tx.put([nic for nics in batch.new.values() for nic in nics])
    _record(batch, [name for name in batch.inventories if name in batch.new])
    _settle(batch, settling, networks)
    tx.append(batch.entries)
    tx.update_nodes(
        [(batch.nodes[n], batch.versions[n]) for n in batch.changed if n not in batch.new]
    )
    void: dict[frozenset[str], list[str]] = {}
    for name, worthless in batch.void.items():
        void.setdefault(frozenset(worthless), []).append(name)
    for effects, nodes in void.items():
        tx.void_effects(nodes, effects)
    tx.add_effects(batch.effects)
    tx.put(list(batch.put_boots.values()))
    tx.forget_boots([boot for name in batch.changed for boot in _outdated(batch, name)])
    for run, (name, found) in batch.burns.items():
        hardware = batch.hardware.get(name)
        product = hardware.product if hardware else None
        burn.record(tx, name, found, product, at=batch.now, run=run)


def _record(batch: _Batch, names: Sequence[str]) -> None:
    if names:
        approved = {name for name in names if batch.nodes[name].approved}
        found = {name: batch.inventories[name] for name in names}
        write_inventories(batch.tx, found, approved, now=batch.now)


def _place(batch: _Batch, names: Sequence[str]) -> None:
    """Let the switch ports of inventoried nodes propose where they stand, and journal what is new."""
    if not names:
        return
    nodes = {name: batch.nodes[name] for name in names}
    for node, found, message in placing.place(batch.tx, nodes, batch.rules.site, batch.now):
        batch.seq += 1
        batch.nodes[node.id] = node
        batch.entries.append(placing.entry(batch.seq, batch.now, node, found, message))


def _settling(batch: _Batch) -> list[str]:
    """Return the nodes whose addresses may change: those with new NICs, those let in, and those that left."""
    found = []
    for name in batch.changed:
        node, before = batch.nodes[name], batch.before.get(name)
        was_retired = before is not None and before.state == RETIRED
        if node.state == RETIRED:
            found += [] if was_retired else [name]
            continue
        let_in = was_retired or before is None or not before.approved
        if (let_in or name in batch.inventories) and (
            node.approved or name in batch.rules.site.nodes
        ):
            found.append(name)
    return found


def _settle(batch: _Batch, settling: Sequence[str], networks: Sequence[Network]) -> None:
    """Hand out and take back addresses, and journal it."""
    if not settling:
        return
    nodes = [batch.nodes[name] for name in settling]
    for name, outcome in settle(batch.tx, nodes, batch.rules.site, networks).items():
        batch.seq += 1
        batch.entries.append(entry(batch.seq, batch.now, batch.nodes[name], outcome))


def _outdated(batch: _Batch, name: str) -> list[Boot]:
    """Return the boots that nobody will ask for again, once there are many: what is read stays short."""
    boots = batch.boots.get(name, ())
    if len(boots) < MOST_BOOTS:
        return []
    view = View(node=batch.nodes[name], boots=tuple(boots), hardware=None, now=batch.now)
    old = sorted(boots, key=lambda boot: boot.generation)[: -MOST_BOOTS // 2]
    return [boot for boot in old if boot is not view.enrolment]


def _enrolled(batch: _Batch, event: Event) -> Node | None:
    """Take in a machine that nobody declared, while the limit allows it."""
    # One of a certain boot is late: the machine that had it is known, or was.
    late = {"refused", "boot"} & event.data.keys()
    if event.name != "boot_requested" or event.source != "boot" or late:
        return None
    if batch.tx.count_unapproved() + len(batch.new) >= batch.rules.discovery_limit:
        return None
    mac = str(event.data.get("mac", ""))
    if not NODE_ID.match(event.node) or batch.tx.mac_owners([mac]):
        # The MAC became another node's since the boot API looked: its next request finds that one.
        return None
    node = Node(
        id=event.node,
        state="declared",
        version=0,
        state_since=batch.now,
        created_at=batch.now,
        goal=batch.rules.goal,
    )
    batch.nodes[node.id] = node
    batch.versions[node.id] = 0
    batch.new[node.id] = (
        [Nic(id=f"{node.id}/{mac}", node=node.id, name="pxe", mac=mac, pxe=True)] if mac else []
    )
    return node


def bounded(event: Event) -> Event:
    """Return the event such that its texts fit their columns; a long id stays unique."""
    if (
        len(event.id) <= LONGEST_ID
        and len(event.actor) <= LONGEST_ACTOR
        and len(event.node) <= LONGEST_NODE
        and "\x00" not in event.id + event.actor + event.node
    ):
        return event
    texts = event.id, event.actor[:LONGEST_ACTOR], event.node[:LONGEST_NODE]
    known, actor, node = (text.replace("\x00", "") for text in texts)
    if len(known) > LONGEST_ID:
        known = f"{known[:100]}:{sha256(known.encode()).hexdigest()}"
    return replace(event, id=known, actor=actor, node=node)


def _repeated(batch: _Batch, event: Event, seen: Seen) -> Outcome:
    """Return what became of an event when it came for the first time: what was refused stays refused."""
    node, error = batch.nodes.get(event.node), None
    if seen.kind == "refused":
        error = NotFoundError(seen.message) if node is None else IllegalEventError(seen.message)
    return Outcome(seq=seen.seq, node=node, boot=_boot(batch, node), entry=None, error=error)


def _boot(batch: _Batch, node: Node | None) -> Boot | None:
    if node is None:
        return None
    wanted = (node.boot, node.boot_environment)
    return next(
        (b for b in batch.boots.get(node.id, ()) if (b.generation, b.environment) == wanted), None
    )


def _nobody(event: Event) -> Node:
    return Node(id=event.node, state=UNKNOWN, version=0, state_since=event.at)


def _detail(event: Event, decision: Decision) -> dict[str, Any]:
    told = {k: v for k, v in event.data.items() if k not in LEFT_OUT}
    if decision.effects:
        told["effects"] = [name for name, _ in decision.effects]
    if decision.kind == "transition":
        told["boot"] = decision.node.boot
    return told


def job_id(now: float, seq: int) -> str:
    """Return a Salt job id (20 digits: local date, time and microseconds) that no other journal entry gets."""
    return f"{strftime('%Y%m%d%H%M%S', gmtime(now))}{seq % 1_000_000:06d}"
