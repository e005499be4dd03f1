"""A small Redfish service over TLS on loopback: one system with power, reset, boot override, sessions (DSP0266)."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SYSTEM = "/redfish/v1/Systems/1"
MANAGER = "/redfish/v1/Managers/1"
SESSIONS = "/redfish/v1/SessionService/Sessions"


class RedfishService:
    """The service and the machine behind it. ``requests`` lists method and path of everything that was let in."""

    def __init__(self, password: str, *, with_sessions: bool = True) -> None:
        self.password = password
        self.with_sessions = with_sessions
        self.power = "Off"
        self.boot: dict[str, str] = {"BootSourceOverrideEnabled": "Disabled"}
        self.requests: list[str] = []
        self.tokens: dict[str, str] = {}
        self.delay_s = 0.0
        self.failing = 0
        """The HTTP status that every request gets, or 0."""
        self.port = 0
        self.certificate_sha256 = ""
        self.certificate: Path | None = None

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/redfish/v1/", self.root),
                Route("/redfish/v1/Systems", self.guarded(self.systems)),
                Route(SYSTEM, self.guarded(self.system), methods=["GET", "PATCH"]),
                Route(
                    f"{SYSTEM}/Actions/ComputerSystem.Reset",
                    self.guarded(self.reset),
                    methods=["POST"],
                ),
                Route("/redfish/v1/Managers", self.guarded(self.managers)),
                Route(MANAGER, self.guarded(self.manager)),
                Route(SESSIONS, self.log_in, methods=["POST"]),
                Route(SESSIONS + "/{id}", self.guarded(self.log_out), methods=["DELETE"]),
            ]
        )

    def guarded(self, endpoint):
        """Let in who has a session or the password."""

        def run(request: Request) -> Response:
            if not self._is_known(request):
                return _error(401, "Base.1.0.NoValidSession", "There is no valid session.")
            self.requests.append(f"{request.method} {request.url.path}")
            if self.delay_s:
                time.sleep(self.delay_s)
            if self.failing:
                return _error(
                    self.failing, "Base.1.0.GeneralError", "A general error has occurred."
                )
            return endpoint(request)

        # Starlette runs plain functions in threads; bodies are read by the async wrapper.
        async def read_first(request: Request) -> Response:
            body = await request.body()
            request.state.json = json.loads(body) if body else {}
            return await run_in_threadpool(run, request)

        return read_first

    def _is_known(self, request: Request) -> bool:
        if request.headers.get("X-Auth-Token") in self.tokens:
            return True
        basic = base64.b64encode(f"admin:{self.password}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {basic}"

    async def root(self, request: Request) -> Response:
        """Service root."""
        content = {
            "@odata.id": "/redfish/v1/",
            "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Managers": {"@odata.id": "/redfish/v1/Managers"},
        }
        if self.with_sessions:
            content["SessionService"] = {"@odata.id": "/redfish/v1/SessionService"}
        return JSONResponse(content)

    async def log_in(self, request: Request) -> Response:
        """Make a session."""
        given = await request.json()
        if (given["UserName"], given["Password"]) != ("admin", self.password):
            return _error(401, "Base.1.0.NoValidSession", "There is no valid session.")
        token, name = secrets.token_hex(16), str(len(self.tokens) + 1)
        self.tokens[token] = name
        headers = {"X-Auth-Token": token, "Location": f"{SESSIONS}/{name}"}
        return JSONResponse({"Id": name}, 201, headers)

    def log_out(self, request: Request) -> Response:
        """End a session."""
        name = request.path_params["id"]
        self.tokens = {token: one for token, one in self.tokens.items() if one != name}
        return Response(status_code=204)

    def systems(self, request: Request) -> Response:
        """List the one system."""
        return JSONResponse({"Members": [{"@odata.id": SYSTEM}]})

    def managers(self, request: Request) -> Response:
        """List the one manager: the BMC itself."""
        return JSONResponse({"Members": [{"@odata.id": MANAGER}]})

    def manager(self, request: Request) -> Response:
        """Show the BMC."""
        return JSONResponse({"@odata.id": MANAGER, "ManagerType": "BMC"})

    def system(self, request: Request) -> Response:
        """Show the system, or change its boot override."""
        if request.method == "PATCH":
            self.boot.update(request.state.json["Boot"])
        reset = {"target": f"{SYSTEM}/Actions/ComputerSystem.Reset"}
        return JSONResponse(
            {
                "@odata.id": SYSTEM,
                "PowerState": self.power,
                "Boot": self.boot,
                "Actions": {"#ComputerSystem.Reset": reset},
            }
        )

    def reset(self, request: Request) -> Response:
        """Carry out a power action."""
        wanted = {"On": "On", "ForceOff": "Off"}.get(request.state.json["ResetType"])
        if wanted is None:
            return _error(400, "Base.1.0.ActionParameterNotSupported", "Not supported.")
        self.power = wanted
        return Response(status_code=204)


def _error(status: int, message_id: str, message: str) -> Response:
    info = [{"MessageId": message_id, "Message": message}]
    return JSONResponse({"error": {"@Message.ExtendedInfo": info}}, status)


def _certificate(folder: Path) -> tuple[Path, Path, str]:
    """Make a self-signed certificate for loopback; returns certificate, key and digest."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bmc")])
    now = dt.datetime.now(dt.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = folder / "bmc.crt", folder / "bmc.key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    der = made.public_bytes(serialization.Encoding.DER)
    return crt, pem, hashlib.sha256(der).hexdigest()


@contextmanager
def serve(service: RedfishService, folder: Path) -> Iterator[RedfishService]:
    """Serve on a free port of loopback for as long as the context lasts."""
    crt, key, service.certificate_sha256 = _certificate(folder)
    service.certificate = crt
    config = uvicorn.Config(
        service.app(),
        host="127.0.0.1",
        port=0,
        ssl_certfile=str(crt),
        ssl_keyfile=str(key),
        log_level="critical",
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            threading.Event().wait(0.01)
        service.port = server.servers[0].sockets[0].getsockname()[1]
        yield service
    finally:
        server.should_exit = True
        thread.join()
