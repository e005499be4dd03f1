"""Processes that a lab starts, each in its own group and tied to the life of this process."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from typing_extensions import Self

PORTS = (10_240, 32_768)
"""First port and end: above the services', below the ephemeral ones of Linux (ip_local_port_range)."""

BACK_NICE = 10
"""nice(2) of what would run on computers of its own, were it real."""


class LabError(RuntimeError):
    """A part of the lab did not start, or died; the message says which, and what its log says."""


class Child:
    """A program that runs until stopped; what it prints goes to ``log``."""

    def __init__(
        self,
        name: str,
        program: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        input_pipe: bool = False,
    ) -> None:
        self.name, self.log = name, log.resolve()
        tether = [sys.executable, "-m", "racksalt.lab.tether", "SIGTERM", str(os.getpid())]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*tether, *program],
                stdin=subprocess.PIPE if input_pipe else subprocess.DEVNULL,
                stdout=subprocess.PIPE if input_pipe else out,
                stderr=out,
                start_new_session=True,
                cwd=log.parent,  # so that what is left over can be found
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self.process.pid

    def alive(self) -> bool:
        """Say whether it still runs."""
        return self.process.poll() is None

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until ``condition()``. Raises LabError when the time is over or the program died."""
        end = time.monotonic() + timeout_s
        while not condition():
            if not self.alive():
                raise LabError(f"{self.name} died: {self.last_words()} (see {self.log})")
            if time.monotonic() > end:
                raise LabError(f"{self.name}: {what} took over {timeout_s:g} s (see {self.log})")
            time.sleep(0.05)

    def last_words(self) -> str:
        """Return the end of its log as one line."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " / ".join(line.strip() for line in text.splitlines()[-4:])

    def say(self, line: str, timeout_s: float = 30) -> dict[str, Any]:
        """Write a line to its standard input and return the JSON line that it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.hear(timeout_s)

    def hear(self, timeout_s: float) -> dict[str, Any]:
        """Return the next JSON line that it says. Raises LabError when there is none in time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise LabError(f"{self.name} says nothing: {self.last_words()} (see {self.log})")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self, timeout_s: float = 10) -> None:
        """Ask it to end, then kill what is left of its group."""
        if self.alive():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout_s)
        self.kill9()

    def kill9(self) -> None:
        """Kill it and its whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            _close(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()


def stand_back(pid: int) -> None:
    """Let the processors work for others before the session of ``pid``, as if its machine had its own.

    Linux shares them among sessions first (sched(7), autogroup). The kernel may have no such shares, or refuse too
    many wishes at once: then nothing happens.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(BACK_NICE), encoding="ascii")


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Return ports of loopback that are free now, below those that the kernel hands out by itself.

    So no outgoing connection takes one of them before the one it is meant for has bound it.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randrange(*PORTS)
            one = held.enter_context(socket.socket(socket.AF_INET, kind))
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


def answers(host: str, port: int) -> bool:
    """Say whether something listens there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), 0.5):
        return True
    return False
