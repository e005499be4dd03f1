"""Short ways to say what a test is about: a node, an event, an effect, the rules."""

from __future__ import annotations

import itertools
from dataclasses import replace

from racksalt.conductor.view import Rules, View
from racksalt.conductor.writer import Task
from racksalt.model.event import Effect, Event
from racksalt.model.node import Bmc, Boot, Hardware, Node
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE

NOW = 1_700_000_000.0
_NUMBERS = itertools.count(1)


def a_node(name="n1", state="declared", **fields):
    """Return a node of version 1 that has been in its state for a minute."""
    given = {"id": name, "state": state, "version": 1, "state_since": NOW - 60, **fields}
    return Node(**{"created_at": NOW - 3600, **given})


def a_boot(node="n1", generation=1, environment="live", **fields):
    """Return a boot that was issued a minute ago and is good for an hour."""
    given = {"issued_at": NOW - 60, "expires_at": NOW + 3600, **fields}
    return Boot(node=node, generation=generation, environment=environment, **given)


def a_bmc(node="n1", **fields):
    """Return a simulated BMC."""
    given = {"protocol": "simulated", "address": "127.0.0.1", "port": 1, "username": "u"}
    return Bmc(node=node, **{**given, "secret": node, **fields})


def an_event(name, node="n1", source="boot", **data):
    """Return an event with an id of its own; ``event_id``, ``at`` and ``actor`` are fields, the rest is data."""
    fields = {key: data.pop(key) for key in ("at", "actor") if key in data}
    known = data.pop("event_id", None) or f"test:{next(_NUMBERS)}"
    return Event(id=known, node=node, name=name, source=source, **{"at": NOW, **fields}, data=data)


def the_rules(**fields):
    """Return the rules of a site without additions, that vouches for nobody."""
    given = {
        "machine": MACHINE,
        "sequences": Sequences(STAGES, SEQUENCES, MACHINE),
        "vouch": lambda _node, _event: False,
        "token_ttl_s": 3600.0,
        "deadline_factor": 1.0,
    }
    return Rules(**{**given, **fields})


def a_view(node=None, boots=(), hardware=None, now=NOW):
    """Return what the conductor knows of a node."""
    return View(node=node or a_node(), boots=tuple(boots), hardware=hardware, now=now)


def some_hardware(node="n1", **fields):
    """Return a node's hardware."""
    given = {"serial": f"SER-{node}", "system_uuid": None, "vendor": "Acme", "product": "S1"}
    return Hardware(node=node, **{**given, **fields})


def an_effect(name="power_cycle", node="n1", boot=1, **fields):
    """Return an effect that nobody tried yet."""
    given = {"args": {}, "attempts": 0, "progress": {}, "created_at": NOW, **fields}
    return Effect(id=next(_NUMBERS), node=node, name=name, boot=boot, **given)


def a_task(effect=None, node=None, bmc=None, **fields):
    """Return a leased effect; without ``node`` and ``bmc`` they are made for it. ``bmc=False``: there is none."""
    effect = effect or an_effect(**fields)
    node = node or a_node(effect.node, "commissioning", boot=effect.boot)
    found = None if bmc is False else bmc or a_bmc(effect.node)
    return Task(effect=effect, node=node, bmc=found)


def again(task, result):
    """Return the task as it is leased next, after ``result`` put its effect back."""
    effect = replace(
        task.effect,
        attempts=task.effect.attempts + 1,
        progress=result.progress or task.effect.progress,
    )
    return replace(task, effect=effect)
