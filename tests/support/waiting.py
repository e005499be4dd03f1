"""Waiting for a condition, for tests that start daemons."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Share:
    """How much of the processors' work since the start was for the admin node in ``root``.

    A limit in seconds holds for an admin node that has its processors for itself. In a test it shares them with the
    machines that it provisions, and perhaps with other programs; while they worked for those, its time stood still.
    A session belongs to the admin node if one of its processes works in ``root``, unless one of them is the
    `MACHINES`.
    """

    MACHINES = b"racksalt.lab.nursery"

    def __init__(self, root):
        self.root = Path(root).resolve()
        self._busy, self._own = self._busy_s(), self._own_s()

    def of(self, seconds):
        """Return how many of these seconds, all since the start, were the admin node's own."""
        others = (self._busy_s() - self._busy) - (self._own_s() - self._own)
        return seconds - max(0.0, others) / os.cpu_count()

    @staticmethod
    def _busy_s():
        """Return the seconds that all processors have worked (proc(5), /proc/stat)."""
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
        )
        return (user + nice + system + irq + softirq + steal) / _TICKS

    def _own_s(self):
        """Return the seconds of our processes and of children that ended (proc(5), /proc/PID/stat)."""
        ours, theirs, used = set(), set(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                    fields = text.rpartition(")")[2].split()
                    session = int(fields[3])
                    used.append((session, sum(map(int, fields[11:15]))))
                    if (entry / "cwd").readlink().is_relative_to(self.root):
                        ours.add(session)
                    if self.MACHINES in (entry / "cmdline").read_bytes():
                        theirs.add(session)
        return sum(ticks for session, ticks in used if session in ours - theirs) / _TICKS


def wait_for(condition, timeout_s, every_s=0.05):
    """Wait until ``condition()`` is true; return the seconds that it took, or None when the time is over."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            return None
        time.sleep(every_s)
    return time.monotonic() - began
