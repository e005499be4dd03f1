"""One kept HTTPS connection to a Redfish service and the session on it (DSP0266). Standard library only.

The certificate is judged before anything is sent: it is exactly the pinned one, or signed by the authority of the
secrets file, or by one that the system trusts. Nothing else is spoken to. The connection stays open between requests,
and a session that the service has forgotten is opened again: a request without one has had no effect.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from racksalt.model.errors import BmcError, BmcRefusedError, BmcUnreachableError

REQUEST_S = 10.0
"""Patience with one HTTP request."""
LOGOUT_S = 2.0
"""The same when a session is given back."""
MOST_BYTES = 8 << 20
"""The longest answer that is read."""
ROOT = "/redfish/v1/"
_NOT_NOW = frozenset({408, 423, 425, 429, 500, 502, 503, 504})
_NO_SESSIONS = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: HTTP status, headers in lower case, and the JSON body (empty when there is none)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def location(self) -> str:
        """The path that the header Location names; never another host."""
        return urlsplit(self.headers.get("location", "")).path


class RedfishLink:
    """Requests to one service as one user.

    Raises:
        BmcUnreachableError: no connection, no answer in time, or a server error; then ``detail['status']`` is its HTTP
            status, and the session is as good as it was.
        BmcRefusedError: any other answer than success; ``detail['login']`` for credentials and certificates.
    """

    def __init__(
        self,
        address: str,
        port: int,
        username: str,
        password: str,
        certificate_sha256: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self.used_at = time.monotonic()
        self.connections = 0
        """How many TLS connections were made."""
        self._address, self._port = address, port
        self._user, self._password = username, password
        self._pin = (certificate_sha256 or "").replace(":", "").lower()
        self._context = _context(self._pin, ca_file)
        self._patience_s = REQUEST_S
        self._http: http.client.HTTPConnection | None = None
        self._login: dict[str, str] = {}
        self._session = ""
        self.root = self._checked("GET", ROOT, self._send("GET", ROOT, None, {})).body
        self._log_in()

    def get(self, path: str) -> Answer:
        """Read a resource."""
        return self.request("GET", path)

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, etag: str = ""
    ) -> Answer:
        """Send a request and return a successful answer. Only a GET is ever sent twice."""
        extra = {"If-Match": etag} if etag else {}
        answer = self._send(method, path, body, self._login | extra)
        if answer.status == 401 and self._session:
            self._log_in()
            answer = self._send(method, path, body, self._login | extra)
        return self._checked(f"{method} {path}", path, answer)

    def close(self, *, polite: bool = True) -> None:
        """Delete the session, as far as the service lets us in a short time, unless not ``polite``; hang up."""
        if polite and self._session:
            # On a new connection where the service has ended the last one: it keeps the session all the same.
            self._patience_s = LOGOUT_S
            if self._http is not None and self._http.sock is not None:
                self._http.sock.settimeout(LOGOUT_S)
            with contextlib.suppress(BmcError):
                self._send("DELETE", self._session, None, self._login)
        self._session = ""
        self._hang_up()

    # ------------------------------------------------------------ the session

    def _log_in(self) -> None:
        self._login, self._session = {}, ""
        path = self._sessions_path()
        if path:
            given = {"UserName": self._user, "Password": self._password}
            answer = self._send("POST", path, given, {})
            token = answer.headers.get("x-auth-token")
            if token and answer.status < 300:
                self._login, self._session = {"X-Auth-Token": token}, answer.location
                return
            if answer.status not in _NO_SESSIONS:
                self._checked("login", path, answer)
        basic = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        self._login = {"Authorization": f"Basic {basic}"}

    def _sessions_path(self) -> str:
        """Return where sessions are made; empty when the service has none (SessionService is optional)."""
        links = self.root.get("Links") or {}
        named = link(links, "Sessions")
        service = link(self.root, "SessionService")
        return named or (f"{service.rstrip('/')}/Sessions" if service else "")

    # ------------------------------------------------------------ one exchange

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Answer:
        if not path.startswith("/"):
            raise BmcRefusedError(f"{method}: the BMC named no path but {path[:80]!r}")
        kept = self._http is not None
        try:
            return self._exchange(method, path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self._hang_up()
            # A service may end an idle connection at any time; what only looks may be sent again.
            if not (kept and method == "GET"):
                raise BmcUnreachableError(f"{method} {path}: {_text(error)}") from None
        try:
            return self._exchange(method, path, body, headers)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self._hang_up()
            raise BmcUnreachableError(f"{method} {path}: {_text(error)}") from None

    def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Answer:
        what = f"{method} {path}"
        try:
            line = self._connected()
            sent = {"Accept": "application/json", "OData-Version": "4.0", **headers}
            raw = None if body is None else json.dumps(body).encode()
            if raw is not None:
                sent["Content-Type"] = "application/json"
            line.request(method, path, raw, sent)
            response = line.getresponse()
            content = response.read(MOST_BYTES + 1)
        except (ConnectionError, http.client.RemoteDisconnected):
            raise
        except ssl.SSLCertVerificationError:
            self._hang_up()
            raise untrusted() from None
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            raise BmcUnreachableError(f"{what}: {_text(error)}") from None
        if response.will_close or len(content) > MOST_BYTES:
            self._hang_up()
        self.used_at = time.monotonic()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=found, body=_json(content))

    def _connected(self) -> http.client.HTTPConnection:
        if self._http is not None and self._http.sock is not None and _is_quiet(self._http.sock):
            return self._http
        self._hang_up()
        raw = socket.create_connection((self._address, self._port), self._patience_s)
        try:
            secure = self._context.wrap_socket(raw, server_hostname=self._address)
        except BaseException:
            raw.close()
            raise
        if self._pin:
            seen = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
            if not hmac.compare_digest(seen, self._pin):
                secure.close()
                raise untrusted()
        self.connections += 1
        self._http = http.client.HTTPConnection(self._address, self._port, timeout=self._patience_s)
        self._http.sock = secure
        return self._http

    def _hang_up(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _checked(self, what: str, _path: str, answer: Answer) -> Answer:
        """Return a success; raise what any other status means."""
        status = answer.status
        if 200 <= status < 300:
            return answer
        said = extended_info(answer.body).replace(self._password, "…")[:200]
        message = f"{what}: HTTP {status}" + (f": {said}" if said else "")
        if "SessionLimitExceeded" in json.dumps(answer.body):
            raise BmcUnreachableError(
                f"{message}: all sessions of the BMC are taken", status=status
            )
        if status in (401, 403):
            hint = "check user name, password and privilege"
            raise BmcRefusedError(message, hint, login=status == 401)
        if status in _NOT_NOW:
            raise BmcUnreachableError(message, status=status)
        raise BmcRefusedError(message, status=status)


def untrusted() -> BmcRefusedError:
    """Return the error of a certificate that is neither pinned nor signed by a trusted authority."""
    return BmcRefusedError(
        "login: the BMC's certificate is not trusted",
        "put its SHA-256 into the secret as certificate_sha256, or its authority's file as ca_file",
        login=True,
    )


def link(resource: dict[str, Any], name: str) -> str:
    """Return the path that ``resource[name]`` refers to; empty when there is none."""
    found = resource.get(name)
    path = found.get("@odata.id") if isinstance(found, dict) else None
    return urlsplit(path).path if isinstance(path, str) else ""


def extended_info(body: dict[str, Any]) -> str:
    """Return the messages of an error body in one line (DSP0266 §8.6)."""
    error = body.get("error")
    if not isinstance(error, dict):
        return ""
    infos = error.get("@Message.ExtendedInfo") or []
    told = [str(i.get("Message", "")) for i in infos if isinstance(i, dict)]
    return " ".join(filter(None, told)) or str(error.get("message", ""))


def _context(pin: str, ca_file: str | None) -> ssl.SSLContext:
    if pin:
        # The digest is compared before anything is sent; that is more than a name would prove.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BmcRefusedError(
            f"ca_file {ca_file}: {_text(error)}", "name a PEM file with the authority", login=True
        ) from None


def _is_quiet(line: socket.socket) -> bool:
    """Whether nothing has arrived on an idle connection: what arrives there is its end."""
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    return not waiting.poll(0)


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content) if content else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        return f"no HTTP answer ({type(error).__name__})"
    return str(error) or "no answer in time"
