"""The verbs about hardware: burn-in compared, firmware and BIOS settings by the BMC, factory passwords.

Every answer is plain data that JSON can carry; versions and settings are read anew from the BMC each time.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from racksalt.conductor.burn import compare
from racksalt.conductor.operations import Operations
from racksalt.conductor.planning import plan_hash
from racksalt.conductor.ports import FirmwareImage
from racksalt.model.errors import (
    BmcError,
    BmcRefusedError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from racksalt.model.event import Event
from racksalt.model.hardware import BurnResult, Facts
from racksalt.model.node import Bmc, Disk, Nic, Node
from racksalt.psm.kernel import Kind
from racksalt.store.rows import values

FIRMWARE, BIOS = "racksalt:stages:firmware", "racksalt:stages:bios"
ORDER = ("bmc", "bios")
"""A BMC that is new first, for it writes the rest; then the BIOS; then all others by name."""
ALIASES = {"bmc": ("bmc", "manager", "idrac", "ilo", "xcc"), "bios": ("bios", "uefi", "system rom")}
TOGETHER = 16
_VERSION_PART = re.compile(r"\d+|[a-z]+")


def newer(one: str, other: str) -> bool:
    """Say whether version ``one`` is newer: numbers count as numbers, words as words, punctuation not at all."""
    return _parts(one) > _parts(other)


def _parts(version: str) -> list[tuple[int, int, str]]:
    found = _VERSION_PART.findall(version.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in found]


def component_of(name: str) -> str:
    """Return racksalt's name of what a BMC calls its own way: ``bios``, ``bmc``, or the name in lower case."""
    told = name.lower()
    return next((key for key, words in ALIASES.items() if any(w in told for w in words)), told)


class HardwareOperations:
    """All that may be asked about hardware, over one site."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self.conductor, self.store = operations.conductor, operations.store

    def inventory(self, node: str) -> dict[str, Any]:
        """Return what `show` returns, with the lists of the inventory."""
        found = self.operations.show(node)
        facts = self.store.parts(Facts, node)
        found["facts"] = values(facts[0]) if facts else None
        return found

    def burn_in(self, nodes: Sequence[str] = (), *, worse: bool = False) -> list[dict[str, Any]]:
        """Return the newest burn-in figures beside their peers'; with ``worse`` only what stands out or failed."""
        for name in nodes:
            self.store.node(name)
        found = compare(self.store.all_of(BurnResult))
        return [
            one.as_dict()
            for one in found
            if (not nodes or one.result.node in nodes)
            and (not worse or one.stands_out or not one.result.ok)
        ]

    # Firmware.

    def firmware(self, node: str) -> list[dict[str, Any]]:
        """Return each component's version, what the baseline wants, and ``ok``, ``old``, ``unknown`` or ``free``.

        Versions are the BMC's own where it tells them, else those of the last inventory.

        Raises InvalidInputError if the baseline has a version that is no text.
        """
        wanted = self._setting(node, FIRMWARE, "baseline")
        _refuse_numbers(node, {f"baseline:{name}": version for name, version in wanted.items()})
        have = self._versions(node)
        names = sorted({*have, *wanted}, key=_order)
        return [_row(name, have.get(name), wanted.get(name)) for name in names]

    def plan_firmware(self, node: str) -> dict[str, Any]:
        """Return the updates that the baseline asks for, in order, with their images and reboots; changes nothing.

        ``refused`` names what cannot be updated and why; the hash is what ``update_firmware`` wants to see.
        """
        images = self._setting(node, FIRMWARE, "images")
        told = {name: one["version"] for name, one in images.items() if _is_versioned(one)}
        _refuse_numbers(node, {f"images:{name}:version": version for name, version in told.items()})
        steps: list[dict[str, Any]] = []
        refused = []
        for row in self.firmware(node):
            if row["verdict"] not in ("old", "unknown") or row["wanted"] is None:
                continue
            image = images.get(row["component"])
            why = _unfit(row, image)
            if why or not isinstance(image, Mapping):
                refused.append({"component": row["component"], "why": why})
                continue
            steps.append(
                {
                    "component": row["component"],
                    "from": row["version"],
                    "to": image["version"],
                    "url": str(image["url"]),
                    "sha256": str(image["sha256"]).lower(),
                    "reboot": bool(image.get("reboot", row["component"] != "bmc")),
                }
            )
        return {"node": node, "steps": steps, "refused": refused, "hash": plan_hash(steps)}

    def update_firmware(
        self, node: str, actor: str, *, plan: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Hand the first step of the plan to the BMC; return the plan and the BMC's task.

        One step at a time: what comes after it is planned anew from the versions that are then there.

        Raises:
            ConflictError: the plan is another by now, or the node is busy, also after the image was fetched.
            BmcRefusedError: the BMC says no, or knows no such component.
            InvalidInputError: the image is not what its checksum says; the BMC was not asked.
        """
        planned = self.plan_firmware(node)
        if plan is not None and plan != planned["hash"]:
            raise ConflictError(f"the plan is now {planned['hash']}, not {plan}", "review it again")
        if dry_run or not planned["steps"]:
            return {**planned, "task": None}
        self._at_rest(node)
        step, bmc = planned["steps"][0], self._bmc(node)
        management = self.conductor.world.management_of(bmc)
        targets = [
            one.target
            for one in management.firmware(bmc)
            if component_of(one.name) == step["component"]
        ]
        if not targets:
            raise BmcRefusedError(f"the BMC of {node} knows no component {step['component']!r}")
        image = FirmwareImage(url=step["url"], sha256=step["sha256"], targets=tuple(targets))
        return {**planned, "task": self._hand_over(node, actor, bmc, step, image)}

    def _hand_over(
        self, node: str, actor: str, bmc: Bmc, step: Mapping[str, Any], image: FirmwareImage
    ) -> str:
        """Ask the BMC for an update; the journal says so before, and afterwards what came of it.

        Fetching the image may take minutes, so whether the node rests is looked at again right before the request.
        """
        name = f"firmware {step['component']}"

        def ready() -> None:
            self._at_rest(node)
            told = f"{name}: {step['from']} to {step['to']}, sha256 {step['sha256']}"
            self._note(node, actor, "firmware_update", f"{told}; the BMC is asked")

        try:
            task = self.conductor.world.management_of(bmc).update_firmware(bmc, image, ready)
        except BmcError as error:
            self._note(node, actor, "firmware_failed", f"{name}: {error.message}")
            raise
        self._note(node, actor, "firmware_task", f"{name}: task {task or 'without a name'}")
        return task

    def firmware_task(self, node: str, task: str) -> dict[str, Any]:
        """Return how far an update is: ``{"state", "percent", "message"}``."""
        bmc = self._bmc(node)
        found = self.conductor.world.management_of(bmc).task(bmc, task)
        return {"node": node, "task": task, **values(found)}

    # BIOS settings.

    def bios(self, node: str) -> dict[str, Any]:
        """Return the settings that the site wants: in force, waiting for a restart, and which differ."""
        bmc, wanted = self._bmc(node), self._setting(node, BIOS, "settings")
        return _bios(node, wanted, values(self.conductor.world.management_of(bmc).bios(bmc)))

    def set_bios(self, node: str, actor: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Let the wanted settings take force at the next start; return what was read back. Restarts nothing.

        Raises:
            ConflictError: the node is busy.
            BmcRefusedError: the BIOS has no such setting, or did not take it.
        """
        found = self.bios(node)
        todo = {key: found["wanted"][key] for key in found["to_set"]}
        if dry_run or not todo:
            return found
        self._at_rest(node)
        bmc = self._bmc(node)
        after = values(self.conductor.world.management_of(bmc).set_bios(bmc, todo))
        self._note(node, actor, "bios_set", f"BIOS, for the next start: {', '.join(sorted(todo))}")
        return _bios(node, found["wanted"], after)

    # Security.

    def security(self, nodes: Sequence[str] = (), actor: str = "") -> list[dict[str, Any]]:
        """Try well-known factory passwords on the nodes' BMCs, once each; return and journal which were taken.

        ``problem`` says why a BMC could not be asked: it counts as not safe.
        """
        bmcs = {bmc.node: bmc for bmc in self.store.all_of(Bmc)}
        names = list(nodes) or sorted(bmcs)
        for name in names:
            self.store.node(name)
        with ThreadPoolExecutor(TOGETHER, thread_name_prefix="racksalt-logins") as pool:
            found = list(pool.map(lambda name: self._logins(name, bmcs.get(name)), names))
        for row in found:
            if row["default_logins"]:
                who = ", ".join(row["default_logins"])
                self._note(
                    row["node"],
                    actor,
                    "default_password",
                    f"its BMC takes the factory password of {who}",
                )
        return found

    def _logins(self, node: str, bmc: Bmc | None) -> dict[str, Any]:
        row: dict[str, Any] = {"node": node, "default_logins": [], "safe": None, "problem": ""}
        port = self.conductor.world.logins_of(bmc) if bmc else None
        if bmc is None or port is None:
            return {**row, "problem": "no BMC that could be asked"}
        try:
            taken = port.default_logins(bmc)
        except BmcError as error:
            return {**row, "problem": error.message}
        return {**row, "default_logins": sorted(taken), "safe": not taken}

    # What the verbs share.

    def _versions(self, node: str) -> dict[str, str]:
        facts = self.store.parts(Facts, node)
        have = dict(facts[0].firmware) if facts else {}
        bmcs = self.store.parts(Bmc, node)
        self.store.node(node)
        if bmcs and bmcs[0].protocol in self.conductor.world.management:
            told = self.conductor.world.management_of(bmcs[0]).firmware(bmcs[0])
            have.update({component_of(one.name): one.version for one in told})
        return {**self._by_kind(node, have), **have}

    def _by_kind(self, node: str, have: Mapping[str, str]) -> dict[str, str]:
        """Return the oldest version of each NIC driver and disk model, as the stage on the node compares them."""
        marks = [(f"nic:{nic.name}", nic.driver) for nic in self.store.parts(Nic, node)]
        marks += [(f"disk:{disk.name}", disk.model) for disk in self.store.parts(Disk, node)]
        found: dict[str, str] = {}
        for part, mark in marks:
            kind = f"{part.partition(':')[0]}:{mark}"
            version = have.get(part)
            if mark and version and (kind not in found or newer(found[kind], version)):
                found[kind] = version
        return found

    def _setting(self, node: str, place: str, name: str) -> dict[str, Any]:
        """Return a map of the node's configuration; empty without one."""
        where = self.store.node(node)
        found: Any = self.operations.site.effective(node, where.rack, where.zone).plain()
        for key in (*place.split(":"), name):
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is not None and not isinstance(found, Mapping):
            raise InvalidInputError(f"{place}:{name} of {node} is not a map", "see the how-to")
        return dict(found or {})

    def _bmc(self, node: str) -> Bmc:
        self.store.node(node)
        found = self.store.parts(Bmc, node)
        if not found:
            raise NotFoundError(f"{node} has no BMC", "declare one in the site's files")
        return found[0]

    def _at_rest(self, node: str) -> Node:
        found = self.store.node(node)
        if self.conductor.rules().machine.states[found.state].kind is Kind.BUSY:
            raise ConflictError(
                f"{node} is {found.state}: its power may be cut at any moment",
                "wait until it rests",
            )
        return found

    def _note(self, node: str, actor: str, name: str, message: str) -> None:
        event = Event(
            id=f"{name}:{uuid.uuid4()}",
            node=node,
            name=name,
            at=self.operations.clock(),
            source="operator",
            actor=actor,
            data={"noted": message},
        )
        self.conductor.handle_wait(event)


def _order(name: str) -> tuple[int, str]:
    return ORDER.index(name) if name in ORDER else len(ORDER), name


def _refuse_numbers(node: str, versions: Mapping[str, Any]) -> None:
    """Refuse what YAML has read as a number: without quotes 1.10 is 1.1, which is another version."""
    for key, version in versions.items():
        if not isinstance(version, str):
            raise InvalidInputError(
                f"{FIRMWARE}:{key} of {node}: {version} is no text",
                "put it in quotes: without them 1.10 is 1.1",
            )


def _is_versioned(image: Any) -> bool:
    return isinstance(image, Mapping) and image.get("version") is not None


def _row(name: str, have: str | None, wanted: str | None) -> dict[str, Any]:
    verdict = "free"
    if wanted is not None:
        verdict = "unknown" if have is None else "old" if newer(wanted, have) else "ok"
    return {"component": name, "version": have, "wanted": wanted, "verdict": verdict}


def _unfit(row: Mapping[str, Any], image: Any) -> str:
    """Return why an image cannot bring a component to its baseline, or nothing."""
    if not isinstance(image, Mapping):
        return "the site names no image for it"
    missing = [key for key in ("url", "version", "sha256") if not image.get(key)]
    if missing:
        return f"its image has no {', '.join(missing)}"
    if not re.fullmatch(r"[0-9a-fA-F]{64}", str(image["sha256"])):
        return "its image's sha256 is not 64 hexadecimal digits"
    if newer(row["wanted"], image["version"]):
        return f"its image is {image['version']}, older than the baseline {row['wanted']}"
    return ""


def _bios(node: str, wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    current, pending = seen["current"], seen["pending"]
    differ = [key for key, value in sorted(wanted.items()) if current.get(key) != value]
    return {
        "node": node,
        "wanted": dict(wanted),
        "current": {key: current.get(key) for key in wanted},
        "pending": {key: pending[key] for key in wanted if key in pending},
        "differ": differ,
        "to_set": [key for key in differ if pending.get(key, current.get(key)) != wanted[key]],
        "restart": any(key in pending for key in differ),
    }


def problems(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the nodes among `security`'s rows that are not known to be safe."""
    return [row["node"] for row in rows if row["safe"] is not True]
