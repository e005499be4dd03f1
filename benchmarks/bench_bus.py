"""A burst of node events through a real Salt bus into the journal: rate, losses, processor time per event.

Times are those of the processes in ``/proc``: the engine (bus reader, inbox, conductor) and the rest of the master.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import salt.utils.event

from benchmarks import Figure, size
from racksalt.bootstrap import App
from racksalt.lab.rack import Rack
from racksalt.wire import event_tag

EVENTS, NODES = size("EVENTS", 10_000), 20
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LONGEST_S = 120.0


def measure() -> list[Figure]:
    """Fire ``BENCH_EVENTS`` (10,000) events as fast as the bus takes them and wait until all are journalled."""
    with tempfile.TemporaryDirectory(prefix="rb-", dir="/tmp") as name, Rack(Path(name)) as rack:
        rack.use_nodes([f"b{number}" for number in range(NODES)])
        rack.master.start()
        rack.master.wait_ready()
        app = rack.open()
        try:
            app.operations.declare()
            return _burst(rack, app)
        finally:
            app.close()


def _burst(rack: Rack, app: App) -> list[Figure]:
    opts = rack.master.opts
    with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
        _until(lambda: _fire(bus, 0, "probe") or app.store.count("journal") > NODES, 60)
        before, first = _cpu_s(rack), app.store.head()
        began = time.monotonic()
        for number in range(EVENTS):
            _fire(bus, number, "seen")
        fired = time.monotonic() - began
        lost = _until(lambda: app.store.head() - first >= EVENTS, LONGEST_S)
        took = time.monotonic() - began
    engine, others = (now - then for now, then in zip(_cpu_s(rack), before, strict=True))
    return [
        Figure("events fired", EVENTS / fired, "events/s"),
        Figure("events journalled", EVENTS / took, "events/s"),
        Figure("events lost", EVENTS - (app.store.head() - first) if lost else 0, "events", "0"),
        Figure("engine", engine * 1000 / EVENTS, "CPU-ms each", "<= 2"),
        Figure("rest of the master", others * 1000 / EVENTS, "CPU-ms each"),
    ]


def _fire(bus: Any, number: int, name: str) -> None:
    bus.fire_event(
        {"data": {"event_id": f"{name}-{number}"}}, event_tag(f"b{number % NODES}", name)
    )


def _until(condition: Callable[[], Any], timeout_s: float) -> bool:
    """Wait for a condition; say whether it was in vain."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return True
        time.sleep(0.1)
    return False


def _cpu_s(rack: Rack) -> tuple[float, float]:
    """Return the processor seconds of the engine and of all other processes of the master."""
    engine = others = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            title = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[2]) == rack.master.pid:
            used = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
            if b"racksalt_conductor" in title:
                engine += used
            else:
                others += used
    return engine, others
