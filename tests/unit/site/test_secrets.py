from __future__ import annotations

import pytest

from racksalt.site.secrets import HIDDEN, is_encrypted, is_reference, shown, sounds_secret


@pytest.mark.parametrize(
    "key", ["db:root_password", "apiToken", "tls:private_key", "a:secret", "psk"]
)
def test_keys_of_secrets_are_known_by_their_words(key):
    """A word of the last part tells, in snake_case and in camelCase."""
    assert sounds_secret(key)


@pytest.mark.parametrize(
    "key", ["secretary", "tokens_per_s:x", "public_key", "keyboard", "ntp:servers"]
)
def test_other_keys_are_not_taken_for_secrets(key):
    """Part of a word does not make a secret."""
    assert not sounds_secret(key)


def test_only_references_stay_legible_below_a_secret_key():
    """Text, numbers and lists are hidden, references and empty values are not."""
    value = {"password": "x", "port": 1, "tokens": {"token": ["a", 5], "ref": "sdb://a/b"}}
    assert shown("mail", value) == {
        "password": HIDDEN,
        "port": 1,
        "tokens": {"token": [HIDDEN, HIDDEN], "ref": "sdb://a/b"},
    }
    assert shown("mail:credentials", {"user": "u", "at": "sdb://a/b", "none": None}) == {
        "user": HIDDEN,
        "at": "sdb://a/b",
        "none": None,
    }


def test_references_and_encrypted_values_are_recognised():
    """A reference is exactly a reference; text around it makes it something else."""
    assert is_reference("sdb://store/key")
    assert is_reference("env:TOKEN")
    assert is_reference("file:bmc-default")
    assert not is_reference("see sdb://store/key")
    assert not is_reference(5)
    assert is_encrypted("-----BEGIN PGP MESSAGE-----\nabc")
    assert not is_encrypted("abc")
