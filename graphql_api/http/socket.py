"""GraphQL over WebSocket: the protocol graphql-transport-ws (enisdenjo/graphql-ws, PROTOCOL.md).

The token comes in the payload of ``connection_init`` as ``{"Authorization": "Bearer …"}``. A subscriber that does
not read is cut: its operation ends with code SLOW_CONSUMER and the seq to come again with, and when not even that
can be sent, the socket is closed with 1013.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import orjson
from starlette.websockets import WebSocketDisconnect, WebSocketState

from graphql_api import execution, live, tasks
from graphql_api.auth import Caller, UnauthenticatedError, bearer_of

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from graphql_api.services import Services

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT_S = 10.0
HEARTBEAT_S = 15.0
SEND_TIMEOUT_S = 20.0
"""How long one message may wait for a client that does not read."""

BAD_REQUEST, UNAUTHORIZED, NO_INIT = 4400, 4401, 4408
DUPLICATE, TOO_MANY_INITS, TOO_MANY, TRY_LATER = 4409, 4429, 4429, 1013


class CloseError(Exception):
    """Close the socket with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """One connection."""

    def __init__(self, services: Services, socket: WebSocket) -> None:
        self._services = services
        self._socket = socket
        self._caller: Caller | None = None
        self._authorization: str | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._closing: asyncio.Future[CloseError] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Serve the connection until either side closes it."""
        if PROTOCOL not in self._socket.scope.get("subprotocols", ()):
            await self._socket.accept()
            await self._socket.close(4406, f"the subprotocol must be {PROTOCOL}")
            return
        await self._socket.accept(subprotocol=PROTOCOL)
        reader = asyncio.create_task(self._read())
        heart = asyncio.create_task(self._beat())
        either: set[asyncio.Future[Any]] = {reader, self._closing}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._closing.done():
                await self._close(self._closing.result())
            elif reader.exception() is not None:
                await self._end(reader.exception())
        finally:
            with anyio.CancelScope(shield=True):
                await tasks.end([reader, heart, *self._operations.values()])

    async def _end(self, error: BaseException | None) -> None:
        if isinstance(error, CloseError):
            await self._close(error)
        elif not isinstance(error, WebSocketDisconnect):
            execution.log.error("a websocket failed", exc_info=error)
            await self._close(CloseError(1011, "internal error"))

    async def _close(self, why: CloseError) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                with anyio.fail_after(SEND_TIMEOUT_S):
                    await self._socket.close(why.code, why.reason)
            except (RuntimeError, WebSocketDisconnect, TimeoutError):
                return

    async def _read(self) -> None:
        try:
            with anyio.fail_after(INIT_TIMEOUT_S):
                first = await self._receive()
        except TimeoutError:
            raise CloseError(NO_INIT, "connection_init did not come in time") from None
        if first.get("type") != "connection_init":
            raise CloseError(UNAUTHORIZED, "the first message must be connection_init")
        await self._authenticate(first.get("payload"))
        await self._send({"type": "connection_ack"})
        while True:
            await self._handle(await self._receive())

    async def _receive(self) -> dict[str, Any]:
        try:
            text = await self._socket.receive_text()
        except KeyError:
            # Starlette hands a binary frame over without text.
            raise CloseError(BAD_REQUEST, "messages are text, not binary") from None
        if len(text) > self._services.limits.body_bytes:
            raise CloseError(BAD_REQUEST, "the message is too long")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise CloseError(BAD_REQUEST, "the message is not JSON") from None
        if not isinstance(message, dict):
            raise CloseError(BAD_REQUEST, "the message is not an object")
        return message

    async def _authenticate(self, payload: Any) -> None:
        headers = payload if isinstance(payload, dict) else {}
        given = {str(key).lower(): value for key, value in headers.items()}
        header = given.get("authorization")
        self._authorization = header if isinstance(header, str) else None
        try:
            self._caller = await self._services.gate.caller(bearer_of(self._authorization))
        except UnauthenticatedError as error:
            raise CloseError(UNAUTHORIZED, str(error)) from None

    async def _handle(self, message: dict[str, Any]) -> None:
        kind, name = message.get("type"), message.get("id")
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "pong":
            return
        elif kind == "connection_init":
            raise CloseError(TOO_MANY_INITS, "too many connection_init")
        elif not isinstance(name, str) or not name or len(name) > 128:
            raise CloseError(BAD_REQUEST, "id must be text of at most 128 characters")
        elif kind == "complete":
            task = self._operations.pop(name, None)
            if task is not None:
                task.cancel()
        elif kind == "subscribe":
            if name in self._operations:
                raise CloseError(DUPLICATE, f"subscriber for {name} already exists")
            if len(self._operations) >= self._services.limits.subscriptions_per_socket:
                most = self._services.limits.subscriptions_per_socket
                raise CloseError(TOO_MANY, f"one socket carries at most {most} operations")
            task = asyncio.create_task(self._operate(name, message.get("payload")))
            self._operations[name] = task
        else:
            raise CloseError(BAD_REQUEST, "the message's type is unknown")

    async def _operate(self, name: str, payload: Any) -> None:
        quoted = orjson.dumps(name)
        try:
            await self._answer(quoted, payload)
            await self._raw(b'{"id":' + quoted + b',"type":"complete"}')
        except asyncio.CancelledError:
            raise
        except CloseError as error:
            self._ask_to_close(error)
        except UnauthenticatedError as error:
            self._ask_to_close(CloseError(UNAUTHORIZED, str(error)))
        except WebSocketDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - masked and logged with an id
            await self._fail(quoted, error)
        finally:
            if self._operations.get(name) is asyncio.current_task():
                del self._operations[name]

    async def _fail(self, quoted: bytes, error: Exception) -> None:
        body = orjson.dumps(execution.errors_of(error))
        try:
            await self._raw(b'{"id":' + quoted + b',"type":"error","payload":' + body + b"}")
        except CloseError as closing:
            self._ask_to_close(closing)
        except (RuntimeError, WebSocketDisconnect):
            return

    async def _answer(self, quoted: bytes, payload: Any) -> None:
        services = self._services
        caller = await services.gate.caller(bearer_of(self._authorization))
        request = execution.parse_request(payload, services.limits.variables_depth)
        planned = execution.plan(services, request)
        context = execution.admit(services, caller, planned)
        head = b'{"id":' + quoted + b',"type":"next","payload":'
        if planned.kind != "subscription":
            answer = await execution.run(services, context, planned)
            await self._raw(head + answer.body + b"}")
            return
        answers = live.answers(services, context, planned, authorization=self._authorization)
        last: int | None = None
        try:
            async for sent in answers:
                await self._raw(head + sent.body + b"}", last)
                last = sent.seq
        finally:
            await answers.aclose()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self._caller is not None:
                try:
                    await self._send({"type": "ping"})
                except CloseError as error:
                    self._ask_to_close(error)
                    return

    async def _send(self, message: dict[str, Any]) -> None:
        await self._raw(orjson.dumps(message))

    async def _raw(self, message: bytes, last: int | None = None) -> None:
        """Send one message; a client that does not take it in time is cut, and told its last seq."""
        try:
            async with self._sending:
                # Unlike ``asyncio.wait_for`` before Python 3.12, this never swallows a cancellation.
                with anyio.fail_after(SEND_TIMEOUT_S):
                    await self._socket.send_text(message.decode())
        except TimeoutError:
            reason = "too slow" if last is None else f"too slow; subscribe again with since: {last}"
            raise CloseError(TRY_LATER, reason) from None

    def _ask_to_close(self, why: CloseError) -> None:
        if not self._closing.done():
            self._closing.set_result(why)
