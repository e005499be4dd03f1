"""One worker process: keeps sessions with BMCs and does one operation at a time, as it is told over its stdin.

``python -m racksalt.adapters.ipmi_worker`` reads one JSON object a line and answers each with one::

    {"key": "ipmi://…", "protocol": "ipmi", "op": "observe", "address": …, "port": …, "username": …, "password": …,
     "certificate_sha256": null, "ca_file": null, "args": {}, "budget_s": 15.0, "forget": []}
    → {"result": "on", "took_s": 0.01}
    → {"error": "bmc_unreachable", "message": …, "hint": …, "detail": {}, "took_s": 3.1}

Passwords come in over the pipe and never go anywhere but to the BMC. The worker ends when its input ends or its parent
is gone, and gives its sessions back first: BMCs have few.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from collections import OrderedDict
from typing import Any, NoReturn, Protocol

from racksalt.model.errors import BmcError, BmcRefusedError, BmcUnreachableError

ACTIONS = frozenset({"on", "off", "update"})
"""What is sent once: the BMC may have done it when its answer is missing."""
REPEATABLE = frozenset({"observe", "boot_next", "bios", "set_bios", "firmware", "task", "sensors"})
PROBE_AFTER_S = 5.0
"""Before an action, a session that was idle for longer is tried with a harmless command."""
MAX_SESSIONS = 4096
"""At most; fewer where the limit of open files says so, for each session has a socket."""
SPARE_FILES = 64
ORPHAN_CHECK_S = 5.0
FAREWELL_S = 2.0
"""How long giving back all sessions may take."""


class Client(Protocol):
    """A session with one BMC: `IpmiClient` or `RedfishClient`. The latter has a method for every operation."""

    def idle_s(self) -> float: ...  # noqa: D102
    def is_fresh(self) -> bool: ...  # noqa: D102
    def probe(self) -> None: ...  # noqa: D102
    def observe(self) -> str: ...  # noqa: D102
    def power(self, action: Any) -> None: ...  # noqa: D102
    def boot_next(self, device: Any, *, uefi: bool) -> None: ...  # noqa: D102
    def close(self, *, polite: bool) -> None: ...  # noqa: D102


class BudgetSpent(BaseException):
    """The operation took longer than it was allowed to."""


class Worker:
    """The kept sessions and what is done with them."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._parent = os.getppid()
        self._clients: OrderedDict[str, tuple[tuple[Any, ...], Client]] = OrderedDict()

    def handle(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job and return its answer, with the seconds that it took. Raises nothing but SystemExit."""
        begun = time.monotonic()
        return {**self._handle(job), "took_s": time.monotonic() - begun}

    def _handle(self, job: dict[str, Any]) -> dict[str, Any]:
        signal.setitimer(signal.ITIMER_REAL, job["budget_s"])
        try:
            for key in job["forget"]:
                self._drop(key)
            return {"result": self._do(job)}
        except BmcError as error:
            if _is_silence(error):
                self._drop(job["key"], polite=False)
            return _answer(error)
        except BudgetSpent:
            self._drop(job["key"], polite=False)
            return _answer(BmcUnreachableError(f"no answer in {job['budget_s']:g} s"))
        except Exception as error:  # noqa: BLE001 - a broken library must not cost the other sessions
            # An answer that made no sense to us is an answer: its session lives, and is given back.
            with contextlib.suppress(BudgetSpent):
                self._drop(job["key"])
            # Not the text: it may hold anything.
            return _answer(BmcUnreachableError(f"the client failed with {type(error).__name__}"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _do(self, job: dict[str, Any]) -> Any:
        if job["op"] == "login":
            return _accepts(job)
        if job["op"] in ACTIONS:
            client = self._living(job)
            if self.is_orphan():
                # Nobody would observe what comes of it, and a new parent may already act.
                raise SystemExit
            return _perform(client, job)
        client, was_kept = self._client(job)
        try:
            return _perform(client, job)
        except BmcUnreachableError as error:
            if not (was_kept and _is_silence(error)):
                raise
        # The BMC has lost our session, so it seems. Looking and choosing may be done twice.
        self._drop(job["key"], polite=False)
        return _perform(self._client(job)[0], job)

    def _living(self, job: dict[str, Any]) -> Client:
        """Return a session that was alive a moment ago: an action is sent once and must not be sent into the void."""
        client, was_kept = self._client(job)
        if was_kept and client.idle_s() > PROBE_AFTER_S:
            try:
                client.probe()
            except BmcUnreachableError:
                self._drop(job["key"], polite=False)
                client, _ = self._client(job)
        return client

    def _client(self, job: dict[str, Any]) -> tuple[Client, bool]:
        """Return the session for a job and whether it was there before."""
        key, login = job["key"], _login(job)
        kept = self._clients.get(key)
        if kept and kept[0] == login and kept[1].is_fresh():
            self._clients.move_to_end(key)
            return kept[1], True
        self._drop(key)
        client = _open(job["protocol"], login)
        self._clients[key] = (login, client)
        if len(self._clients) > self._max_sessions:
            self._drop(next(iter(self._clients)))
        return client, False

    def _drop(self, key: str, *, polite: bool = True) -> None:
        kept = self._clients.pop(key, None)
        if kept:
            with contextlib.suppress(Exception):
                kept[1].close(polite=polite)

    def is_orphan(self) -> bool:
        """Whether the process that started this one is gone."""
        return os.getppid() != self._parent

    def close(self) -> None:
        """Give all sessions back, for as long as that may take."""
        end = time.monotonic() + FAREWELL_S
        while self._clients and time.monotonic() < end:
            self._drop(next(iter(self._clients)))


def _open(protocol: str, login: tuple[Any, ...]) -> Client:
    # Each library is loaded by the workers that need it.
    if protocol == "redfish":
        from racksalt.adapters.redfish_client import RedfishClient  # noqa: PLC0415

        return RedfishClient(*login)
    from racksalt.adapters.ipmi_session import IpmiClient  # noqa: PLC0415

    return IpmiClient(*login[:4])


def _login(job: dict[str, Any]) -> tuple[Any, ...]:
    names = ("address", "port", "username", "password", "certificate_sha256", "ca_file")
    return tuple(job[name] for name in names)


def _is_silence(error: BmcError) -> bool:
    """Say whether the BMC said nothing: where it answered, be it with a server error, its session lives."""
    return isinstance(error, BmcUnreachableError) and "status" not in error.detail


def _accepts(job: dict[str, Any]) -> bool:
    """Say whether the BMC lets this login in; the session is given back at once."""
    try:
        client = _open(job["protocol"], _login(job))
        polite = False
        try:
            if job["protocol"] == "redfish":
                # A service without sessions judges a login at the first request only.
                client.observe()
            polite = True
        except BmcError as error:
            polite = not _is_silence(error)
            raise
        finally:
            client.close(polite=polite)
    except BmcRefusedError as error:
        if error.detail.get("login"):
            return False
        raise
    return True


def _perform(client: Client, job: dict[str, Any]) -> Any:
    op = job["op"]
    if op in ("on", "off"):
        return client.power(op)
    if op not in ACTIONS | REPEATABLE:
        raise BmcRefusedError(f"no operation {op}")
    return getattr(client, op)(**job["args"])


def _answer(error: BmcError) -> dict[str, Any]:
    return {
        "error": error.code,
        "message": error.message,
        "hint": error.hint,
        "detail": error.detail,
    }


def _serve(source: int, sink: int) -> None:
    worker, unread = Worker(_room()), b""
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    try:
        while True:
            line, found, rest = unread.partition(b"\n")
            if found:
                unread = rest
                os.write(sink, json.dumps(worker.handle(json.loads(line))).encode() + b"\n")
            elif waiting.poll(ORPHAN_CHECK_S * 1000):
                chunk = os.read(source, 65536)
                if not chunk:
                    return
                unread += chunk
            elif worker.is_orphan():
                # A fork of the parent may still hold the pipe open.
                return
    except BrokenPipeError:
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        worker.close()


def _room() -> int:
    """Allow ourselves as many open files as we may have, and return how many sessions fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_SESSIONS + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - SPARE_FILES


def _out_of_time(*_: Any) -> NoReturn:
    raise BudgetSpent


def main() -> None:
    """Serve until the input ends. What libraries print goes to stderr, not into the answers."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Ctrl-C reaches every process of a terminal; when to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(source, sink)


if __name__ == "__main__":
    main()
