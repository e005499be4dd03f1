from __future__ import annotations

import json
import os

import pytest

from racksalt.adapters.bmc_secrets import BmcSecrets, Credential
from racksalt.model.errors import SettingsError

PASSWORD = "correct-horse"


@pytest.fixture
def file(tmp_path):
    """A secrets file as it should be."""
    path = tmp_path / "bmc.yaml"
    path.write_text(
        f"default: {PASSWORD}\nn3:\n  password: battery-staple\n  certificate_sha256: ab12\n"
    )
    path.chmod(0o600)
    return path


def test_names_are_resolved_from_yaml_and_from_json(file, tmp_path):
    """A bare password and a map with more in it are both understood."""
    assert BmcSecrets(file).resolve("file:default") == Credential(password=PASSWORD)
    assert BmcSecrets(file).resolve("file:n3").certificate_sha256 == "ab12"
    other = tmp_path / "bmc.json"
    other.write_text(json.dumps({"default": PASSWORD}))
    other.chmod(0o600)
    assert BmcSecrets(other).resolve("file:default").password == PASSWORD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660])
def test_a_file_that_others_can_read_or_write_is_refused(file, mode):
    """The message says which file, the hint how to mend it."""
    file.chmod(mode)
    with pytest.raises(SettingsError, match="can be read or written by others") as caught:
        BmcSecrets(file).resolve("file:default")
    assert caught.value.hint == f"chmod 600 {file}"


def test_a_file_of_another_user_is_refused(file):
    """Whoever owns the file can change the passwords."""
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(file, 12345, 12345)
    with pytest.raises(SettingsError, match="belongs to user 12345"):
        BmcSecrets(file).resolve("file:default")


@pytest.mark.parametrize("secret", ["file:n4", PASSWORD, f"plain:{PASSWORD}", ""])
def test_what_is_not_there_is_refused(file, secret):
    """Unknown names and unknown kinds; what may be a password itself is not repeated."""
    with pytest.raises(SettingsError) as caught:
        BmcSecrets(file).resolve(secret)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"default: [{PASSWORD}",
        f"{PASSWORD}",
        f"default:\n  password: {PASSWORD}\n  pin: x\n",
        f"default: 1234\nother: {PASSWORD}",
        f"default: {{password: [{PASSWORD}]}}",
        b"\xff\xfe",
    ],
)
def test_a_broken_file_is_refused_without_quoting_it(file, text):
    """No part of the content enters the exception or what hangs on it."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        BmcSecrets(file).resolve("file:default")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_missing_file_is_refused(tmp_path):
    """With the path and what to do."""
    with pytest.raises(SettingsError, match="No such file"):
        BmcSecrets(tmp_path / "none").resolve("file:default")


def test_a_changed_file_is_read_again(file):
    """A new password counts from the next operation on."""
    secrets = BmcSecrets(file)
    secrets.resolve("file:default")
    file.write_text("default: another-password\n")
    assert secrets.resolve("file:default").password == "another-password"


def test_a_credential_never_shows_itself(file):
    """Neither repr nor str."""
    credential = BmcSecrets(file).resolve("file:default")
    assert PASSWORD not in f"{credential!r} {credential}"
