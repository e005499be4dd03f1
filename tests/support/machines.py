"""Machines in memory that do what a conductor makes them do: boot, answer, run their stages."""

from __future__ import annotations

import itertools
import threading
import time

from racksalt.model.event import Event

PAUSE_S = 0.01


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
            for node in self.conductor.store.nodes():
                self._live(node)

    def _live(self, node):
        machine = self.world.power.of(node.id)
        if machine.look() != "on" or not self._was_cycled(node.id):
            return
        try:
            outcome = self._tell(node.id, "boot_requested", address="10.0.0.1")
            if node.state in ("commissioning", "installing", "releasing", "retiring"):
                self._tell(node.id, "agent_answered", boot=outcome.node.boot)
            self.world.jobs.up.add(node.id)
            if node.state == "enrolling":
                self._tell(node.id, "agent_answered", boot=outcome.node.boot)
        except Exception:  # noqa: BLE001  the conductor ended in the middle: the machine asks again
            self.booted.pop(node.id, None)

    def _was_cycled(self, node):
        """Say whether the machine was switched on since it last booted."""
        times = self.world.power.calls(node).count("on")
        fresh = times > self.booted.get(node, 0)
        if fresh:
            self.world.jobs.up.discard(node)
            self.booted[node] = times
        return fresh

    def _tell(self, node, name, **data):
        event = Event(
            id=f"machine:{id(self)}:{next(self._ids)}",
            node=node,
            name=name,
            at=time.time(),
            source="boot",
            data=data,
        )
        return self.conductor.handle_wait(event, 5)
