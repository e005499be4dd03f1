"""Waiting for a condition, for tests that start daemons."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Share:
    """How much of the machine's work since the start was for what was started in ``root``.

    A limit in seconds holds for a machine of its own; where other programs run, it is longer in proportion. Whatever
    is in the session of a process that works in ``root`` belongs to it: daemons change their folder.
    """

    def __init__(self, root):
        self.root = Path(root).resolve()
        self._busy, self._own = self._busy_s(), self._own_s()

    def slower(self):
        """Return by how much others slow this down: 1 when nobody else computes, 2 when they take half."""
        busy, own = self._busy_s() - self._busy, self._own_s() - self._own
        return max(1.0, busy / own) if own > 0 else 1.0

    @staticmethod
    def _busy_s():
        """Return the seconds that all processors have worked (proc(5), /proc/stat)."""
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
        )
        return (user + nice + system + irq + softirq + steal) / _TICKS

    def _own_s(self):
        """Return the seconds of our processes and of children that ended (proc(5), /proc/PID/stat)."""
        ours, ticks = set(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                    fields = text.rpartition(")")[2].split()
                    session = int(fields[3])
                    ticks.append((session, sum(map(int, fields[11:15]))))
                    if (entry / "cwd").readlink().is_relative_to(self.root):
                        ours.add(session)
        return sum(used for session, used in ticks if session in ours) / _TICKS


def wait_for(condition, timeout_s, every_s=0.05):
    """Wait until ``condition()`` is true; return the seconds that it took, or None when the time is over."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            return None
        time.sleep(every_s)
    return time.monotonic() - began
