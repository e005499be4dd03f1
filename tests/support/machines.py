"""Machines in memory that do what a conductor makes them do: boot, answer, run their stages."""

from __future__ import annotations

import itertools
import threading
import time

from racksalt.model.event import Event

PAUSE_S = 0.01
ANSWERING = ("commissioning", "installing", "enrolling", "releasing", "retiring")


class Machines:
    """Plays all machines of a ``FakeWorld``: whose power is on boots, over ``conductor`` as the boot API would."""

    def __init__(self, conductor, world):
        self.conductor, self.world, self.booted = conductor, world, {}
        self._end, self._ids = threading.Event(), itertools.count()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        """Begin to play."""
        self._thread.start()
        return self

    def __exit__(self, *_error):
        """End."""
        self._end.set()
        self._thread.join(20)

    def _run(self):
        while not self._end.wait(PAUSE_S):
            nodes = [n for n in self.conductor.store.nodes() if self._boots(n.id)]
            if nodes:
                self._boot(nodes)

    def _boots(self, node):
        return self.world.power.of(node).look() == "on" and self._was_cycled(node)

    def _boot(self, nodes):
        """Let machines ask for their scripts, come up and say so; all of them at once."""
        try:
            asked = [self._event(node.id, "boot_requested", address="10.0.0.1") for node in nodes]
            outcomes = self.conductor.handle(asked, 20)
            up = [outcome.node for outcome in outcomes if outcome.node.state in ANSWERING]
            answers = [self._event(node.id, "agent_answered", boot=node.boot) for node in up]
            self.conductor.handle(answers, 20)
            self.world.jobs.up.update(node.id for node in nodes)
        except Exception:  # noqa: BLE001  the conductor ended in the middle: the machines ask again
            for node in nodes:
                self.booted.pop(node.id, None)

    def _was_cycled(self, node):
        """Say whether the machine was switched on since it last booted."""
        times = self.world.power.of(node).ons
        fresh = times > self.booted.get(node, 0)
        if fresh:
            self.world.jobs.up.discard(node)
            self.booted[node] = times
        return fresh

    def _event(self, node, name, **data):
        return Event(
            id=f"machine:{id(self)}:{next(self._ids)}",
            node=node,
            name=name,
            at=time.time(),
            source="boot",
            data=data,
        )
