"""The key that signs erase certificates: Ed25519 (RFC 8032), derived from the site's own secret.

An auditor checks a certificate with the public key alone, and with any tool that knows Ed25519; with a shared
secret (HMAC) whoever can check could also forge.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519


class EraseSeal:
    """The port ``Seal`` with a key made from 32 secret bytes. Never shown, never logged."""

    def __init__(self, seed: bytes) -> None:
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key()
        self.public = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
        self.name = hashlib.sha256(public.public_bytes_raw()).hexdigest()

    def __repr__(self) -> str:
        return f"<EraseSeal {self.name[:16]}>"

    def sign(self, text: bytes) -> bytes:
        """Return the signature over these bytes."""
        return self._key.sign(text)

    def is_good(self, text: bytes, signature: bytes) -> bool:
        """Say whether this key made the signature over exactly these bytes."""
        try:
            self._key.public_key().verify(signature, text)
        except InvalidSignature:
            return False
        return True
