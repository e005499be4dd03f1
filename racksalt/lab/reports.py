"""How a booted environment talks to the boot API: again and again until it was heard."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

from racksalt.lab.http import Answer, Caller, HttpError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 3.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class Reporter:
    """The reports of one boot of one node. ``say`` gets a line for the console, never a secret."""

    def __init__(
        self,
        caller: Caller,
        *,
        url: str,
        node: str,
        token: str,
        say: Callable[[str], None],
        rude: bool = False,
        timings: list[float] | None = None,
    ) -> None:
        self._caller, self._token, self._say, self._rude = caller, token, say, rude
        self.url, self._timings = url, timings
        self._base = f"{url.rstrip('/')}/v1/nodes/{node}"

    async def report(self, event: str, **data: Any) -> dict[str, Any] | None:
        """Report an event under one id until it is acknowledged; None when it was refused for good."""
        body = {"id": str(uuid.uuid4()), "event": event, "data": data}
        return await self._until_heard("POST", "/reports", body)

    async def enrolment(self) -> str | None:
        """Return the token for the first boot of the installed system; None when it was refused."""
        answer = await self._until_heard("POST", "/enrolment", {})
        return str(answer["token"]) if answer and "token" in answer else None

    async def _until_heard(
        self, method: str, path: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        pause_s = FIRST_PAUSE_S
        raw = json.dumps(body).encode()
        while True:
            began = time.perf_counter()
            answer = await self._once(method, path, raw)
            if answer is not None and answer.status < 300:
                if self._timings is not None:
                    self._timings.append(time.perf_counter() - began)
                found = answer.json()
                return found if isinstance(found, dict) else {}
            if answer is not None and answer.status not in _TRY_AGAIN:
                what = body.get("event", path)
                code = answer.json()
                code = code.get("code") if isinstance(code, dict) else None
                self._say(f"{what}: refused ({answer.status} {code})")
                return None
            await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _once(self, method: str, path: str, raw: bytes) -> Answer | None:
        try:
            if self._rude:
                for junk in (b"{", b"[1]", b'{"event": 7}', b"x" * 300_000):
                    await self._caller.call(method, self._base + path, token=self._token, body=junk)
            return await self._caller.call(method, self._base + path, token=self._token, body=raw)
        except HttpError:
            return None
