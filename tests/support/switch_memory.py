"""A switch in memory, which takes steps as a driver does and can fail at any of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from racksalt.network.switches import Observed, PortState


class Memory:
    """A switch in memory; ``script`` says what happens at the n-th step from now."""

    def __init__(self) -> None:
        ports = [PortState(name=f"swp{n}") for n in range(1, 5)]
        self.state = Observed(ports={port.name: port for port in ports})
        self.script: dict[int, Any] = {}
        self.steps = 0

    def observe(self, switch):
        """Return the state."""
        return self.state

    def apply(self, switch, steps):
        """Take the steps."""
        for step in steps:
            self.steps += 1
            what = self.script.pop(self.steps, None)
            if isinstance(what, BaseException):
                raise what
            if callable(what):
                what()
            if what != "lie":
                port = self.state.ports[step.port].having(step.kind, step.after)
                self.state = replace(self.state, ports={**self.state.ports, step.port: port})

    def by_hand(self, name, **changes):
        """Change a port as somebody does who logs in."""
        port = replace(self.state.ports[name], **changes)
        self.state = replace(self.state, ports={**self.state.ports, name: port})

    def close(self):
        """Nothing is open."""
