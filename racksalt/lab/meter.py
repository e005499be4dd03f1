"""Measures processes and the disk: processor time, memory, durable commits per second."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(group: int) -> float:
    """Return the processor seconds that the live processes of a group have used, with those of their ended children."""
    return sum(sum(map(int, fields[11:15])) for _, fields in _group(group)) / _TICKS


def memory_mib(group: int) -> float:
    """Return the resident memory of a process group in MiB; pages shared within it count once (Linux PSS)."""
    total = 0
    for pid, _ in _group(group):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


class Spent:
    """How much processor time the live processes of a group have used, by how far their work was."""

    def __init__(
        self, group: int, done: Callable[[], int], cpu: Callable[[int], float] = cpu_s
    ) -> None:
        self._group, self._done, self._cpu = group, done, cpu
        self._seen: list[tuple[int, float]] = []
        self.look()

    def look(self) -> None:
        """Note both as they are now."""
        self._seen.append((self._done(), self._cpu(self._group)))

    def ms_per_item(self, first: float, last: float) -> float | None:
        """Return the milliseconds per piece of work between two shares (0 to 1) of all that was seen.

        None where no two looks fall in between: nothing was measured.
        """
        begin, end = self._seen[0][0], self._seen[-1][0]
        low, high = (begin + (end - begin) * share for share in (first, last))
        inside = [it for it in self._seen if low <= it[0] <= high]
        items = inside[-1][0] - inside[0][0] if inside else 0
        return round((inside[-1][1] - inside[0][1]) / items * 1000, 2) if items else None


def _group(group: int) -> list[tuple[int, list[str]]]:
    """Return pid and the fields after the name of /proc/PID/stat (proc(5)) of each process of the group."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{entry.name}/stat").read_text(
                    encoding="utf-8", errors="replace"
                )
                fields = text.rpartition(")")[2].split()
                if int(fields[2]) == group:
                    found.append((int(entry.name), fields))
    return found


class PeakMemory(threading.Thread):
    """Looks at the memory of a process group every ``every_s`` seconds and remembers the most."""

    def __init__(self, group: int, every_s: float = 1.0) -> None:
        super().__init__(daemon=True)
        self.group, self.every_s, self.mib = group, every_s, 0.0
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._ended.wait(self.every_s):
            self.mib = max(self.mib, memory_mib(self.group))

    def stop(self) -> float:
        """Stop looking and return the most that was seen, in MiB."""
        self._ended.set()
        self.join()
        return max(self.mib, memory_mib(self.group))


def durable_commits_per_s(folder: Path, seconds: float = 2.0) -> float:
    """Return how many one-row SQLite transactions a second reach the disk in ``folder``, one after the other."""
    path = folder / "durable-commits.db"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, entry TEXT)")
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO journal (entry) VALUES (?)", ("x" * 300,))
            connection.execute("COMMIT")
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        connection.close()
        for left in folder.glob("durable-commits.db*"):
            left.unlink()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of the values are; 0 for no values."""
    if not values:
        return 0.0
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
