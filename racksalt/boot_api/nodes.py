"""What a booted node asks and reports; every request carries the token of its boot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from racksalt.boot import tokens
from racksalt.boot_api import reports
from racksalt.boot_api.errors import (
    JSON,
    BootTokenError,
    RateLimitedError,
    TooLargeError,
    respond,
)
from racksalt.model.errors import ForbiddenError, InvalidInputError, RacksaltError
from racksalt.model.event import Event
from racksalt.psm.sequences import AGENT_ENVIRONMENTS
from racksalt.site.secrets import is_encrypted, is_reference, sounds_secret, tells_password
from racksalt.wire import NODE_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from racksalt.boot_api.context import Context
    from racksalt.conductor.handle import Outcome
    from racksalt.model.node import Boot, Node

CONFIGURATION = ("ntp", "dns", "timezone", "locale", "network", "console", "proxy", "minion")
"""The parts of a node's configuration that a boot environment needs; no other part is served."""
NO_TOKEN = "no boot token"  # noqa: S105 - a sentence
WRONG_TOKEN = "this is not the token of the node's present boot"  # noqa: S105 - a sentence
WRONG_TOKEN_HINT = "use the token of the boot script that this system came with"  # noqa: S105
EXPIRED_HINT = (
    "let the node boot again for a new one; where stages take longer than boot_api.token_ttl_s, "
    "raise that"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A node that has shown the token of one of its boots."""

    node: Node
    boot: Boot
    address: str


class Nodes:
    """The endpoints below ``/v1/nodes/{id}``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def parameters(self, request: Request) -> Response:
        """Answer ``GET parameters``: what the booted environment must know; no secret."""
        return await self._answered(request, "parameters_requested", self._parameters)

    async def report(self, request: Request) -> Response:
        """Answer ``POST reports``: take in one report, acknowledged after its commit."""
        return await self._answered(request, "report", self._report)

    async def enrolment(self, request: Request) -> Response:
        """Answer ``POST enrolment``: the token for the first boot of the installed system."""
        return await self._answered(request, "enrolment_requested", self._enrolment)

    async def _answered(
        self,
        request: Request,
        what: str,
        serve: Callable[[Request, Caller], Awaitable[dict[str, Any]]],
    ) -> Response:
        """Authenticate, serve, and turn errors into answers and journal entries."""
        address = request.client.host if request.client else ""
        node: str = request.path_params["node"]
        try:
            self._context.throttle(address)
            caller = await self._authenticate(request, node, what, address)
        except RacksaltError as error:
            return respond(error)
        try:
            return Response(orjson.dumps(await serve(request, caller)), media_type=JSON)
        except (InvalidInputError, ForbiddenError) as error:
            detail = {"address": address, "boot": caller.node.boot}
            await self._context.refuse(node, what, error.message, detail)
            return respond(error)
        except RacksaltError as error:
            return respond(error)

    async def _authenticate(self, request: Request, node: str, what: str, address: str) -> Caller:
        """Return the caller.

        Raises:
            BootTokenError: without a token that was the node's once it says the same for every name, known or not;
                whoever has such a token is told why it is good no more.
        """
        context = self._context
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        view = await context.views.get(node) if NODE_ID.fullmatch(node) else None
        why, hint = WRONG_TOKEN if token else NO_TOKEN, WRONG_TOKEN_HINT
        if view is None:
            raise BootTokenError(why, hint)
        for boot in view.candidates():
            if self._is_of(boot, token):
                if boot.expires_at > view.now:
                    return Caller(node=view.node, boot=boot, address=address)
                ago_s = view.now - boot.expires_at
                why = f"the token of boot {boot.generation} has expired, {ago_s:.0f} s ago"
                hint = EXPIRED_HINT
                break
        else:
            old = next((boot for boot in view.boots if self._is_of(boot, token)), None)
            if old is not None:
                why = f"the token is of boot {old.generation} ({old.environment}), which is over"
        await context.refuse(node, what, why, {"address": address})
        raise BootTokenError(why, hint)

    def _is_of(self, boot: Boot, token: str) -> bool:
        derived = tokens.derive(self._context.secret, boot.node, boot.generation, boot.environment)
        return tokens.same_token(derived, token)

    async def _parameters(self, _request: Request, caller: Caller) -> dict[str, Any]:
        node, settings = caller.node, self._context.settings.boot_api
        host, _, port = settings.master.rpartition(":")
        return {
            "node": node.id,
            "boot": caller.boot.generation,
            "environment": caller.boot.environment,
            "state": node.state,
            "stage": node.stage,
            "agent": node.agent,
            "fqdn": node.fqdn,
            "zone": node.zone,
            "rack": node.rack,
            "master": {
                "host": host.strip("[]"),
                "port": int(port),
                "publish_port": settings.master_publish_port,
                "finger": settings.master_finger,
            },
            "reports_url": f"{settings.url}/v1/nodes/{node.id}/reports",
            "enrolment_url": f"{settings.url}/v1/nodes/{node.id}/enrolment",
            "token_expires_at": caller.boot.expires_at,
            "configuration": await self._configuration(node),
        }

    async def _configuration(self, node: Node) -> dict[str, Any]:
        """Return the parts of the node's merged configuration that a boot environment needs."""
        effective = self._context.effective
        if effective is None:
            return {}
        loop = asyncio.get_running_loop()
        values = await loop.run_in_executor(self._context.reader, effective, node)
        needed: dict[str, Any] = public(
            {key: values[key] for key in CONFIGURATION if key in values}
        )
        return needed

    async def _report(self, request: Request, caller: Caller) -> dict[str, Any]:
        report = reports.decode(await _body(request))
        data = reports.data_of(report, caller.node.agent)
        wait_s = self._context.by_node.wait_s(caller.node.id, self._context.monotonic())
        if wait_s:
            raise RateLimitedError(
                f"too many reports from {caller.node.id}",
                f"send the next in {wait_s:.1f} s",
                retry_after_s=wait_s,
            )
        event_id = reports.event_id(caller.node.id, caller.boot.generation, report.id)
        outcome = await self._submit(caller, event_id, report.event, data)
        kind = outcome.entry.kind if outcome.entry else "repeated"
        return {"seq": outcome.seq, "state": _state(outcome), "kind": kind}

    async def _enrolment(self, _request: Request, caller: Caller) -> dict[str, Any]:
        node, boot = caller.node, caller.boot
        # A site may run the stages of an install in the live system: what counts is that it is being installed.
        if boot.environment not in AGENT_ENVIRONMENTS or self._context.boots(node) != "installer":
            raise ForbiddenError(
                f"no enrolment token in environment {boot.environment!r}, state {node.state!r}",
                "only a node that is being installed gets one",
            )
        event_id = f"boot:{node.id}:{boot.generation}:enrolment"
        outcome = await self._submit(caller, reports.fitted(event_id), "enrolment_requested", {})
        generation = outcome.node.boot if outcome.node else boot.generation
        view = await self._context.views.get(node.id)
        issued = [
            b
            for b in (view.boots if view else ())
            if (b.generation, b.environment) == (generation, "local")
        ]
        if not issued:
            raise ForbiddenError(
                f"no enrolment token for {node.id}: its installation is over",
                "let the node boot its own disk",
            )
        token = tokens.derive(self._context.secret, node.id, generation, "local")
        return {"token": token, "expires_at": issued[0].expires_at}

    async def _submit(
        self, caller: Caller, event_id: str, name: str, data: dict[str, Any]
    ) -> Outcome:
        """Hand an event to the conductor; return its outcome, or raise the error in it."""
        outcome = await self._context.conductor.submit(
            Event(
                id=event_id,
                node=caller.node.id,
                name=name,
                at=self._context.clock(),
                source="boot",
                actor=caller.address,
                # The boot that this node is on: should another begin meanwhile, the event is stale.
                data={**data, "boot": caller.node.boot},
            )
        )
        if outcome.error is not None:
            raise outcome.error
        return outcome


def public(value: Any) -> Any:
    """Return a configuration mapping or list without what is secret or says where a secret is kept.

    A value that is neither comes back as it is: there is nothing that it could be left out of.
    """
    if isinstance(value, Mapping):
        return {key: public(child) for key, child in value.items() if not _secret(key, child)}
    if isinstance(value, list | tuple):
        return [public(item) for item in value if not _secret("", item)]
    return value


def _secret(key: str, value: Any) -> bool:
    return sounds_secret(key) or is_reference(value) or is_encrypted(value) or tells_password(value)


def _state(outcome: Outcome) -> str | None:
    return outcome.node.state if outcome.node else None


async def _body(request: Request) -> bytes:
    """Return the body; raise TooLargeError as soon as it is longer than a report may be."""
    limit = reports.MAX_BODY_BYTES
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > limit:
            raise TooLargeError(
                f"the report is larger than {limit // 1024} KiB", "send an inventory only, no logs"
            )
        parts.append(part)
    return b"".join(parts)
