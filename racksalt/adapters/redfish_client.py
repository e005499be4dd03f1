"""What our workers do with a Redfish service: power, boot, BIOS, firmware, tasks, sensors (DSP0266, DSP2046)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from racksalt.adapters.redfish_http import Answer, RedfishLink, link
from racksalt.model.errors import BmcRefusedError

TRUST_IDLE_S = 1200.0
"""Redfish sessions live for 30 minutes by default; an older client starts anew."""
_BOOT_SOURCE = {"network": "Pxe", "disk": "Hdd"}
_RUNNING = frozenset({"New", "Starting", "Running", "Pending", "Stopping", "Suspended", "Service"})
_UNITS = {"Cel": "celsius", "W": "watts", "RPM": "rpm", "Percent": "percent", "%": "percent", "V": "volts"}  # fmt: skip


class RedfishClient:
    """A session with one BMC. Raises as `RedfishLink`."""

    def __init__(
        self,
        address: str,
        port: int,
        username: str,
        password: str,
        certificate_sha256: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self.http = RedfishLink(address, port, username, password, certificate_sha256, ca_file)
        self._system = ""

    def idle_s(self) -> float:
        """Return the seconds since the BMC answered last."""
        return time.monotonic() - self.http.used_at

    def is_fresh(self) -> bool:
        """Whether the session can be expected to live."""
        return self.idle_s() < TRUST_IDLE_S

    def probe(self) -> None:
        """Nothing to find out: each action begins with a look, on the same connection."""

    def close(self, *, polite: bool = True) -> None:
        """Give the session back, as far as the BMC lets us in a short time; not at all unless ``polite``."""
        self.http.close(polite=polite)

    # ------------------------------------------------------------ power

    def observe(self) -> Literal["on", "off"]:
        """Return the power state; on its way up or down counts as on (ComputerSystem.PowerState)."""
        state = self._read_system().body.get("PowerState")
        if state is None:
            raise BmcRefusedError("the BMC tells no PowerState")
        return "off" if state == "Off" else "on"

    def power(self, action: Literal["on", "off"]) -> None:
        """Reset the system to On or ForceOff, unless it is there already (ComputerSystem.Reset)."""
        system = self._read_system().body
        if (system.get("PowerState") == "Off") == (action == "off"):
            return
        offered = (system.get("Actions") or {}).get("#ComputerSystem.Reset") or {}
        target = offered.get("target")
        if not target:
            raise BmcRefusedError("the BMC offers no ComputerSystem.Reset")
        kinds = offered.get("ResetType@Redfish.AllowableValues") or ()
        wanted = ("On", "ForceOn") if action == "on" else ("ForceOff",)
        kind = next((one for one in wanted if one in kinds), wanted[0])
        self.http.request("POST", target, {"ResetType": kind})

    def boot_next(self, device: Literal["network", "disk"], *, uefi: bool) -> None:
        """Override the boot source once (ComputerSystem.Boot); the mode only where the BMC takes one."""
        answer = self._read_system()
        boot = {
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": _BOOT_SOURCE[device],
        }
        mode = {"BootSourceOverrideMode": "UEFI" if uefi else "Legacy"}
        try:
            self.http.request("PATCH", self._system, {"Boot": boot | mode}, etag=_etag(answer))
        except BmcRefusedError as error:
            if error.detail.get("status") != 400:
                raise
            self.http.request("PATCH", self._system, {"Boot": boot}, etag=_etag(answer))

    # ------------------------------------------------------------ BIOS

    def bios(self) -> dict[str, Any]:
        """Return ``current`` and ``pending`` attributes (Bios.Attributes, @Redfish.Settings)."""
        current, settings = self._bios()
        if settings is None:
            return {"current": current, "pending": {}}
        waiting = settings.body.get("Attributes") or {}
        pending = {
            name: value
            for name, value in waiting.items()
            if name not in current or current[name] != value
        }
        return {"current": current, "pending": pending}

    def set_bios(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for attributes at the next start, read back what waits, and return it as `bios` does."""
        current, settings = self._bios()
        unknown = sorted(set(wanted) - set(current))
        if unknown:
            raise BmcRefusedError(
                f"the BIOS has no attribute {', '.join(unknown)}",
                "names and values are the maker's; read them first",
                attributes=unknown,
            )
        path = self._settings_path or self._bios_path
        body: dict[str, Any] = {"Attributes": dict(wanted)}
        if settings is not None and "@Redfish.SettingsApplyTime" in settings.body:
            body["@Redfish.SettingsApplyTime"] = {"ApplyTime": "OnReset"}
        self.http.request("PATCH", path, body, etag=_etag(settings) if settings else "")
        found = self.bios()
        there = {**found["current"], **found["pending"]}
        lost = sorted(name for name, value in wanted.items() if there.get(name) != value)
        if lost:
            raise BmcRefusedError(
                f"the BMC said yes, but did not take {', '.join(lost)}",
                "the attribute may depend on another, or want a value of another type",
                attributes=lost,
            )
        return found

    def _bios(self) -> tuple[dict[str, Any], Answer | None]:
        self._bios_path = link(self._read_system().body, "Bios")
        if not self._bios_path:
            raise BmcRefusedError("the BMC tells no BIOS attributes (Systems/…/Bios)")
        bios = self.http.get(self._bios_path)
        attributes = bios.body.get("Attributes")
        if not isinstance(attributes, dict):
            raise BmcRefusedError("the BMC tells no BIOS attributes (Bios.Attributes)")
        self._settings_path = link(bios.body.get("@Redfish.Settings") or {}, "SettingsObject")
        if not self._settings_path:
            return attributes, None
        return attributes, self.http.get(self._settings_path)

    # ------------------------------------------------------------ firmware

    def firmware(self) -> list[dict[str, Any]]:
        """Return the firmware inventory: name, version, target, updateable (SoftwareInventory)."""
        service = self._update_service()
        return [
            {
                "name": str(one.get("Name") or one.get("Id") or ""),
                "version": str(one.get("Version") or ""),
                "target": path,
                "updateable": bool(one.get("Updateable")),
            }
            for path, one in self._members(link(service, "FirmwareInventory"))
        ]

    def update(self, url: str, targets: list[str]) -> str:
        """Ask once for UpdateService.SimpleUpdate; return the task's path, empty when the BMC names none."""
        actions = self._update_service().get("Actions") or {}
        target = (actions.get("#UpdateService.SimpleUpdate") or {}).get("target")
        if not target:
            raise BmcRefusedError("the BMC offers no UpdateService.SimpleUpdate")
        scheme = url.partition(":")[0].upper()
        body: dict[str, Any] = {"ImageURI": url, "TransferProtocol": scheme}
        if targets:
            body["Targets"] = targets
        answer = self.http.request("POST", target, body)
        named = answer.body.get("@odata.id")
        is_task = "#Task." in str(answer.body.get("@odata.type", ""))
        return str(named) if is_task and named else answer.location

    def task(self, name: str) -> dict[str, Any]:
        """Return ``state``, ``percent`` and ``message`` of a task (Task.TaskState, TaskStatus)."""
        answer = self.http.get(name)
        task = answer.body
        state, status = task.get("TaskState"), task.get("TaskStatus")
        told = [str(m.get("Message") or "") for m in task.get("Messages") or () if m]
        if state is None:
            outcome = "running" if answer.status == 202 else "succeeded"
        elif state in _RUNNING:
            outcome = "running"
        else:
            good = state == "Completed" and status in (None, "OK", "Warning")
            outcome = "succeeded" if good else "failed"
        message = " ".join(filter(None, told))[:500] or str(state or "")
        return {"state": outcome, "percent": task.get("PercentComplete"), "message": message}

    def _update_service(self) -> dict[str, Any]:
        path = link(self.http.root, "UpdateService")
        if not path:
            raise BmcRefusedError("the BMC has no UpdateService")
        return self.http.get(path).body

    # ------------------------------------------------------------ sensors

    def sensors(self) -> list[dict[str, Any]]:
        """Return name, value, unit and health of every sensor that has a value (Chassis)."""
        found: list[dict[str, Any]] = []
        for _, chassis in self._members(link(self.http.root, "Chassis")):
            found += self._thermal(link(chassis, "Thermal")) + self._watts(link(chassis, "Power"))
            if not link(chassis, "Thermal") and link(chassis, "Sensors"):
                for _, one in self._members(link(chassis, "Sensors")):
                    found += _reading(one, "Reading", _UNITS.get(str(one.get("ReadingUnits")), ""))
        return found

    def _thermal(self, path: str) -> list[dict[str, Any]]:
        body = self.http.get(path).body if path else {}
        found = []
        for one in body.get("Temperatures") or ():
            found += _reading(one, "ReadingCelsius", "celsius")
        for one in body.get("Fans") or ():
            found += _reading(one, "Reading", _UNITS.get(str(one.get("ReadingUnits")), "rpm"))
        return found

    def _watts(self, path: str) -> list[dict[str, Any]]:
        body = self.http.get(path).body if path else {}
        found = []
        for one in body.get("PowerControl") or ():
            found += _reading(one, "PowerConsumedWatts", "watts")
        return found

    # ------------------------------------------------------------ the one system

    def _read_system(self) -> Answer:
        if not self._system:
            self._system = self._find_system()
        return self.http.get(self._system)

    def _find_system(self) -> str:
        """Return the system that the BMC manages; of several, the only physical one that can be reset."""
        path = link(self.http.root, "Systems")
        if not path:
            raise BmcRefusedError("the service has no Systems: is it a BMC's?")
        members = _member_paths(self.http.get(path).body)
        if len(members) == 1:
            return members[0]
        real = [one for one, body in self._each(members) if _is_machine(body)]
        if len(real) != 1:
            raise BmcRefusedError(f"the service manages {len(real)} machines, not one")
        return real[0]

    def _members(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return self._each(_member_paths(self.http.get(path).body) if path else [])

    def _each(self, paths: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path in paths:
            yield path, self.http.get(path).body


def _member_paths(collection: dict[str, Any]) -> list[str]:
    members = collection.get("Members") or ()
    return [
        str(one["@odata.id"]) for one in members if isinstance(one, dict) and "@odata.id" in one
    ]


def _is_machine(system: dict[str, Any]) -> bool:
    resettable = "#ComputerSystem.Reset" in (system.get("Actions") or {})
    return resettable and system.get("SystemType") in (None, "Physical")


def _etag(answer: Answer) -> str:
    return answer.headers.get("etag") or str(answer.body.get("@odata.etag") or "")


def _reading(one: dict[str, Any], value: str, unit: str) -> list[dict[str, Any]]:
    number = one.get(value)
    if not isinstance(number, int | float):
        return []
    name = one.get("Name") or one.get("FanName") or one.get("MemberId") or one.get("Id") or ""
    health = (one.get("Status") or {}).get("Health") or "OK"
    return [{"name": str(name), "value": float(number), "unit": unit, "health": str(health)}]
