"""Keeps one server process alive as a child, with growing pauses, and hands on what it prints."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from racksalt.model.errors import DhcpError

log = logging.getLogger(__name__)
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/local/sbin"
STOP_S = 5.0
STEADY_S = 60.0
"""After so long alive, the next end counts as the first again."""
FIRST_PAUSE_S, MOST_PAUSE_S = 0.2, 30.0
_BAD = re.compile(r" (ERROR|FATAL) ")
KEPT_LINES, UNREAD_LINES = 20, 20000


def program(name: str, package: str) -> str:
    """Return the path of a server's program.

    Raises:
        DhcpError: it is not installed.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
    if found is None:
        raise DhcpError(f"{name} is not installed", f"Debian: apt-get install {package}")
    return found


class Child:
    """One server.

    ``mark`` is an argument that only this server's command line has: by it an orphan is found. ``ready`` is what the
    server prints once it serves.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        mark: str,
        ready: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._argv, self._mark, self._ready = list(argv), mark, ready
        self._up = threading.Event()
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=UNREAD_LINES)
        self.last: deque[str] = deque(maxlen=KEPT_LINES)
        self._since = self._pause_s = self._again_at = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id of the living child."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if alive and self._process else None

    @property
    def started(self) -> bool:
        """Return whether the child is meant to live."""
        return self._process is not None

    def start(self) -> None:
        """Start the server; one that an earlier, killed service left behind is ended first."""
        self.end_orphans()
        self.last.clear()
        self._process = subprocess.Popen(  # noqa: S603  the command line is made by us
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            text=True,
            errors="replace",
            # We ignore SIGPIPE, and so must the server: when we are killed, nobody reads what it prints.
            restore_signals=False,
        )
        self._since = time.monotonic()
        self._up = threading.Event()
        arguments = (self._process, self._up)
        threading.Thread(target=self._read, args=arguments, daemon=True).start()

    def is_up(self, limit_s: float) -> bool:
        """Wait until the server serves; return whether it does."""
        until = time.monotonic() + limit_s
        while not self._up.wait(0.02):
            if self.pid is None or time.monotonic() > until:
                return False
        return True

    def stop(self) -> None:
        """End the server: asked first, then made to."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def lines(self) -> list[str]:
        """Return what the server printed since the last call."""
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        return found

    def tend(self) -> str | None:
        """Start the server again if it ended and its pause is over; return what to tell when it ended."""
        process, now = self._process, time.monotonic()
        if process is None or process.poll() is None:
            return None
        if self._again_at == 0.0:
            steady = now - self._since > STEADY_S
            self._pause_s = FIRST_PAUSE_S if steady else min(self._pause_s * 2, MOST_PAUSE_S)
            self._pause_s = max(self._pause_s, FIRST_PAUSE_S)
            self._again_at = now + self._pause_s
            return f"ended with {_ending(process.returncode)}: {self.tail()}"
        if now >= self._again_at:
            self._again_at = 0.0
            self.start()
        return None

    def tail(self) -> str:
        """Return what it said last, its last error if it told one."""
        said = list(self.last) or ["it said nothing"]
        return next((line for line in reversed(said) if _BAD.search(line)), said[-1])

    def _read(self, process: subprocess.Popen[str], up: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                if self._ready in line:
                    up.set()
                self._lines.append(line.rstrip("\n"))
                self.last.append(line.rstrip("\n"))

    def end_orphans(self) -> None:
        """End what an earlier, killed service left behind, and wait until it is gone."""
        for pid in with_argument(self._mark):
            log.warning("ending process %d, left by a service that was killed", pid)
            end(pid)


def with_argument(mark: str) -> list[int]:
    """Return the processes that have an argument, this one left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in arguments and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def end(pid: int) -> None:
    """End a process that is not our child, and wait until it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        until = time.monotonic() + STOP_S
        while time.monotonic() < until:
            if not _alive(pid):
                return
            time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
