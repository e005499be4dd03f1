"""What every door must say of a ready node's reinstall before it is done, and that saying so does nothing."""

from __future__ import annotations

from typing import Any

from racksalt.bootstrap import App
from racksalt.conductor.planning import plan_hash
from racksalt.model.event import Event
from racksalt.model.node import Disk, Node
from racksalt.store.store import Store
from racksalt.store.tables import metadata
from tests.support.builders import an_event

INSTALLING = [
    ("ready", "reinstall", "installing", "partition"),
    ("installing", "stage_succeeded", "installing", "image"),
    ("installing", "stage_succeeded", "installing", "configure"),
    ("installing", "stage_succeeded", "enrolling", None),
    ("enrolling", "agent_answered", "ready", None),
]
WIPED = ["nvme0n1 (3840 GB, serial D2)", "sda (480 GB, serial D1)"]
MOST_EVENTS = 60


def the_plan(node: str) -> dict[str, Any]:
    """Return the plan of the node's reinstall, its hash included, as a command's answer has it."""
    keys = ("from", "event", "to", "stage")
    planned = {
        "node": node,
        "transitions": [dict(zip(keys, step, strict=True)) for step in INSTALLING],
        "reboots": 2,
        "disks_wiped": WIPED,
        "ends_in": "ready",
    }
    return {"hash": plan_hash([planned]), "nodes": [planned]}


def make_ready(app: App, node: str) -> None:
    """Take a declared node to ready, event by event as all goes well, and give it two disks."""
    for command, goal in (("approve", None), ("commission", "ready")):
        app.operations.run(command, [node], "tester", goal=goal)
    for _ in range(MOST_EVENTS):
        found = app.store.node(node)
        if found.state == "ready":
            break
        app.conductor.handle([_next(found)])
    assert app.store.node(node).state == "ready"
    with app.store.write() as tx:
        for name, size_gb, serial in (("nvme0n1", 3840, "D2"), ("sda", 480, "D1")):
            disk = Disk(id=f"{node}/{name}", node=node, name=name, size_gb=size_gb, serial=serial)
            tx.put([disk])


def _next(node: Node) -> Event:
    """Return what happens next to a node when all goes well."""
    if node.job:
        return an_event("stage_succeeded", node.id, source="jobs", jid=node.job)
    return an_event("agent_answered", node.id, source="jobs")


def everything(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Return every row by table: nodes, boots, journal, inbox, outbox and all others but the tokens of who asks."""
    return {name: store.rows(name) for name in metadata.tables if name != "tokens"}
