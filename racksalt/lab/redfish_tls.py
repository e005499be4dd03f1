"""The certificate of a lab's Redfish BMCs: made once, signed by itself, known by its digest, as BMCs ship them."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

YEARS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """PEM files of certificate and key, and the SHA-256 of the certificate in hex: what clients pin."""

    file: Path
    key: Path
    sha256: str


def lab_certificate(folder: Path) -> Certificate:
    """Return the certificate in ``folder``; make it for loopback when there is none."""
    file, key = folder / "redfish.crt", folder / "redfish.key"
    if not (file.exists() and key.exists()):
        _make(file, key)
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(serialization.Encoding.DER)
    return Certificate(file=file, key=key, sha256=hashlib.sha256(der).hexdigest())


def _make(file: Path, key: Path) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "racksalt lab BMC")])
    now = dt.datetime.now(dt.timezone.utc)
    local = [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(local), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    pem = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(pem)
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
