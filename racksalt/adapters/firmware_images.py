"""A firmware image is what its checksum says, or no BMC is told of it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from racksalt.conductor.ports import FirmwareImage
from racksalt.model.errors import InvalidInputError

READ_S = 10.0
"""Patience with the server of images."""
WHOLE_S = 300.0
"""The longest that a download may take."""
MOST_BYTES = 2 << 30


def check_image(image: FirmwareImage) -> None:
    """Fetch what is behind ``image.url`` and compare its SHA-256.

    What the BMC fetches afterwards is under the same address: keep images where nobody else can write.

    Raises:
        InvalidInputError: no checksum, another one, no address of http or https, or nothing there.
    """
    wanted = image.sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise InvalidInputError(
            f"firmware {image.url}: without a SHA-256 nothing is written",
            "64 hexadecimal digits; the maker publishes it, `sha256sum` makes it",
        )
    parts = urlsplit(image.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInputError(f"firmware {image.url}: not an address of http or https")
    try:
        seen = _digest(image.url)
    except (OSError, urllib.error.URLError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InvalidInputError(f"firmware {image.url} cannot be fetched: {reason}") from None
    if not hmac.compare_digest(seen, wanted):
        raise InvalidInputError(
            f"firmware {image.url} is not what it should be: its SHA-256 is {seen}",
            f"expected {wanted}; the BMC was not asked",
        )


def _digest(url: str) -> str:
    digest, size, end = hashlib.sha256(), 0, time.monotonic() + WHOLE_S
    # No proxy: the BMC fetches without one, and what it gets is what must be looked at.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=READ_S) as response:
        while chunk := response.read(1 << 20):
            size += len(chunk)
            if size > MOST_BYTES or time.monotonic() > end:
                raise OSError(f"more than {MOST_BYTES} bytes, or longer than {WHOLE_S:g} s")
            digest.update(chunk)
    return digest.hexdigest()
