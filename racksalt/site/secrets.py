"""Secrets in configuration are references; what is shown to people hides what looks like the secret itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "**********"
"""What is shown in place of a secret; the same text that Salt 3008 uses for masked pillar values."""

_SECRET_WORDS = frozenset(
    {"password", "passwd", "passphrase", "secret", "token", "psk", "credential", "apikey"}
)
_SECRET_PAIRS = frozenset({"private_key", "api_key", "secret_key", "access_key", "encryption_key"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""The words of ``DB_PASSWORD``, ``root_password``, ``apiToken`` and ``APIToken``."""
_RATE = "per"
"""``tokens_per_s`` counts, and holds none."""
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
    alone = {word for word, after in zip(words, following, strict=False) if after != _RATE}
    pairs = {f"{one}_{other}" for one, other in itertools.pairwise(words)}
    return not _SECRET_WORDS.isdisjoint(alone) or not _SECRET_PAIRS.isdisjoint(pairs)


def _singular(word: str) -> str:
    return word if word.endswith("ss") else word.removesuffix("s")


def shown(key: str, value: Any) -> Any:
    """Return a copy of a value fit for people: below a key that names a secret, only references stay legible."""
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
    return value
