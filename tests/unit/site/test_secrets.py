from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.site.secrets import (
    HIDDEN,
    is_encrypted,
    is_reference,
    shown,
    sounds_secret,
    tells_password,
)

SPELLINGS = {
    "snake": "_".join,
    "upper": lambda words: "_".join(words).upper(),
    "kebab": "-".join,
    "camel": lambda words: words[0] + "".join(map(str.title, words[1:])),
    "pascal": lambda words: "".join(map(str.title, words)),
}
SECRETS = ["password", "passwd", "passphrase", "secret", "token", "psk", "credential", "apikey"]
SECRETS += [
    "pwd",
    "community",
    "rootpassword",
    "mysqlpasswd",
    "clientsecret",
    "authtoken",
    "wpapsk",
]
SECRETS += ["privatekey", "rocommunity", "userpwd"]
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
        *("ntp:servers", "public_keys", "DNS", "passing", "cwd", "passwords_checked_per_s:x"),
        *("password:length", "tokenizer", "secretly", "communitypool", "keys", "policies", "pass"),
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


@pytest.mark.parametrize(
    ("url", "legible"),
    [
        ("postgresql://u:hunter4@h/db", f"postgresql://u:{HIDDEN}@h/db"),
        ("redis://:hunter4@h:6379/0", f"redis://:{HIDDEN}@h:6379/0"),
        ("http://u:1234@h", f"http://u:{HIDDEN}@h"),
        ("//u:a@b:c@h/x", f"//u:{HIDDEN}@h/x"),
        ("//u:a/b@h/x", f"//u:{HIDDEN}@h/x"),
        ("amqp://u:a@h1,amqp://v:b@h2", f"amqp://u:{HIDDEN}@h1,amqp://v:{HIDDEN}@h2"),
        ("mongodb://u:a@h1:1,h2:2/db", f"mongodb://u:{HIDDEN}@h1:1,h2:2/db"),
        ("proxy http://u:a@h or none", f"proxy http://u:{HIDDEN}@h or none"),
    ],
)
def test_the_password_of_a_url_is_hidden_below_any_key(url, legible):
    """In texts, lists and maps; the rest of the URL stays legible."""
    assert shown("db", {"url": url, "all": [url, 1]}) == {"url": legible, "all": [legible, 1]}
    assert tells_password(url)


@pytest.mark.parametrize(
    "text",
    [
        *("http://h:3142/debian", "http://h:80/a@b", "http://h:80?a=b@c", "http://[::1]:80/a@b"),
        *(
            "git@host:a/b",
            "ssh://git@host:22/a",
            "https://h/a:b@c",
            "sdb://a/b",
            "//h",
            "a:b@c",
            "",
        ),
    ],
)
def test_urls_without_a_password_stay_as_they_are(text):
    """A port, an address in brackets and a path are none."""
    assert shown("db", text) == text
    assert not tells_password(text)


def test_references_and_encrypted_values_are_recognised():
    """A reference is exactly a reference; text around it makes it something else."""
    assert is_reference("sdb://store/key")
    assert is_reference("env:TOKEN")
    assert is_reference("file:bmc-default")
    assert not is_reference("see sdb://store/key")
    assert not is_reference(5)
    assert is_encrypted("-----BEGIN PGP MESSAGE-----\nabc")
    assert not is_encrypted("abc")
