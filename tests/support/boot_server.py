"""A boot server that says what a test wants, for tests of the machines that ask it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from urllib.parse import parse_qs, urlsplit

TOKEN = "ab" * 32


def kernel_script(url, node, environment="live", boot=1, master="127.0.0.1:4506", finger="aa:bb"):
    """Return a script as the boot API writes it."""
    return (
        "#!ipxe\n"
        f"kernel {url}/k initrd=i racksalt.node={node} racksalt.boot={boot} racksalt.environment={environment} "
        f"racksalt.token={TOKEN} racksalt.url={url} racksalt.master={master} racksalt.master_finger={finger}\n"
        f"initrd {url}/i\nboot\n"
    )


class BootServer:
    """Answers boot scripts by ``self.script`` (text, or a function of the query) and keeps what is reported."""

    def __init__(self):
        self.script = "#!ipxe\nexit\n"
        self.asked = []
        self.reports = []
        self.statuses = []
        self.changed = asyncio.Event()
        self.open = {}

    async def start(self):
        """Listen on a free port."""
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def close(self):
        """Stop listening, and hang up; what was just being accepted is served first, so that none is left."""
        self.server.close()
        await asyncio.sleep(0.01)
        for writer in self.open.values():
            writer.transport.abort()
        await asyncio.gather(*self.open)
        await self.server.wait_closed()

    async def until(self, condition, timeout_s=20):
        """Wait until something was asked or reported that makes ``condition()`` true."""

        async def wait():
            while not condition():
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), timeout_s)

    async def _serve(self, reader, writer):
        self.open[asyncio.current_task()] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n")[0].split(" ")
                headers = dict(
                    line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(headers.get("Content-Length", 0)))
                status, answer = self._answer(method, target, headers, body, writer)
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
                await writer.drain()
                self.changed.set()
        del self.open[asyncio.current_task()]
        writer.close()

    def _answer(self, method, target, headers, body, writer):
        parts = urlsplit(target)
        if method == "GET":
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            self.asked.append({**query, "from": writer.get_extra_info("peername")[0]})
            script = self.script(query) if callable(self.script) else self.script
            return 200, script.encode()
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            return status, b'{"code": "x"}'
        if parts.path.endswith("/enrolment"):
            return 200, json.dumps({"token": TOKEN[::-1], "expires_at": 0}).encode()
        assert headers["Authorization"] in {f"Bearer {TOKEN}", f"Bearer {TOKEN[::-1]}"}
        self.reports.append(json.loads(body))
        return 200, b'{"seq": 1, "state": "commissioning"}'
