"""BMC passwords by name, from a file that nobody else can read.

The file is YAML (or JSON): a map from name to password, or to a map when more is known::

    bmc-default: correct horse
    r1-n3:
      password: battery staple
      certificate_sha256: 9f86d081…   # Redfish: trust exactly this certificate
    r1-n4:
      password: tr0ub4dor
      ca_file: /etc/racksalt/bmc-ca.pem   # Redfish: trust what this authority has signed

A `Bmc.secret` of ``file:bmc-default`` names an entry. Values never enter an exception, a log or a repr.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from racksalt.model.errors import SettingsError

_SCHEME = "file:"


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one secret holds.

    ``certificate_sha256``: hex digest of the only TLS certificate to trust. ``ca_file``: PEM file of the only
    authority to trust. Without both, those that the system trusts.
    """

    password: str
    certificate_sha256: str | None = None
    ca_file: str | None = None

    def __repr__(self) -> str:
        return "Credential(…)"


class BmcSecrets:
    """Resolves secret names against a file; a changed file is read again. May be used from many threads.

    Raises:
        SettingsError: from `resolve`: unknown scheme or name, a file that others can read, or one that makes no sense.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, Credential] = {}

    def resolve(self, secret: str) -> Credential:
        """Return what ``secret``, such as ``file:r1-n3``, stands for."""
        if not secret.startswith(_SCHEME):
            # Not quoted: somebody may have written the password itself.
            raise SettingsError(
                f"a BMC secret must begin with {_SCHEME}",
                f"write {_SCHEME}NAME and put NAME into {self._path}",
            )
        name = secret[len(_SCHEME) :]
        with self._lock:
            self._refresh()
            found = self._entries.get(name)
        if found is None:
            raise SettingsError(f"no BMC secret {name!r} in {self._path}", "add it to the file")
        return found

    def _refresh(self) -> None:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                self._check(status)
                seen = (status.st_mtime_ns, status.st_ino, status.st_size)
                if seen != self._seen:
                    self._entries = _parse(file.read(), self._path)
                    self._seen = seen
        except OSError as error:
            raise SettingsError(
                f"BMC secrets file {self._path}: {error.strerror}",
                "create it with mode 0600, owned by the user that runs the conductor",
            ) from None

    def _check(self, status: os.stat_result) -> None:
        if status.st_mode & 0o077:
            raise SettingsError(
                f"BMC secrets file {self._path} can be read or written by others",
                f"chmod 600 {self._path}",
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise SettingsError(
                f"BMC secrets file {self._path} belongs to user {status.st_uid}",
                "chown it to the user that runs the conductor",
            )


def _parse(raw: bytes, path: Path) -> dict[str, Credential]:
    """Read the entries. No message of a parser is passed on: it may quote what it could not read."""
    try:
        data = msgspec.yaml.decode(raw, type=dict[str, str | Credential])
    except msgspec.ValidationError:
        problem = "is not a map from names to passwords (quote a password that looks like a number)"
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = "is neither YAML nor JSON"
    else:
        return {
            name: Credential(password=entry) if isinstance(entry, str) else entry
            for name, entry in data.items()
        }
    raise SettingsError(f"BMC secrets file {path} {problem}", "see how-to/real-bmcs")
