"""One process that has Salt loaded and forks real salt-minions on request.

``python -m racksalt.lab.nursery`` reads JSON lines from its standard input and answers on its standard output::

    {"start": "n3#4", "conf": "/lab/n3/ram/etc/salt", "log": "/lab/n3/minion.log"}
    {"started": "n3#4", "pid": 71}
    {"kill": "n3#4"}
    {"exited": "n3#4", "status": -9}

A fork saves the second of processor time that importing Salt costs each time, and shares its memory among all
minions. Each minion is Salt's own (but see `salt_patches`), in its own process group. When the input ends (the lab is
gone, however it died), every minion is killed; when this process dies, the kernel kills the minions.

On computers of their own, minions would take no time from the master. Here they stand back for it: Linux shares the
processors among sessions first (sched(7), autogroup), so all minions are in one session, and that is a nice one.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from racksalt.lab.processes import BACK_NICE, stand_back
from racksalt.lab.salt_patches import keep_entry_points, shield_sign_in

_PR_SET_PDEATHSIG = 1
_LOADED = (
    "salt.cli.daemons",
    "salt.crypt",
    "salt.loader",
    "salt.minion",
    "salt.modules.state",
    "salt.pillar",
    "salt.state",
    "salt.transport.zeromq",
    "salt.utils.jinja",
)


class Nursery:
    """The children by their keys, and the loop that serves requests about them."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._wake, wake_w = os.pipe()
        for end in (self._wake, wake_w):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Serve requests until the input ends, then kill every minion."""
        pending = b""
        try:
            while True:
                readable, _, _ = select.select([0, self._wake], [], [])
                if self._wake in readable:
                    os.read(self._wake, 4096)
                    self._reap()
                if 0 in readable:
                    chunk = os.read(0, 65536)
                    if not chunk:
                        return
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        self._obey(json.loads(line))
        finally:
            for pid in self._keys:
                _kill_group(pid)

    def _obey(self, request: dict[str, Any]) -> None:
        if "start" in request:
            self._start(request["start"], request["conf"], request["log"])
        elif request.get("kill") in self._pids:
            _kill_group(self._pids[request["kill"]])

    def _start(self, key: str, conf: str, log: str) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_minion(parent, conf, log)
        self._pids[key], self._keys[pid] = pid, key
        _say({"started": key, "pid": pid})

    def _reap(self) -> None:
        while self._keys:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            key = self._keys.pop(pid, None)
            if key is None:
                continue
            del self._pids[key]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what the minion itself had started
            _say({"exited": key, "status": os.waitstatus_to_exitcode(status)})


def _become_minion(parent: int, conf: str, log: str) -> None:
    """Turn this fresh child into a salt-minion with the configuration folder ``conf``; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        os.nice(BACK_NICE)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.closerange(3, 64)
        sys.argv = ["salt-minion", "-c", conf, "--disable-keepalive"]
        import salt.cli.daemons

        salt.cli.daemons.Minion().start()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child must not fall back into the parent's loop
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _kill_group(pid: int) -> None:
    """Kill a minion that was not waited for yet, and everything that it started."""
    for kill in (os.killpg, os.kill):  # in the first instant after the fork there is no group yet
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _load_salt() -> None:
    """Import what a minion will need, so that children share it."""
    for name in _LOADED:
        importlib.import_module(name)
    keep_entry_points()
    shield_sign_in()
    time.strptime("2000", "%Y")  # imports its locale part, which two threads must not do at once
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    stand_back(os.getpid())
    _load_salt()
    _say({"ready": os.getpid()})
    Nursery().serve()
