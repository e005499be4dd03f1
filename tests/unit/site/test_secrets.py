from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.site.secrets import HIDDEN, is_encrypted, is_reference, shown, sounds_secret

SPELLINGS = {
    "snake": "_".join,
    "upper": lambda words: "_".join(words).upper(),
    "kebab": "-".join,
    "camel": lambda words: words[0] + "".join(map(str.title, words[1:])),
    "pascal": lambda words: "".join(map(str.title, words)),
}
SECRETS = ["password", "passwd", "passphrase", "secret", "token", "psk", "credential", "apikey"]
PAIRS = ["private_key", "api_key", "secret_key", "access_key", "encryption_key"]
PLAIN = st.sampled_from(["db", "root", "admin", "old", "2", "ntp"])


@pytest.mark.parametrize(
    "key",
    [
        "db:root_password",
        "apiToken",
        "tls:private_key",
        "a:secret",
        "psk",
        "APIToken",
        "DBPassword",
    ],
)
def test_keys_of_secrets_are_known_by_their_words(key):
    """A word of the last part tells, in snake_case and in camelCase."""
    assert sounds_secret(key)


@given(
    name=st.sampled_from([*SECRETS, *PAIRS]),
    many=st.booleans(),
    before=st.lists(PLAIN, max_size=2),
    after=st.lists(PLAIN, max_size=1),
    spelling=st.sampled_from(sorted(SPELLINGS)),
)
def test_a_secret_word_is_known_in_every_spelling(name, many, before, after, spelling):
    """One or several, in capitals or not, whatever stands around it."""
    words = [*before, *f"{name}{'s' * many}".split("_"), *after]
    assert sounds_secret(SPELLINGS[spelling](words))


def test_secrets_below_capitals_and_plurals_are_hidden():
    """As environments and lists of accounts are written."""
    value = {"DB_PASSWORD": "x", "passwords": {"root": "y"}, "tokens": ["z"], "tokens_per_s": 5}
    assert shown("app", value) == {
        "DB_PASSWORD": HIDDEN,
        "passwords": {"root": HIDDEN},
        "tokens": [HIDDEN],
        "tokens_per_s": 5,
    }


@pytest.mark.parametrize(
    "key",
    [
        *("secretary", "tokens_per_s:x", "tokens_per_s", "TOKENS_PER_S", "public_key", "keyboard"),
        *("ntp:servers", "public_keys", "DNS", "passing"),
    ],
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
