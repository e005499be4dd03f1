"""The key pair that vouches for images: Ed25519 (RFC 8032), made once, private to root.

The door of this part to the library ``cryptography``.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from racksalt.adapters.secret_files import write_once
from racksalt.model.errors import ImageError

PRIVATE = "images.key"
PUBLIC = "images.pub"


class PublicKey:
    """Checks signatures."""

    def __init__(self, pem: bytes, where: str = "the image key") -> None:
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError:
            key = None
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise ImageError(f"{where} is no Ed25519 public key", "restore it, or make a new pair")
        self._key, self.pem = key, pem

    def check(self, signature: bytes, text: bytes) -> None:
        """Raise ImageError when the signature is not this key's over these bytes."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            raise ImageError("the signature is wrong") from None


class Key:
    """Signs. Never shown, never logged."""

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Key>"

    def sign(self, text: bytes) -> bytes:
        """Return the signature over these bytes."""
        return self._key.sign(text)

    def public(self) -> PublicKey:
        """Return the other half."""
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return PublicKey(pem)


def open_key(folder: str | Path) -> Key:
    """Return the private key in the secrets folder, made at first use.

    Raises:
        ImageError: others may read it, or it is no Ed25519 key.
    """
    path = Path(folder) / PRIVATE
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            write_once(path, _new())
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ImageError(f"others may read {path}", f"chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ImageError(
            f"{path}: {error.strerror}", "the key belongs to who builds images"
        ) from None
    except ValueError:
        raise ImageError(f"{path} is no private key", "restore it from your backup") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ImageError(f"{path} is no Ed25519 key", "restore it from your backup")
    return Key(key)


def fingerprint(text: str) -> str:
    """Return the SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _new() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
