"""What hosts are called: names that DNS can say, and the one spelling by which two hosts are compared."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
NAME: Final = re.compile(rf"{LABEL}(?:\.{LABEL})*")
"""A host name (RFC 1123 section 2.1), in lower case."""
MOST: Final = 253
_NO_HOST: Final = re.compile(r"[\s/@\[\]]")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def is_name(text: str) -> bool:
    """Return whether a text is a host or domain name that may stand in a configuration file."""
    return len(text) <= MOST and NAME.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Return whether a text is an IP address, or can be the name of a host elsewhere, in whichever case.

    A last label that is a number makes it an IPv4 address with a slip of the pen, not a name (RFC 1123 section 2.1).
    """
    if not text or _NO_HOST.search(text):
        return False
    try:
        ip_address(text)
    except ValueError:
        last = text.removesuffix(".").rpartition(".")[2]
        return last != "" and ":" not in text and not _NUMBER.fullmatch(last)
    return True


def one_spelling(host: str) -> str:
    """Return a host's address or name in the one spelling that all its spellings share."""
    try:
        found = ip_address(host)
    except ValueError:
        return host.lower().removesuffix(".")
    return str(getattr(found, "ipv4_mapped", None) or found)
