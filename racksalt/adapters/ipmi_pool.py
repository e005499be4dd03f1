"""Worker processes for BMC operations: each operation goes to the worker that keeps the BMC's session, if it is free.

A worker does one operation at a time, and the calling thread waits for it: the pool has no threads of its own. When a
BMC's home is busy with another BMC for longer than a moment, the operation moves to an idle worker or a new one, so
that nobody waits for a dead BMC. BMCs under suspicion (they failed or were slow last time, or never worked) get at most
half of the workers.
A worker that overruns its time is killed and replaced by the next operation that needs one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import site
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import racksalt
from racksalt.model.errors import BmcUnreachableError

PATIENCE_S = 0.05
"""How long an operation waits for its home, and then for any worker, before a new one is started."""
QUEUE_S = 60.0
"""How long an operation waits for a worker in all."""
KILL_MARGIN_S = 2.0
"""How much longer than its budget an operation may take before its worker is killed."""
IDLE_S = 120.0
"""A worker that was idle for longer is ended, but for the last one."""
_ANSWER_LIMIT = 1 << 20


class WorkerLostError(Exception):
    """The worker died or overran its time; whether the operation was carried out is not known."""


class WorkerProcess:
    """One child process and the pipes to it. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "racksalt.adapters.ipmi_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # `-m` puts the working directory first on the module path, so it is one that nobody can write to.
            cwd="/",
            env=_environment(),
        )
        self.pid = self._process.pid
        self.last_used = time.monotonic()
        self.forget: list[str] = []

    def call(self, job: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Hand over a job and return the answer.

        Raises:
            WorkerLostError: no answer in time, or the process is gone; kill it.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        end = time.monotonic() + timeout_s
        received = b""
        waiting = select.poll()
        waiting.register(stdout.fileno(), select.POLLIN)
        try:
            stdin.write(json.dumps(job).encode() + b"\n")
            stdin.flush()
            while not received.endswith(b"\n"):
                left_s = end - time.monotonic()
                if left_s <= 0 or not waiting.poll(left_s * 1000):
                    raise WorkerLostError("overran its time")
                chunk = os.read(stdout.fileno(), 65536)
                if not chunk or len(received) > _ANSWER_LIMIT:
                    raise WorkerLostError("ended in the middle of an operation")
                received += chunk
        except (OSError, ValueError):
            raise WorkerLostError("is gone") from None
        self.last_used = time.monotonic()
        answer: dict[str, Any] = json.loads(received)
        return answer

    def interrupt(self) -> None:
        """Stop the process while another thread waits for it; that thread sees it go, and kills what is left."""
        self._process.terminate()

    def end(self, grace_s: float = 3.0) -> None:
        """Let the process give its sessions back and go; kill it when it does not."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._reap(grace_s)

    def kill(self) -> None:
        """Stop the process now, with a moment to give its sessions back."""
        self._process.terminate()
        self.end(grace_s=0.5)

    def _reap(self, grace_s: float) -> None:
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _environment() -> dict[str, str]:
    """Return the environment of a worker: this package is found there, installed or not."""
    root = str(Path(racksalt.__file__).parents[1])
    if root in site.getsitepackages():
        # On the path already, and in front of the standard library it would do harm.
        return dict(os.environ)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class WorkerPool:
    """Up to ``max_workers`` worker processes, started when they are needed. May be used from many threads."""

    def __init__(self, max_workers: int = 8) -> None:
        self._max = max_workers
        self._changed = threading.Condition()
        self._workers: list[WorkerProcess] = []
        self._idle: list[WorkerProcess] = []
        self._home: dict[str, WorkerProcess] = {}
        self._starting = 0
        self._suspects = 0
        self._closed = False
        self._owner = os.getpid()

    def run(self, job: dict[str, Any], *, budget_s: float, suspect: bool = False) -> dict[str, Any]:
        """Do a job of `ipmi_worker` and return its answer; ``job['key']`` names the BMC.

        Raises:
            WorkerLostError: it is not known whether the job was carried out.
            BmcUnreachableError: no worker came free in time; ``detail['queue']`` is set, nothing was sent.
        """
        worker = self._acquire(job["key"], suspect=suspect)
        forget, worker.forget = worker.forget, []
        try:
            answer = worker.call(
                {**job, "budget_s": budget_s, "forget": forget}, budget_s + KILL_MARGIN_S
            )
        except BaseException:
            self._discard(worker, suspect=suspect)
            raise
        self._release(worker, suspect=suspect)
        return answer

    def close(self) -> None:
        """End all workers; operations that are under way fail. No harm when it is called twice."""
        with self._changed:
            self._closed = True
            idle, busy = self._idle, [one for one in self._workers if one not in self._idle]
            self._workers, self._idle, self._home = [], [], {}
            self._changed.notify_all()
        for worker in busy:
            worker.interrupt()
        for worker in idle:
            worker.end()

    def pids(self) -> list[int]:
        """Return the process ids of the workers."""
        with self._changed:
            return [worker.pid for worker in self._workers]

    # ------------------------------------------------------------ who does it

    def _acquire(self, key: str, *, suspect: bool) -> WorkerProcess:
        begun = time.monotonic()
        with self._changed:
            while True:
                self._check_open()
                waited_s = time.monotonic() - begun
                if waited_s > QUEUE_S:
                    raise BmcUnreachableError(
                        f"all {self._max} BMC workers were busy for {QUEUE_S:g} s",
                        "raise the number of BMC workers",
                        queue=True,
                    )
                if not suspect or self._suspects < max(1, self._max // 2):
                    worker = self._choose(key, waited_s)
                    if worker or self._may_start(waited_s):
                        self._suspects += suspect
                        break
                self._changed.wait(PATIENCE_S if waited_s < PATIENCE_S else 1.0)
            if worker:
                return self._settle(key, worker)
            self._starting += 1
        return self._start(key, suspect=suspect)

    def _check_open(self) -> None:
        if self._closed or self._owner != os.getpid():
            reason = "is closed" if self._closed else "belongs to another process"
            raise BmcUnreachableError(f"the pool of BMC workers {reason}", queue=True)

    def _choose(self, key: str, waited_s: float) -> WorkerProcess | None:
        """Return the worker to use now, if any: home, or after some patience any idle one."""
        home = self._home.get(key)
        if home in self._idle:
            return home
        if self._idle and (home is None or waited_s >= PATIENCE_S):
            return self._idle[-1]
        return None

    def _may_start(self, waited_s: float) -> bool:
        count = len(self._workers) + self._starting
        return count == 0 or (count < self._max and waited_s >= PATIENCE_S)

    def _settle(self, key: str, worker: WorkerProcess) -> WorkerProcess:
        """Make the worker the BMC's home, and have its old home give up the session."""
        if worker in self._idle:
            self._idle.remove(worker)
        home = self._home.get(key)
        if home is not worker:
            if home is not None:
                home.forget.append(key)
            self._home[key] = worker
        return worker

    # ------------------------------------------------------------ coming and going

    def _start(self, key: str, *, suspect: bool) -> WorkerProcess:
        try:
            worker = WorkerProcess()
        except OSError as error:
            with self._changed:
                self._starting -= 1
                self._suspects -= suspect
                self._changed.notify_all()
            raise BmcUnreachableError(
                f"a BMC worker could not be started: {error.strerror}", queue=True
            ) from None
        with self._changed:
            self._starting -= 1
            self._workers.append(worker)
            return self._settle(key, worker)

    def _release(self, worker: WorkerProcess, *, suspect: bool) -> None:
        surplus = []
        with self._changed:
            self._suspects -= suspect
            if worker in self._workers:
                self._idle.append(worker)
                surplus = self._surplus()
            self._changed.notify_all()
        for one in surplus:
            one.end()

    def _surplus(self) -> list[WorkerProcess]:
        """Take out the workers that nobody has needed for a while."""
        limit = time.monotonic() - IDLE_S
        surplus = [one for one in self._idle if one.last_used < limit]
        for one in surplus:
            self._remove(one)
        return surplus

    def _discard(self, worker: WorkerProcess, *, suspect: bool) -> None:
        with self._changed:
            self._suspects -= suspect
            self._remove(worker)
            self._changed.notify_all()
        worker.kill()

    def _remove(self, worker: WorkerProcess) -> None:
        for group in (self._workers, self._idle):
            if worker in group:
                group.remove(worker)
        self._home = {key: home for key, home in self._home.items() if home is not worker}
