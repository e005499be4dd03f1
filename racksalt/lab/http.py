"""A small HTTP/1.1 client (RFC 9112) that calls from a chosen address, one kept connection per machine.

Thousands of machines in one process ask from their own loopback addresses, as servers in a rack would; the usual
clients pool connections by the far end and cannot do that cheaply. Only what the boot API needs: plain HTTP,
``Content-Length`` and chunked bodies.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 60.0
"""A storm of thousands of machines queues at the server; asking twice would make it longer."""
MAX_BODY = 4 * 1024 * 1024
_NO_ANSWER = (
    OSError,
    ValueError,
    IndexError,
    EOFError,
    asyncio.LimitOverrunError,
    asyncio.TimeoutError,  # before Python 3.11 not the built-in one
)


class HttpError(OSError):
    """No usable answer: no connection, cut short, or not HTTP."""


class Answer(NamedTuple):
    """A status code and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON; an empty map for anything else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Caller:
    """The network card of one machine: calls from ``source`` (an address of this host) and keeps its connection."""

    def __init__(self, source: str | None) -> None:
        self._source = source
        self._where: tuple[str, int] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Drop the connection; no harm when there is none."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = self._where = None

    async def call(
        self, method: str, url: str, *, token: str = "", body: bytes | None = None
    ) -> Answer:
        """Send one request and return the answer. Raises HttpError when there is none within ``TIMEOUT_S``."""
        parts = urlsplit(url)
        where = (parts.hostname or "", parts.port or 80)
        head = [
            f"{method} {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1",
            f"Host: {parts.netloc}",
        ]
        if token:
            head.append(f"Authorization: Bearer {token}")
        if body is not None:
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*head, "", ""]).encode() + (body or b"")
        async with self._turn:
            try:
                return await asyncio.wait_for(self._exchange(where, request), TIMEOUT_S)
            except _NO_ANSWER as error:
                self.close()
                raise HttpError(
                    f"{method} to {where[0]}:{where[1]}: {str(error) or 'no answer'}"
                ) from error
            except asyncio.CancelledError:
                self.close()
                raise

    async def _exchange(self, where: tuple[str, int], request: bytes) -> Answer:
        reused = self._where == where and self._writer is not None and not self._writer.is_closing()
        if reused:
            try:
                return await self._once(request)
            except (
                OSError,
                EOFError,
            ):  # the server closed a kept connection: say it again on a new one
                self.close()
        await self._connect(where)
        return await self._once(request)

    async def _connect(self, where: tuple[str, int]) -> None:
        self.close()
        source = (self._source, 0) if self._source else None
        self._reader, self._writer = await asyncio.open_connection(*where, local_addr=source)
        self._where = where

    async def _once(self, request: bytes) -> Answer:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split(" ", 2)[1])
        headers = dict(line.lower().split(":", 1) for line in lines if ":" in line)
        if "chunked" in headers.get("transfer-encoding", ""):
            body = await self._chunks(self._reader)
        else:
            size = int(headers.get("content-length", "0"))
            if size > MAX_BODY:
                raise ValueError("the body is too big")
            body = await self._reader.readexactly(size)
        if headers.get("connection", "").strip() == "close":
            self.close()
        return Answer(status, body)

    @staticmethod
    async def _chunks(reader: asyncio.StreamReader) -> bytes:
        """Read a chunked body (RFC 9112 section 7.1)."""
        body = bytearray()
        while size := int((await reader.readline()).split(b";")[0], 16):
            if len(body) + size > MAX_BODY:
                raise ValueError("the body is too big")
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while (await reader.readline()).strip():
            pass
        return bytes(body)
