"""
Signed images of operating systems: looked up at the boot API, checked with the site's public key, which this system
brought along, and fetched or written to a disk.

Nothing is taken on trust: a manifest whose signature is not by that key, of another name or version than asked for,
or of another format is refused, and so is a file with one wrong byte.
"""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

import salt.crypt
import salt.utils.path
from salt.exceptions import CommandExecutionError

_FORMAT = 1
_KEY = "/etc/racksalt/images.pub"
_SOURCE = re.compile(r"os/([A-Za-z0-9][A-Za-z0-9._-]*)/([A-Za-z0-9][A-Za-z0-9._-]*)")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CURRENT = "current"
_MOST_BYTES = 4 * 2**20
_CHUNK = 2**20
_TIMEOUT_S = 60
_TRIES = 5


def manifest(source):
    """
    Return the checked manifest of an image: ``{"name", "version", "arch", "files": {name: {"sha256",
    "bytes", "unpacked_sha256", "unpacked_bytes"}}, "packages"}``.

    source
        ``os/<name>/<version>``; the version ``current`` is the one that the site uses

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_image.manifest os/debian-12/current
    """
    name, version = _named(source)
    text = _small(f"{_url(source)}/manifest.json")
    _check_signature(source, text, _small(f"{_url(source)}/manifest.json.sig"))
    found = _decoded(source, text)
    told = (found.get("name"), found.get("version"))
    if told[0] != name or version not in (told[1], _CURRENT):
        message = f"{source}: the manifest there is that of {told[0]} {told[1]}"
        raise CommandExecutionError(message)
    return found


def fetch(source, file, path):
    """
    Fetch one file of an image to ``path`` and check it; what was wrong is not left there.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_image.fetch os/debian-12/current root.ext4.zst /tmp/root.ext4.zst
    """
    wanted, draft = _entry(source, file), pathlib.Path(f"{path}.part")
    try:
        with draft.open("wb") as out:
            _stream(source, file, wanted, out.write)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return {"path": str(path), "sha256": wanted["sha256"], "bytes": wanted["bytes"]}


def write(source, file, device):
    """
    Unpack a compressed file of an image onto a block device while it is fetched, and check what came.
    What the disk keeps of it is checked by reading it back (``racksalt_target``).

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_image.write os/debian-12/current root.ext4.zst /dev/sda3
    """
    __salt__["racksalt_disk.check_may_write"]()
    wanted, began = _entry(source, file), time.monotonic()
    handle = os.open(device, os.O_WRONLY)
    try:
        _unpacked(source, file, wanted, handle)
        os.fsync(handle)
    finally:
        os.close(handle)
    seconds = round(time.monotonic() - began, 1)
    return {"device": device, "bytes": wanted.get("unpacked_bytes"), "seconds": seconds}


def _named(source):
    found = _SOURCE.fullmatch(str(source))
    if not found:
        message = f"{source!r} is no image: name one as os/debian-12/current"
        raise CommandExecutionError(message)
    return found.groups()


def _url(source):
    settings = __opts__.get("racksalt") or {}
    if "url" not in settings:
        message = "this minion's configuration names no boot API: it was not booted by racksalt"
        raise CommandExecutionError(message)
    return f"{settings['url'].rstrip('/')}/images/{source}"


def _open(url, start=0):
    headers = {"Range": f"bytes={start}-"} if start else {}
    answer = urllib.request.urlopen(  # noqa: S310 - the boot API of this minion's configuration
        urllib.request.Request(url, headers=headers),  # noqa: S310
        timeout=_TIMEOUT_S,
    )
    if start and answer.status != 206:
        answer.close()
        message = f"{url} was cut off at byte {start}, and cannot be had from there on"
        raise CommandExecutionError(message)
    return answer


def _small(url):
    try:
        with _open(url) as answer:
            text = answer.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"{url} cannot be fetched: {error}"
        raise CommandExecutionError(message) from error
    if len(text) > _MOST_BYTES:
        message = f"{url} has more than {_MOST_BYTES} bytes: that is no manifest"
        raise CommandExecutionError(message)
    return text


def _check_signature(source, text, signature):
    path = pathlib.Path((__opts__.get("racksalt") or {}).get("images_key") or _KEY)
    try:
        key = salt.crypt.serialization.load_pem_public_key(path.read_bytes())
        key.verify(base64.b64decode(signature), text)
    except OSError as error:
        message = f"no image can be checked: {path}: {error.strerror}"
        raise CommandExecutionError(message) from None
    # An RSA key here takes other arguments; bad base64 and bad PEM are values that do not fit.
    except (salt.crypt.cryptography.exceptions.InvalidSignature, ValueError, TypeError):
        message = f"{source}: the manifest is not signed by the key in {path}; it is not used"
        raise CommandExecutionError(message) from None


def _decoded(source, text):
    try:
        found = json.loads(text)
        told = found.get("format")
    except (ValueError, AttributeError):
        message = f"{source}: the manifest cannot be read"
        raise CommandExecutionError(message) from None
    if told != _FORMAT:
        message = f"{source}: the manifest has format {told}, this system reads {_FORMAT}"
        raise CommandExecutionError(message)
    return found


def _entry(source, file):
    wanted = manifest(source).get("files", {}).get(file)
    if not wanted or not _FILE.fullmatch(file):
        message = f"{source} has no file {file}"
        raise CommandExecutionError(message)
    return wanted


def _whole(url, answer, at, total):
    """A file of another length is the wrong one, however often it is fetched."""
    told = answer.headers.get("Content-Length")
    if told is not None and at + int(told) != total:
        message = f"{url} is not what was signed: it has {at + int(told)} bytes, not {total}"
        raise CommandExecutionError(message)


def _again(url, at, total, tries, reason):
    """Wait before a file is asked for again; give up after some times without one more byte."""
    if at < total and tries >= _TRIES:
        message = f"{url} cannot be fetched: {reason}"
        raise CommandExecutionError(message)
    if at < total:
        time.sleep(tries - 1)
    return tries


def _pieces(url, total):
    """Yield the bytes of a file; a connection that breaks is taken up again where it broke."""
    at, tries = 0, 0
    while at < total:
        try:
            with _open(url, at) as answer:
                _whole(url, answer, at, total)
                while at <= total and (chunk := answer.read(_CHUNK)):
                    at, tries = at + len(chunk), 0
                    yield chunk
            reason = f"it ended at byte {at} of {total}"
        except (OSError, http.client.HTTPException) as error:
            reason = error
        tries = _again(url, at, total, tries + 1, reason)


def _stream(source, file, wanted, take):
    digest, count = hashlib.sha256(), 0
    for chunk in _pieces(f"{_url(source)}/{file}", wanted["bytes"]):
        digest.update(chunk)
        count += len(chunk)
        take(chunk)
    if count != wanted["bytes"] or digest.hexdigest() != wanted["sha256"]:
        message = f"{source}/{file} is not what was signed: another checksum, {count} bytes"
        raise CommandExecutionError(message)


def _unpacked(source, file, wanted, handle):
    program = salt.utils.path.which("zstd")
    if not program:
        message = "zstd is not installed: images cannot be unpacked"
        raise CommandExecutionError(message)
    line = [program, "-q", "-d", "-c"]
    errors = {"stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    with subprocess.Popen(line, stdout=handle, **errors) as unpacking:  # noqa: S603
        _feed(source, file, wanted, unpacking)
    if unpacking.returncode:
        message = f"{source}/{file} could not be unpacked: {unpacking.told}"
        raise CommandExecutionError(message)


def _feed(source, file, wanted, unpacking):
    """Give a program the file; one that ends early (a full disk) is told by itself, not by its pipe."""
    try:
        _stream(source, file, wanted, unpacking.stdin.write)
    except BrokenPipeError:
        pass
    except BaseException:
        unpacking.kill()
        raise
    finally:
        _close(unpacking.stdin)
        unpacking.told = unpacking.stderr.read().decode(errors="replace").strip()[-300:]


def _close(pipe):
    try:
        pipe.close()
    except BrokenPipeError:
        return
