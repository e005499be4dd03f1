"""What an image consists of: a list with checksums, which is what is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec

from racksalt.images.signing import Key, PublicKey
from racksalt.model.errors import ImageError

FORMAT = 1
NAME = "manifest.json"
SIGNATURE = "manifest.json.sig"
_CHUNK = 2**20


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file: SHA-256 in hex and bytes; for a compressed file also those of what is in it."""

    sha256: str
    bytes: int
    unpacked_sha256: str | None = None
    unpacked_bytes: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of one image. ``packages`` says what is in it: package -> version."""

    format: int
    name: str
    version: str
    arch: str
    files: dict[str, FileEntry]
    packages: dict[str, str] = {}
    kernel: str = ""

    def encode(self) -> bytes:
        """Return the bytes that are signed: the same for equal manifests."""
        plain = msgspec.to_builtins(self)
        return msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=1) + b"\n"


def decode(text: bytes, where: str) -> Manifest:
    """Return a manifest; raise ImageError when it is none, or of a format that is not ours."""
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ImageError(f"{where} is no manifest: {error}", "build the image again") from None
    if found.format != FORMAT:
        raise ImageError(
            f"{where} has format {found.format}, this racksalt reads {FORMAT}",
            "build the image with this racksalt",
        )
    return found


def entry(path: Path, unpacked: Path | None = None) -> FileEntry:
    """Return the entry of a file, and of what was packed into it."""
    if unpacked is None:
        return FileEntry(sha256=sha256(path), bytes=path.stat().st_size)
    return FileEntry(
        sha256=sha256(path),
        bytes=path.stat().st_size,
        unpacked_sha256=sha256(unpacked),
        unpacked_bytes=unpacked.stat().st_size,
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            seen.update(chunk)
    return seen.hexdigest()


def write(folder: Path, manifest: Manifest, key: Key) -> None:
    """Write manifest and signature into the folder of the image's files."""
    text = manifest.encode()
    (folder / NAME).write_bytes(text)
    (folder / SIGNATURE).write_bytes(base64.b64encode(key.sign(text)) + b"\n")


def read(folder: Path, key: PublicKey | None = None) -> Manifest:
    """Return the manifest in a folder, with its signature checked when a key is given.

    Raises:
        ImageError: there is none, it cannot be read, or the signature is not the key's.
    """
    try:
        text = (folder / NAME).read_bytes()
        signature = (folder / SIGNATURE).read_bytes() if key is not None else b""
    except OSError as error:
        raise ImageError(f"{error.filename}: {error.strerror}", "build the image again") from None
    if key is not None:
        try:
            key.check(base64.b64decode(signature, validate=False), text)
        except (ImageError, binascii.Error):
            raise ImageError(
                f"{folder / NAME}: the signature is not by the key of this site",
                "somebody changed the manifest, or the key; build the image again",
            ) from None
    return decode(text, str(folder / NAME))


def problems(folder: Path, manifest: Manifest) -> list[str]:
    """Return what of the files in a folder is not as the manifest says; reads all of them."""
    found = []
    for name, wanted in sorted(manifest.files.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != wanted.bytes:
            found.append(f"{name} has {path.stat().st_size} bytes, {wanted.bytes} were built")
        elif sha256(path) != wanted.sha256:
            found.append(f"{name} has another checksum than was built")
    return found
