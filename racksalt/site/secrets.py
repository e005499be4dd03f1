"""Secrets in configuration are references; what is shown to people hides what looks like the secret itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "**********"
"""What is shown in place of a secret; the same text that Salt 3008 uses for masked pillar values."""

_SECRET_PAIRS = frozenset({"private_key", "api_key", "secret_key", "access_key", "encryption_key"})
_SECRET_ENDS = (
    *("password", "passwd", "pwd", "passphrase", "secret", "token", "psk", "credential"),
    "community",
    *sorted(pair.replace("_", "") for pair in _SECRET_PAIRS),
)
"""How a secret's word ends: ``rootpassword`` and ``rocommunity`` (SNMP) are written in one, too."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""The words of ``DB_PASSWORD``, ``root_password``, ``apiToken`` and ``APIToken``."""
_RATE = "per"
"""``tokens_per_s`` counts, and holds none."""
_URL_PASSWORD = re.compile(
    r"(//[^\s/?#:@\[]{0,255}:)"  # user and colon; a bracket begins an IPv6 address
    r"(?!\d*[/?#\s])"  # a number up to the path is a port
    r"(?:[^\s/]{1,255}|[^\s@]{1,255})@"  # up to the last @ before the path; or over a slash
)
"""What gives away the password of ``postgresql://user:PASSWORD@host/db``."""
_REFERENCE = re.compile(r"^(sdb://\S+|env:[A-Za-z_][A-Za-z0-9_]*|file:\S+)$")


def is_reference(value: Any) -> bool:
    """Return whether a value only says where a secret is kept (``sdb://…``, ``env:NAME``, ``file:NAME``)."""
    return isinstance(value, str) and bool(_REFERENCE.match(value))


def is_encrypted(value: Any) -> bool:
    """Return whether a value is a PGP message, which Salt's ``gpg`` pillar decryption opens late."""
    return isinstance(value, str) and value.lstrip().startswith("-----BEGIN PGP MESSAGE-----")


def sounds_secret(key: str) -> bool:
    """Return whether the last part of a key names secrets, e.g. ``db:root_password``, ``apiToken``, ``API_KEYS``."""
    words = [_singular(word.lower()) for word in _WORDS.findall(key.rsplit(":", 1)[-1])]
    following = [*words[1:], ""]
    alone = [word for word, after in zip(words, following, strict=False) if after != _RATE]
    pairs = {f"{one}_{other}" for one, other in itertools.pairwise(words)}
    return any(it.endswith(_SECRET_ENDS) for it in alone) or not _SECRET_PAIRS.isdisjoint(pairs)


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word if word.endswith("ss") else word.removesuffix("s")


def tells_password(value: Any) -> bool:
    """Return whether a text has a URL with a password in it, whatever its key is."""
    return isinstance(value, str) and bool(_URL_PASSWORD.search(value))


def shown(key: str, value: Any) -> Any:
    """Return a copy of a value fit for people.

    Below a key that names a secret, only references stay legible; the password of a URL is hidden below any key.
    """
    return _shown(value, secret=any(map(sounds_secret, key.split(":"))))


def _shown(value: Any, *, secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {k: _shown(child, secret=secret or sounds_secret(k)) for k, child in value.items()}
    if isinstance(value, list):
        return [_shown(child, secret=secret) for child in value]
    if (
        secret
        and value not in (None, "")
        and not isinstance(value, bool)
        and not is_reference(value)
    ):
        return HIDDEN
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}@", value) if isinstance(value, str) else value
