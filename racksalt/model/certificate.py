"""What is kept of an erasure, so that somebody else can check it years later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseCertificate:
    """One signed erase certificate (a row of ``erase_certificates``).

    ``document`` is the very text that was signed (JSON, UTF-8); ``signature`` is Ed25519 over its bytes (RFC 8032) in
    base64; ``key`` is the SHA-256 of the public key's 32 bytes, in hex. ``id`` is the Salt job id of the stage that
    erased, ``seq`` the journal entry that took its result, ``at`` seconds since the epoch (UTC).
    """

    id: str
    node: str
    seq: int
    at: float
    document: str
    signature: str
    key: str
