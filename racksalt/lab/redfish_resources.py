"""The resources of a lab's Redfish BMC as JSON: each a function of the BMC and the request (DSP2046)."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from racksalt.lab.redfish_bmc import RedfishBmc, RefusedError, Task

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/1"
SESSIONS, UPDATES, TASKS = (
    f"{ROOT}/SessionService/Sessions",
    f"{ROOT}/UpdateService",
    f"{ROOT}/TaskService/Tasks",
)
MOST_BODY = 64 << 10
_TO_LAB = {"Pxe": "network", "Hdd": "disk", "None": "none", "Cd": "cdrom", "BiosSetup": "setup"}
_FROM_LAB = {lab: name for name, lab in _TO_LAB.items()}
Endpoint = Callable[[RedfishBmc, Request, dict[str, Any]], Awaitable[Response]]


async def read_body(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent, empty for no body. Raises RefusedError."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MOST_BODY:
            raise RefusedError(413, "PayloadTooLarge", "The body is too large.")
    try:
        found = json.loads(raw) if raw else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedError(400, "MalformedJSON", "The body is not a JSON object.")
    return found


def basic_login(request: Request) -> tuple[str, str] | None:
    """Return user name and password of a request that brings them with it."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        username, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return None
    return username, password


def refusal(error: RefusedError) -> Response:
    """Return the error as DSP0266 §8.6 wants it."""
    info = [{"MessageId": f"Base.1.18.{error.kind}", "Message": error.message}]
    code = f"Base.1.18.{error.kind}"
    content = {"error": {"code": code, "message": error.message, "@Message.ExtendedInfo": info}}
    return JSONResponse(content, error.status)


def _resource(path: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}",
        "Id": path.rsplit("/", 1)[-1],
        "Name": name,
        **more,
    }


def _to(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def _listing(path: str, members: list[str]) -> Response:
    links = [_to(one) for one in members]
    more = {"Members": links, "Members@odata.count": len(links)}
    return JSONResponse(_resource(path, "Collection.Collection", "Collection", **more))


def _collection(*members: str) -> Endpoint:
    async def listing(_bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
        return _listing(request.url.path, list(members))

    return listing


# ---------------------------------------------------------------- resources


async def _root(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    more = {
        "RedfishVersion": "1.15.0",
        "UUID": bmc.hardware.get("system_uuid"),
        "Links": {"Sessions": _to(SESSIONS)},
        "SessionService": _to(f"{ROOT}/SessionService"),
        "Systems": _to(f"{ROOT}/Systems"),
        "Managers": _to(f"{ROOT}/Managers"),
        "Chassis": _to(f"{ROOT}/Chassis"),
        "UpdateService": _to(UPDATES),
    }
    content = _resource(f"{ROOT}/", "ServiceRoot.v1_15_0.ServiceRoot", "Lab", **more)
    return JSONResponse(content | {"Id": "RootService"})


async def _session_service(_bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    path = f"{ROOT}/SessionService"
    kind = "SessionService.v1_1_8.SessionService"
    more = {"ServiceEnabled": True, "SessionTimeout": 1800, "Sessions": _to(SESSIONS)}
    return JSONResponse(_resource(path, kind, "Sessions", **more))


async def _list_sessions(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    return _listing(SESSIONS, [f"{SESSIONS}/{number}" for number, _ in bmc.sessions.values()])


async def _log_in(bmc: RedfishBmc, _request: Request, body: dict[str, Any]) -> Response:
    number, token = bmc.log_in(body.get("UserName"), body.get("Password"))
    path = f"{SESSIONS}/{number}"
    content = _resource(path, "Session.v1_3_0.Session", "Session", UserName=bmc.username)
    return JSONResponse(content, 201, {"X-Auth-Token": token, "Location": path})


async def _session(bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
    number = request.path_params["id"]
    if number not in [one for one, _ in bmc.sessions.values()]:
        raise RefusedError(404, "ResourceMissingAtURI", "There is no such session.")
    kind = "Session.v1_3_0.Session"
    return JSONResponse(_resource(request.url.path, kind, "Session", UserName=bmc.username))


async def _log_out(bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
    if not bmc.log_out(request.path_params["id"]):
        raise RefusedError(404, "ResourceMissingAtURI", "There is no such session.")
    return Response(status_code=204)


async def _system(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    state, (device, persistent) = bmc.power_state(), bmc.machine.get_boot_device()
    enabled = "Disabled" if device == "none" else "Continuous" if persistent else "Once"
    kinds = ["On", "ForceOff", "ForceRestart", "PowerCycle"]
    more = {
        "SystemType": "Physical",
        "UUID": bmc.hardware.get("system_uuid"),
        "SerialNumber": bmc.hardware.get("serial"),
        "Manufacturer": bmc.hardware.get("vendor"),
        "Model": bmc.hardware.get("product"),
        "BiosVersion": bmc.firmware["bios"],
        "PowerState": state,
        "Boot": {
            "BootSourceOverrideEnabled": enabled,
            "BootSourceOverrideTarget": _FROM_LAB.get(device, "None"),
            "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideTarget@Redfish.AllowableValues": list(_TO_LAB),
        },
        "Bios": _to(f"{SYSTEM}/Bios"),
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": kinds,
            }
        },
    }
    return JSONResponse(
        _resource(SYSTEM, "ComputerSystem.v1_20_0.ComputerSystem", bmc.name, **more)
    )


async def _choose_boot(bmc: RedfishBmc, request: Request, body: dict[str, Any]) -> Response:
    boot = body.get("Boot")
    target = boot.get("BootSourceOverrideTarget") if isinstance(boot, dict) else None
    if not isinstance(boot, dict) or target not in _TO_LAB:
        raise RefusedError(400, "PropertyValueNotInList", "The boot source is not in the list.")
    persistent = boot.get("BootSourceOverrideEnabled") == "Continuous"
    device = _TO_LAB[str(target)]
    if boot.get("BootSourceOverrideEnabled") == "Disabled":
        device = "none"
    bmc.machine.set_boot_device(device, persistent)  # type: ignore[arg-type] # the table's values are such
    return await _system(bmc, request, body)


async def _reset(bmc: RedfishBmc, _request: Request, body: dict[str, Any]) -> Response:
    bmc.reset(body.get("ResetType", "On"))
    return Response(status_code=204)


async def _bios(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    bmc.settle()
    more = {
        "Attributes": bmc.bios,
        "@Redfish.Settings": {"SettingsObject": _to(f"{SYSTEM}/Bios/Settings")},
    }
    return JSONResponse(_resource(f"{SYSTEM}/Bios", "Bios.v1_2_2.Bios", "BIOS", **more))


async def _bios_settings(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    bmc.settle()
    more = {
        "Attributes": bmc.wanted,
        "@Redfish.SettingsApplyTime": {"ApplyTime@Redfish.AllowableValues": ["OnReset"]},
    }
    return JSONResponse(_resource(f"{SYSTEM}/Bios/Settings", "Bios.v1_2_2.Bios", "Next", **more))


async def _set_bios(bmc: RedfishBmc, request: Request, body: dict[str, Any]) -> Response:
    bmc.set_bios(body.get("Attributes"))
    return await _bios_settings(bmc, request, body)


async def _manager(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    more = {"ManagerType": "BMC", "FirmwareVersion": bmc.firmware["bmc"]}
    return JSONResponse(_resource(MANAGER, "Manager.v1_17_0.Manager", "BMC", **more))


async def _chassis(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    more = {
        "ChassisType": "RackMount",
        "SerialNumber": bmc.hardware.get("serial"),
        "Thermal": _to(f"{CHASSIS}/Thermal"),
        "Power": _to(f"{CHASSIS}/Power"),
    }
    return JSONResponse(_resource(CHASSIS, "Chassis.v1_21_0.Chassis", "Chassis", **more))


async def _thermal(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    inlet, fan, _ = bmc.sensors()
    good = {"State": "Enabled", "Health": "OK"}
    more = {
        "Temperatures": [
            {"MemberId": "0", "Name": "Inlet", "ReadingCelsius": inlet, "Status": good}
        ],
        "Fans": [
            {
                "MemberId": "0",
                "Name": "Fan 1",
                "Reading": fan,
                "ReadingUnits": "RPM",
                "Status": good,
            }
        ],
    }
    return JSONResponse(
        _resource(f"{CHASSIS}/Thermal", "Thermal.v1_7_1.Thermal", "Thermal", **more)
    )


async def _power(bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    control = {"MemberId": "0", "Name": "System", "PowerConsumedWatts": bmc.sensors()[2]}
    more = {"PowerControl": [control]}
    return JSONResponse(_resource(f"{CHASSIS}/Power", "Power.v1_7_1.Power", "Power", **more))


async def _update_service(_bmc: RedfishBmc, _request: Request, _body: dict[str, Any]) -> Response:
    target = f"{UPDATES}/Actions/UpdateService.SimpleUpdate"
    more = {
        "ServiceEnabled": True,
        "FirmwareInventory": _to(f"{UPDATES}/FirmwareInventory"),
        "Actions": {"#UpdateService.SimpleUpdate": {"target": target}},
    }
    kind = "UpdateService.v1_11_0.UpdateService"
    return JSONResponse(_resource(UPDATES, kind, "Updates", **more))


async def _inventory(bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
    path = request.url.path
    return _listing(path, [f"{path}/{name}" for name in bmc.firmware])


async def _software(bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
    bmc.settle()
    name = request.path_params["id"]
    if name not in bmc.firmware:
        raise RefusedError(404, "ResourceMissingAtURI", "There is no such firmware.")
    kind = "SoftwareInventory.v1_7_0.SoftwareInventory"
    more = {"Version": bmc.firmware[name], "Updateable": True}
    return JSONResponse(_resource(request.url.path, kind, name, **more))


async def _task(bmc: RedfishBmc, request: Request, _body: dict[str, Any]) -> Response:
    task = bmc.tasks.get(request.path_params["id"])
    if task is None:
        raise RefusedError(404, "ResourceMissingAtURI", "There is no such task.")
    return JSONResponse(task_content(task))


def task_content(task: Task) -> dict[str, Any]:
    """Return a task as a resource."""
    more = {
        "TaskState": task.state,
        "TaskStatus": "OK" if task.state != "Exception" else "Critical",
        "PercentComplete": task.percent,
        "Messages": [{"MessageId": "Update.1.0.Progress", "Message": task.message}],
    }
    return _resource(f"{TASKS}/{task.id}", "Task.v1_7_1.Task", "Update", **more)


ENDPOINTS: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", ROOT, _root),
    ("GET", f"{ROOT}/", _root),
    ("GET", f"{ROOT}/SessionService", _session_service),
    ("GET", SESSIONS, _list_sessions),
    ("POST", SESSIONS, _log_in),
    ("GET", SESSIONS + "/{id}", _session),
    ("DELETE", SESSIONS + "/{id}", _log_out),
    ("GET", f"{ROOT}/Systems", _collection(SYSTEM)),
    ("GET", SYSTEM, _system),
    ("PATCH", SYSTEM, _choose_boot),
    ("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", _reset),
    ("GET", f"{SYSTEM}/Bios", _bios),
    ("GET", f"{SYSTEM}/Bios/Settings", _bios_settings),
    ("PATCH", f"{SYSTEM}/Bios/Settings", _set_bios),
    ("GET", f"{ROOT}/Managers", _collection(MANAGER)),
    ("GET", MANAGER, _manager),
    ("GET", f"{ROOT}/Chassis", _collection(CHASSIS)),
    ("GET", CHASSIS, _chassis),
    ("GET", f"{CHASSIS}/Thermal", _thermal),
    ("GET", f"{CHASSIS}/Power", _power),
    ("GET", UPDATES, _update_service),
    ("GET", f"{UPDATES}/FirmwareInventory", _inventory),
    ("GET", UPDATES + "/FirmwareInventory/{id}", _software),
    ("GET", TASKS + "/{id}", _task),
)
"""Method, path and function of every resource but the update itself."""
OPEN = (_root, _log_in)
"""What is answered to anybody."""
