"""The secrets that racksalt makes for itself: one random key, in a file for its owner only."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from racksalt.model.errors import SettingsError

NAME = "boot.key"
BYTES = 32


@dataclass(frozen=True, slots=True)
class Secrets:
    """``boot`` derives boot tokens, ``pepper`` keys the hashes of API tokens, ``erasure`` signs erase certificates.

    All come from one file.
    """

    boot: bytes
    pepper: bytes
    erasure: bytes

    def __repr__(self) -> str:
        return "<Secrets>"


def open_secrets(folder: str | Path) -> Secrets:
    """Return the secrets in ``folder``, made at first use.

    Raises:
        SettingsError: the file can be read by others, is too short, or the folder cannot be written.
    """
    path = Path(folder) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            write_once(path, f"{secrets.token_hex(BYTES)}\n".encode())
        _is_private(path)
        root = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}", "racksalt must own its secrets folder"
        ) from None
    except ValueError:
        raise SettingsError(f"{path}: is not hexadecimal", "restore it from your backup") from None
    if len(root) < BYTES:
        raise SettingsError(
            f"{path}: holds {len(root)} bytes, {BYTES} are needed", "restore it from your backup"
        )
    return Secrets(
        boot=_derived(root, b"boot"),
        pepper=_derived(root, b"token"),
        erasure=_derived(root, b"erase certificate"),
    )


def write_once(path: Path, content: bytes) -> None:
    """Put a secret into place, durably and for its owner only; one that is there stays.

    Written aside and linked, so that two processes that start at once end with one and the same.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _is_private(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            f"{path}: others may read it (mode {stat.S_IMODE(mode):o})", f"chmod 600 {path}"
        )


def _derived(root: bytes, purpose: bytes) -> bytes:
    return hmac.new(root, b"racksalt " + purpose, hashlib.sha256).digest()
