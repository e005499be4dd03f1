"""``GET /v1/boot/script``: what a machine that boots from the network is told to do.

The answer is always a script. Where a request cannot be served, the script makes the machine wait
and ask again; a dead prompt in a rack would need a person.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import Response

from racksalt.boot import identity, script, tokens
from racksalt.boot_api.context import NOBODY
from racksalt.boot_api.errors import RateLimitedError, told
from racksalt.images.catalogue import Catalogue
from racksalt.model.errors import InvalidInputError, NotFoundError, RacksaltError
from racksalt.model.event import Event
from racksalt.model.node import STRANGER
from racksalt.psm.sequences import INVENTORY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from racksalt.boot_api.context import Context
    from racksalt.conductor.handle import Outcome
    from racksalt.conductor.view import View
    from racksalt.model.node import Boot, BootEnvironment, Node

LOG = logging.getLogger(__name__)
MAX_QUERY = 512
FULL = "no more unknown machines are taken in at present"
SCRIPT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One PXE request, checked. ``held`` marks a machine that waits in a hold script."""

    claim: identity.Claim
    arch: script.Arch
    address: str
    ask_url: str
    held: bool

    def data(self) -> dict[str, object]:
        """Return what the event keeps of it."""
        return {
            "mac": self.claim.mac,
            "arch": self.arch,
            "address": self.address,
            **({"uuid": self.claim.uuid} if self.claim.uuid else {}),
            **({"serial": self.claim.serial} if self.claim.serial else {}),
        }


class Pxe:
    """The endpoint. What the settings say of images is checked at the start."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = context.settings.boot_api
        self._catalogue = Catalogue(context.settings.images.folder)
        self._unbuilt = {
            (environment, arch): script.Image(
                kernel_url=f"{self._settings.images}/{arch}/vmlinuz",
                initrd_url=f"{self._settings.images}/{arch}/{environment}.img",
            )
            for environment in ("live", "installer")
            for arch in ("x86_64", "arm64")
        }

    async def __call__(self, request: Request) -> Response:
        """Answer one PXE request with a script."""
        address = request.client.host if request.client else ""
        query = request.query_params
        text = await self.answer(query, address)
        return Response(text, media_type=SCRIPT_TYPE)

    async def answer(self, query: Mapping[str, str], address: str) -> str:
        """Return the script for a query (mac, uuid, serial, arch) from an address."""
        base = self._settings.url
        if not query.get("mac"):
            return script.introduce_script(base)
        try:
            asked = _asked(query, address, base)
        except InvalidInputError as error:
            return script.hold_script(f"{base}/v1/boot/script", why=error.message)
        try:
            self._context.throttle(address)
            return await self._serve(asked)
        except RateLimitedError as error:
            return _hold(asked, error.message)
        except RacksaltError as error:
            LOG.warning("no script for %s: %s", asked.claim.mac, error.message)
            return _hold(asked, told(error)[0])
        except Exception:
            LOG.exception("no script for %s", asked.claim.mac)
            return _hold(asked, "the boot API met an error, its log says which")

    async def _serve(self, asked: Asked) -> str:
        verdict = await self._who(asked)
        if verdict.kind == "conflict" and verdict.node is not None:
            why = f"a machine that may not be this node asked for a boot: {'; '.join(verdict.reasons)}"
            await self._context.refuse(verdict.node, "boot_requested", why, asked.data())
            return _hold(asked, f"this machine may not be {verdict.node}: a person must look")
        if verdict.node is None:
            return await self._unknown(asked)
        return await self._known(asked, verdict.node)

    async def _who(self, asked: Asked) -> identity.Verdict:
        return identity.decide(await self._context.identify.get(asked.claim), asked.claim)

    async def _unknown(self, asked: Asked) -> str:
        """Enrol a machine that nobody has seen, within the limits."""
        context, mac = self._context, asked.claim.mac
        now, node = context.monotonic(), f"{STRANGER}{mac.replace(':', '')}"
        if context.turned_away.active(mac, now):
            return _hold(asked, FULL)
        if context.unknown.wait_s(None, now):
            return _hold(asked, "many unknown machines at once, wait for your turn")
        if await context.views.get(node) is not None:
            return await self._namesake(asked, node)
        probing = context.full
        if probing and not context.crowd.admit(NOBODY, now):
            return _hold(asked, FULL)
        outcome = await context.conductor.submit(self._event(asked, node))
        context.full = isinstance(outcome.error, NotFoundError)
        if context.full:
            # Journalled once by the conductor; for the next minute only counted.
            context.turned_away.admit(mac, now)
            if not probing:
                context.crowd.admit(NOBODY, now)
            return _hold(asked, FULL)
        return await self._told(asked, outcome)

    async def _namesake(self, asked: Asked, node: str) -> str:
        """Answer a machine whose MAC gave a node its id that does not own this MAC."""
        verdict = await self._who(asked)
        if verdict.kind == "match" and verdict.node is not None:
            # It was enrolled since its first look-up, by a request of its own.
            return await self._known(asked, verdict.node)
        why = (
            "a machine asked for a boot with the MAC that this node is named after and has no more"
        )
        await self._context.refuse(node, "boot_requested", why, asked.data())
        return _hold(asked, f"another machine is {node}: a person must look")

    async def _known(self, asked: Asked, name: str) -> str:
        """Answer a node: by an event where the request may change something, else from the store.

        No limit keeps a node from what its state gives it. Over the limit it is only not journalled.
        """
        context, key = self._context, (name, asked.address)
        view = await context.views.get(name)
        if view is None:
            return _hold(asked, f"{name} is no more")
        wanted, now = context.boots(view.node), context.monotonic()
        if asked.held and still_held(view, wanted, asked.address):
            return _hold(asked, f"{name} is {view.node.state}")
        needed = begins(view, wanted)
        if not needed and context.answered.same(key, marks(view.node, view.boot, view.now), now):
            return await self._script(asked, view.node, view.boot)
        own = needed or (view.boot is not None and view.boot.taken_by == asked.address)
        if context.boot_requests.wait_s(key if own else (name, ""), now):
            if needed and wanted != "local":
                return _hold(asked, f"{name} asks for a boot again and again")
            return await self._script(asked, view.node, view.boot)
        outcome = await context.conductor.submit(self._event(asked, name))
        if outcome.node is not None:
            came_to = marks(outcome.node, outcome.boot, context.clock())
            context.answered.keep(key, came_to, context.monotonic())
        return await self._told(asked, outcome)

    def _event(self, asked: Asked, node: str) -> Event:
        return Event(
            id=f"pxe:{secrets.token_hex(12)}",
            node=node,
            name="boot_requested",
            at=self._context.clock(),
            source="boot",
            actor=asked.address,
            data=asked.data(),
        )

    async def _told(self, asked: Asked, outcome: Outcome) -> str:
        """Return the script for a node after its event."""
        if outcome.node is None or outcome.error is not None:
            return _hold(asked, outcome.error.message if outcome.error else "unknown machine")
        return await self._script(asked, outcome.node, outcome.boot)

    async def _script(self, asked: Asked, node: Node, boot: Boot | None) -> str:
        """Return the script that the node is to be given."""
        environment = environment_of(self._context.boots(node), boot)
        if environment == "local":
            loader = f"{self._place(asked.arch)}/local.efi"
            return script.local_script(node.id, efi_loader_url=loader)
        if environment not in {"live", "installer"} or boot is None:
            return _hold(asked, f"{node.id} is {node.state}")
        obstacle = obstacle_of(boot, asked.address, self._context.clock())
        if obstacle:
            if boot.taken_by != asked.address:
                await self._context.refuse(node.id, "boot_requested", obstacle, asked.data())
            return _hold(asked, obstacle)
        who = script.Introduction(
            node=node.id,
            boot=boot.generation,
            token=tokens.derive(self._context.secret, node.id, boot.generation, boot.environment),
            base_url=self._settings.url,
            master=self._settings.master,
            master_finger=self._settings.master_finger,
            mac=asked.claim.mac.replace(":", "-"),
            tells_hardware=node.stage != INVENTORY,
        )
        image = self._image(environment, asked.arch)
        if environment == "live":
            return script.live_script(image, who, asked.ask_url)
        return script.installer_script(image, who, asked.ask_url)

    def _place(self, arch: script.Arch) -> str:
        """Return where the live image in use is; its address names the version, which stays one."""
        live = self._catalogue.live(arch)
        return f"{self._settings.images}/{live.path if live else arch}"

    def _image(self, environment: BootEnvironment, arch: script.Arch) -> script.Image:
        """Return the image of ``live`` and ``installer``, or where a site put its own."""
        live = self._catalogue.live(arch)
        if live is None:
            return self._unbuilt[environment, arch]
        place = f"{self._settings.images}/{live.path}"
        return script.Image(
            kernel_url=f"{place}/vmlinuz",
            initrd_url=f"{place}/live.img",
            system_url=f"{place}/live.squashfs",
            system_sha256=live.sha256,
            extra_args=self._context.settings.images.kernel_args,
        )


def environment_of(wanted: BootEnvironment, boot: Boot | None) -> BootEnvironment:
    """Return what a node is to boot: what ``Context.boots`` says, among stages what its boot is for."""
    if wanted in {"hold", "local"}:
        return wanted
    return boot.environment if boot is not None else "hold"


def begins(view: View, wanted: BootEnvironment) -> bool:
    """Say whether the request begins a boot or is the first of one, so that it must be an event.

    After that event it is so no more: nobody can bring about many of these.
    """
    boot = view.boot
    if wanted == "hold":
        return False
    if wanted == "local":
        return boot is not None and boot.taken_by is None
    if boot is None or boot.taken_by is None:
        return True
    return boot.redeemed_at is None and boot.expires_at <= view.now


def marks(node: Node, boot: Boot | None, now: float) -> tuple[object, ...]:
    """Return what decides over the answer; while it stays the same, so does the answer."""
    life = (boot.taken_by, boot.redeemed_at is None, boot.expires_at > now) if boot else ()
    return (node.state, node.boot, node.boot_environment, *life)


def obstacle_of(boot: Boot, address: str, now: float) -> str:
    """Return why this boot's token is not handed to this address, or nothing."""
    if boot.redeemed_at is not None:
        return f"boot {boot.generation} of {boot.node} has already happened, wait for the next"
    if boot.expires_at <= now:
        return f"boot {boot.generation} of {boot.node} is too old, wait for the next"
    if boot.taken_by is not None and boot.taken_by != address:
        return f"the token of boot {boot.generation} of {boot.node} was handed to another address"
    return ""


def still_held(view: View, wanted: BootEnvironment, address: str) -> bool:
    """Say whether a machine in a hold script would be held again, so that nothing has happened.

    Only its first request was a boot; the machine that polls every few seconds for days would
    otherwise fill the journal.
    """
    if wanted in {"hold", "local"}:
        return wanted == "hold"
    if view.boot is None or begins(view, wanted):
        return False
    if view.boot.redeemed_at is not None and view.boot.taken_by == address:
        return False  # it started again by itself: only an event makes the conductor see to that
    return bool(obstacle_of(view.boot, address, view.now))


def _asked(query: Mapping[str, str], address: str, base: str) -> Asked:
    """Return the request, checked; raise InvalidInputError for a bad MAC or architecture."""
    told = {key: query.get(key, "")[:MAX_QUERY] for key in ("mac", "uuid", "serial", "arch")}
    claim = identity.claim(told["mac"], told["uuid"], told["serial"])
    arch = script.arch_of(told["arch"])
    again = {
        "mac": claim.mac.replace(":", "-"),
        "uuid": claim.uuid,
        "serial": claim.serial,
        "arch": arch,
    }
    query_again = "&".join(f"{k}={quote(v, safe='')}" for k, v in again.items() if v)
    return Asked(
        claim=claim,
        arch=arch,
        address=address,
        ask_url=f"{base}/v1/boot/script?{query_again}",
        held=query.get("held") == "1",
    )


def _hold(asked: Asked, why: str) -> str:
    return script.hold_script(f"{asked.ask_url}&held=1", why=why)
