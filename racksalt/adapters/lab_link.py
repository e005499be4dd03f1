"""The wire to a lab that simulates BMCs and agents: JSON lines over one TCP connection.

A request is ``{"n": 7, "op": "on", "node": "r1n1"}``, its answer ``{"n": 7, "ok": null}`` or
``{"n": 7, "error": "why"}``. Any number of requests may be under way at once. The far end is
``racksalt.lab.link``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

CONNECT_S = 2.0
MAX_LINE = 4 * 1024 * 1024


class LinkError(Exception):
    """The lab cannot be reached, did not answer in time, or said no; ``refused`` tells the last from the others."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class LabLink:
    """One connection, made when it is first needed and made anew when it broke. Safe to use from many threads."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._socket: socket.socket | None = None
        self._waiting: dict[int, Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def ask(self, op: str, timeout_s: float, /, **arguments: Any) -> Any:
        """Send one request and return its answer. Raises LinkError."""
        answer: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            line = json.dumps({"n": number, "op": op, **arguments}).encode() + b"\n"
            try:
                connection = self._connected()
                self._waiting[number] = answer
                connection.sendall(line)
            except OSError as error:
                self._drop_locked(f"no lab at {self.host}:{self.port}: {error}")
                raise LinkError(f"no lab at {self.host}:{self.port}: {error}") from error
        try:
            return answer.result(timeout_s)
        except FutureTimeoutError:
            raise LinkError(f"no answer to {op!r} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        with self._lock:
            self._drop_locked("closed")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.create_connection((self.host, self.port), CONNECT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(None)
            self._socket = connection
            threading.Thread(
                target=self._read, args=(connection,), name="racksalt-lab-link", daemon=True
            ).start()
        return self._socket

    def _drop_locked(self, why: str) -> None:
        connection, self._socket = self._socket, None
        waiting, self._waiting = self._waiting, {}
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(LinkError(why))

    def _read(self, connection: socket.socket) -> None:
        why = "the lab closed the connection"
        try:
            with connection.makefile("rb") as lines:
                for line in iter(lambda: lines.readline(MAX_LINE), b""):
                    self._take(json.loads(line))
        except (OSError, ValueError) as error:
            why = f"the connection to the lab broke: {error}"
        with self._lock:
            if self._socket is connection:
                self._drop_locked(why)

    def _take(self, said: dict[str, Any]) -> None:
        answer = self._waiting.get(said["n"])
        if answer is None or answer.done():
            return
        if "error" in said:
            answer.set_exception(LinkError(str(said["error"]), refused=True))
        else:
            answer.set_result(said.get("ok"))
