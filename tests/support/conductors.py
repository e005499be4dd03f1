"""Conductors in processes of their own, and what is held against them afterwards."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections import Counter

from tests.support.builders import a_bmc, a_node


def conductors(file, count):
    """Start conductors, each in its own process; return them when all are at work."""
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.conductor_process", file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for process in started:
        assert process.stdout.readline() == "at work\n"
    return started


def states(store):
    """Return how many nodes are in each state."""
    return Counter(node.state for node in store.nodes())


def end(processes):
    """Let processes end in order; return their exit codes."""
    for process in processes:
        with contextlib.suppress(BrokenPipeError):
            process.communicate(timeout=30)
    return [process.returncode for process in processes]


def fill(store, names):
    """Declare approved light nodes, each with a BMC."""
    with store.write() as tx:
        tx.add_nodes([a_node(n, approved=True, goal="ready", agent="light") for n in names])
        tx.put([a_bmc(name) for name in names])


def point_bmcs(store, names, address):
    """Let all BMCs be those of one lab."""
    host, port = address.rsplit(":", 1)
    with store.write() as tx:
        tx.put([a_bmc(name, address=host, port=int(port)) for name in names])


def unseen_actions(log):
    """Return the power actions before which the same conductor did not look, after the last action of anybody.

    What other conductors look at in between changes nothing: their sweeps read, and act on nothing.
    """
    seen_by, bad = {}, []
    for node, what, caller in log:
        lookers = seen_by.setdefault(node, set())
        if what == "observe":
            lookers.add(caller)
        elif what in ("on", "off"):
            if caller not in lookers:
                bad.append((node, what, caller))
            lookers.clear()
    return bad
