"""The Salt master's key store as the port ``Keys``.

What is accepted is exactly the key that was proven: its text is written to the store, rather than
whatever lies under the node's name at that moment. Works on the files of ``localfs_key``, which
Salt's own ``_auth`` reads; a file lock keeps racksalt's processes out of one another's way.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import salt.cache
import salt.crypt
import salt.exceptions
import salt.utils.event
import salt.utils.verify

from racksalt.conductor.ports import MinionKey
from racksalt.model.errors import ConflictError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from racksalt.adapters.salt_client import Opts

log = logging.getLogger(__name__)

KEY_BYTES = 16_384
_FILES = "localfs_key"
_FOLDERS = (
    ("rejected", "minions_rejected"),
    ("pending", "minions_pre"),
    ("accepted", "minions"),
)


def normalised(pem: str) -> str:
    """Return the public key with Unix line ends and no white space around it."""
    return pem.replace("\r\n", "\n").strip()


class SaltKeys:
    """The port ``Keys``.

    A key that Salt put aside as denied (somebody else's key came first under that name) counts as
    pending here: whoever proves the boot token gets in, whoever was first does not.
    """

    def __init__(self, opts: Opts) -> None:
        self._opts = opts
        self._lock_file = Path(opts["cachedir"]) / "racksalt-keys.lock"
        self._own = threading.local()

    def pending(self) -> list[MinionKey]:
        """Return all keys that wait for acceptance; the denied ones of each node after its pending one.

        Costs as much as there are waiting keys, however many are accepted.
        """
        names = dict.fromkeys([*self._names("minions_pre"), *self._names("minions_denied")])
        return [key for name in names for key in self.get(name) if not key.accepted]

    def _names(self, folder: str) -> list[str]:
        """Return under which names keys lie in one folder of the key store, sorted."""
        if self._opts["keys.cache_driver"] != _FILES:
            if folder == "minions_denied":
                return sorted(self._cache().list("denied_keys"))
            entries = self._cache().list_all("keys").items()
            return sorted(n for n, one in entries if (one or {}).get("state") == "pending")
        try:
            with os.scandir(self._folder(folder)) as found:
                return sorted(one.name for one in found if one.is_file(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def _folder(self, name: str) -> Path:
        """Return a folder of ``localfs_key``, where Salt's own driver looks for it."""
        of_cluster = "cluster_pki_dir" if self._opts.get("cluster_id") else "pki_dir"
        return Path(self._opts[of_cluster]) / name

    def get(self, node: str) -> list[MinionKey]:
        """Return the node's keys: accepted, pending and denied, the accepted one first."""
        if not salt.utils.verify.valid_id(self._opts, node):
            return []
        found: dict[str, MinionKey] = {}
        for state, pem in self._texts(node):
            if pem and state in {"accepted", "pending", "denied"}:
                key = MinionKey(node=node, public_key=pem, accepted=state == "accepted")
                found.setdefault(pem, key)
        return list(found.values())

    def _texts(self, node: str) -> list[tuple[str, str]]:
        """Return (state, key text) of all that lies under the name.

        Whoever can reach the master can leave any bytes there; what is no text hides no other key.
        """
        if self._opts["keys.cache_driver"] == _FILES:
            return self._files(node)
        cache = self._cache()
        texts: list[tuple[str, str]] = []
        try:
            entry = cache.fetch("keys", node) or {}
            texts.append((entry.get("state", ""), normalised(entry.get("pub", ""))))
        except (UnicodeDecodeError, salt.exceptions.SaltCacheError):
            log.warning("the key of %s is no text", node)
        try:
            denied = cache.fetch("denied_keys", node) or []
            texts.extend(("denied", normalised(pub)) for pub in denied)
        except (UnicodeDecodeError, salt.exceptions.SaltCacheError):
            log.warning("the denied key of %s is no text", node)
        return texts

    def _files(self, node: str) -> list[tuple[str, str]]:
        """Return (state, key text) as ``localfs_key`` has them: the first of three folders counts, and denied."""
        found = ((state, _text(self._folder(name) / node)) for state, name in _FOLDERS)
        first = next((one for one in found if one[1] is not None), None)
        denied = ("denied", _text(self._folder("minions_denied") / node))
        return [(one[0], one[1]) for one in (first, denied) if one and one[1] is not None]

    def accept(self, key: MinionKey) -> None:
        """Accept exactly this key; no harm when it is accepted already.

        Raises ConflictError when another key of the node is accepted (revoke it first) or when this
        one no longer waits, InvalidInputError when it is no usable RSA public key.
        """
        pem = normalised(key.public_key)
        try:
            salt.crypt.PublicKey.from_str(pem)
        except (salt.exceptions.InvalidKeyError, ValueError) as error:
            message = f"the key of {key.node} is no RSA public key that Salt can use"
            raise InvalidInputError(message, "let the minion make its key pair again") from error
        with self._locked():
            keys = self.get(key.node)
            for one in keys:
                if one.accepted and one.public_key == pem:
                    return
                if one.accepted:
                    message = f"another key of {key.node} is accepted already"
                    raise ConflictError(message, "revoke it before a new one is accepted")
            if pem not in {one.public_key for one in keys}:
                message = f"the key of {key.node} that was checked no longer waits in the key store"
                raise ConflictError(message, "the minion sends it again within seconds")
            cache = self._cache()
            cache.store("keys", key.node, {"state": "accepted", "pub": pem})
            cache.flush("denied_keys", key.node)
        self._tell(key.node, "accept")

    def revoke(self, node: str) -> None:
        """Delete every key of the node; no harm when there is none.

        The master refuses its requests from then on. The key that encrypts publications is not
        changed for each revocation (Salt does so daily): a rack's reinstallation would make every
        minion of the site sign in again, once for each node.
        """
        if not salt.utils.verify.valid_id(self._opts, node):
            return
        with self._locked():
            cache = self._cache()
            found = [cache.flush(bank, node) for bank in ("keys", "denied_keys")]
        if not any(found):
            return
        self._tell(node, "delete")

    def clear_waiting(self, node: str) -> None:
        """Delete the node's pending and denied keys; the accepted one stays. No harm when there is none."""
        if not salt.utils.verify.valid_id(self._opts, node):
            return
        with self._locked():
            if self._opts["keys.cache_driver"] == _FILES:
                for folder in ("minions_pre", "minions_denied"):
                    (self._folder(folder) / node).unlink(missing_ok=True)
                return
            cache = self._cache()
            cache.flush("denied_keys", node)
            if (cache.fetch("keys", node) or {}).get("state") == "pending":
                cache.flush("keys", node)

    def _cache(self) -> Any:
        """Return this thread's key store: it keeps nothing open, but loading it costs milliseconds."""
        cache = getattr(self._own, "cache", None)
        if cache is None:
            cache = salt.cache.Cache(self._opts, driver=self._opts["keys.cache_driver"])
            self._own.cache = cache
        return cache

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that all of racksalt's processes on this master take (flock, released on death)."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _tell(self, node: str, act: str) -> None:
        """Fire Salt's own ``salt/key`` event, as ``salt-key`` does; the change stands without it."""
        try:
            with salt.utils.event.get_master_event(
                self._opts, self._opts["sock_dir"], listen=False
            ) as bus:
                bus.fire_event({"result": True, "act": act, "id": node}, "salt/key")
        except Exception:
            log.debug("the salt/key event of %s was not taken", node, exc_info=True)


def _text(path: Path) -> str | None:
    """Return the key in a file: None without a file, nothing for what is too large or no text."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            raw = file.read(KEY_BYTES + 1)
    except OSError:
        return None
    try:
        return normalised(raw.decode()) if len(raw) <= KEY_BYTES else ""
    except UnicodeDecodeError:
        log.debug("the key in %s is no text", path)
        return ""
