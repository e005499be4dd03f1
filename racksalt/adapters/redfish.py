"""Redfish power behind the same port: the adapter, and the client on pyghmi that its workers use (DSP0266, DSP2046).

Only HTTPS is spoken. The certificate must be one that the system trusts (``SSL_CERT_FILE`` names another bundle) or,
where the secret has ``certificate_sha256``, exactly that one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import time
from typing import Any, Literal
from urllib.parse import urlsplit

from racksalt.adapters.bmc_power import BmcPower
from racksalt.model.errors import BmcError, BmcRefusedError, BmcUnreachableError

REQUEST_S = 10.0
"""Patience with one HTTP request."""
LOGOUT_S = 2.0
"""The same when a session is given back."""
TRUST_IDLE_S = 1200.0
"""Redfish sessions live for 30 minutes by default; an older client starts anew."""


class RedfishPower(BmcPower):
    """The Power port over Redfish. See `BmcPower`."""

    protocol = "redfish"
    budget_s = 30.0


class RedfishClient:
    """A Redfish session with one BMC; every request is a new TLS connection, as pyghmi makes them.

    Raises:
        BmcUnreachableError: no connection, no answer in time, or a server error.
        BmcRefusedError: any other answer than success; ``detail['login']`` for credentials and certificates.
    """

    def __init__(
        self, address: str, port: int, username: str, password: str, certificate_sha256: str | None
    ) -> None:
        # Loaded here: the conductor imports this module for the adapter and must not pay for pyghmi.
        import pyghmi.redfish.command as redfish  # noqa: PLC0415

        self.used_at = time.monotonic()
        self._secret = password
        _watch(redfish.webclient.SecureHTTPConnection)
        _Seen.session_url = None
        self._command = self._do(
            "login",
            lambda: redfish.Command(
                address, username, password, _pin(certificate_sha256), port=port
            ),
        )
        self._session_url: str | None = _Seen.session_url

    def idle_s(self) -> float:
        """Return the seconds since the BMC answered last."""
        return time.monotonic() - self.used_at

    def is_fresh(self) -> bool:
        """Whether the session can be expected to live."""
        return self.idle_s() < TRUST_IDLE_S

    def probe(self) -> None:
        """Nothing to find out: a request on a dead session is refused with 401 before it has an effect."""

    def observe(self) -> Literal["on", "off"]:
        """Return the power state; on its way up or down counts as on (ComputerSystem.PowerState)."""
        state = self._do("read the power state", self._command.get_power)["powerstate"]
        return "off" if state == "off" else "on"

    def power(self, action: Literal["on", "off"]) -> None:
        """Reset the system to On or ForceOff, unless it is there already (ComputerSystem.Reset)."""
        if not self._command.powerurl:
            raise BmcRefusedError("the BMC offers no ComputerSystem.Reset")
        self._do(f"power {action}", lambda: self._command.set_power(action))

    def boot_next(self, device: Literal["network", "disk"], *, uefi: bool) -> None:
        """Override the boot source once (ComputerSystem.Boot)."""
        name = "network" if device == "network" else "hd"
        self._do("choose the boot device", lambda: self._command.set_bootdev(name, uefiboot=uefi))

    def close(self, *, polite: bool = True) -> None:
        """Delete the session on the BMC, as far as it lets us in a short time; not at all unless ``polite``."""
        if self._session_url and polite:
            path = urlsplit(self._session_url).path
            self._session_url = None
            self._command.wc.mytimeout = LOGOUT_S
            with contextlib.suppress(BmcError):
                self._do("log-out", lambda: self._command.wc.grab_rsp(path, method="DELETE").read())

    def _do(self, what: str, action: Any) -> Any:
        import pyghmi.exceptions  # noqa: PLC0415 - see the constructor

        _Seen.status = 0
        try:
            result = action()
        except (pyghmi.exceptions.UnrecognizedCertificate, ssl.SSLCertVerificationError):
            raise BmcRefusedError(
                f"{what}: the BMC's certificate is not trusted",
                "put its SHA-256 into the secret as certificate_sha256",
                login=True,
            ) from None
        except OSError as error:
            text = (
                os.strerror(error.errno) if error.errno and error.errno > 0 else "no answer in time"
            )
            raise BmcUnreachableError(f"{what}: {text}") from None
        except Exception as error:  # noqa: BLE001 - pyghmi raises KeyError and worse
            raise self._error(what, error) from None
        self.used_at = time.monotonic()
        return result

    def _error(self, what: str, error: Exception) -> BmcError:
        """Judge by the HTTP status, for pyghmi's exceptions do not carry it."""
        status = _Seen.status
        text = f"{type(error).__name__} {error}".replace(self._secret, "…")[:200]
        if status in (401, 403):
            return BmcRefusedError(
                f"{what}: HTTP {status}",
                "check user name, password and privilege",
                login=status == 401,
            )
        if 200 <= status < 500:
            return BmcRefusedError(f"{what}: HTTP {status}: {text}")
        return BmcUnreachableError(
            f"{what}: HTTP {status}: {text}" if status else f"{what}: {text}"
        )


def _pin(digest: str | None) -> Any:
    """Return pyghmi's certificate check for a pinned certificate; None leaves it to the system's trust."""
    if digest is None:
        return None
    wanted = digest.replace(":", "").lower()
    return lambda certificate: hashlib.sha256(certificate).hexdigest() == wanted


class _Seen:
    """What the last response said that pyghmi does not tell. A worker does one thing at a time, so one is enough."""

    status = 0
    session_url: str | None = None


def _watch(connection: Any) -> None:
    """Give pyghmi's connection class a short patience, and have it leave status and session address in `_Seen`.

    pyghmi waits 60 s for a connection and keeps the HTTP status to itself. Its class is changed in place, for it
    names itself in its own methods; that touches this worker process alone.
    """
    if hasattr(connection, "watched"):
        return
    construct, get_response = connection.__init__, connection.getresponse

    def construct_with_patience(self: Any, *args: Any, **named: Any) -> None:
        construct(self, *args, **{"timeout": REQUEST_S, **named})

    def get_response_and_note(self: Any) -> Any:
        response = get_response(self)
        _Seen.status = response.status
        if response.getheader("X-Auth-Token"):
            _Seen.session_url = response.getheader("Location")
        return response

    connection.__init__ = construct_with_patience
    connection.getresponse = get_response_and_note
    connection.watched = True
