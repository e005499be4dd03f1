"""A build in steps. Each step's result is a folder, named after a digest of all that goes into it.

What is there is used again, so that a second build is instant and an interrupted one goes on. A
result appears by one rename: a half-made one is never mistaken for a whole one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from racksalt.images.recipe import digest
from racksalt.model.errors import ConflictError

BUILDER = 1
"""Raised when the same inputs would give another result."""
FETCHED = ("packages-*", "unpacked-*")
"""The steps that fetch from the distribution, whose archive changes while a recipe does not."""
KEPT = 3
"""How many results of one step are kept."""


class Workshop:
    """The folder of the results. ``took`` says what each step of this build cost."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self.took: list[dict[str, object]] = []
        self._old: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)

    @property
    def log(self) -> Path:
        """The file with what the programs print."""
        return self.folder / "build.log"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for one build; raise ConflictError while another one has it."""
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConflictError(
                    f"another build is using {self.folder}", "wait until it has ended"
                ) from None
            for draft in self.folder.glob(".*.part"):
                shutil.rmtree(draft)
            self.log.write_bytes(b"")
            yield

    def step(self, name: str, inputs: object, make: Callable[[Path], None]) -> Path:
        """Return the folder that ``make`` filled for these inputs, now or in an earlier build."""
        key = digest({"builder": BUILDER, "name": name, "inputs": inputs})[:20]
        result = self.folder / f"{name}-{key}"
        if result.name in self._old:
            shutil.rmtree(result)
        if result.is_dir():
            os.utime(result)
            self.say(f"{name}: there already")
            self.took.append({"step": name, "cached": True, "seconds": 0.0, "cpu_s": 0.0})
            return result
        self.say(f"{name} …")
        draft = self.folder / f".{name}-{key}.part"
        draft.mkdir(mode=0o755)
        began, cpu = time.monotonic(), _cpu_s()
        make(draft)
        os.sync()
        draft.rename(result)
        self._old.discard(result.name)
        seconds, used = round(time.monotonic() - began, 1), round(_cpu_s() - cpu, 1)
        self.took.append({"step": name, "cached": False, "seconds": seconds, "cpu_s": used})
        self.say(f"{name}: {seconds} s, {used} CPU-s")
        self._forget(name)
        return result

    def refresh(self) -> None:
        """Let this build fetch packages anew: results of steps that did are set aside."""
        self._old = {path.name for pattern in FETCHED for path in self.folder.glob(pattern)}

    def _forget(self, name: str) -> None:
        found = [path for path in self.folder.glob(f"{name}-*") if path.is_dir()]
        for old in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            shutil.rmtree(old)


def _cpu_s() -> float:
    used = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        times = resource.getrusage(who)
        used += times.ru_utime + times.ru_stime
    return used
