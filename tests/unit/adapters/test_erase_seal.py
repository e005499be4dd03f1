"""The key of erase certificates: the same for the same secret, checked by a tool that is not ours."""

from __future__ import annotations

import subprocess

import pytest

from racksalt.adapters.erase_seal import EraseSeal
from racksalt.adapters.secret_files import open_secrets

SEED = bytes(range(32))


def test_the_key_is_the_same_for_the_same_secret():
    """It is derived: there is no second file to back up."""
    one, other = EraseSeal(SEED), EraseSeal(SEED)
    assert (one.name, one.public) == (other.name, other.public)
    assert other.is_good(b"text", one.sign(b"text"))
    assert EraseSeal(bytes(32)).name != one.name


def test_a_changed_text_or_signature_is_not_good():
    """Also one that is no signature at all."""
    seal = EraseSeal(SEED)
    signature = seal.sign(b"text")
    assert not seal.is_good(b"test", signature)
    assert not seal.is_good(b"text", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not seal.is_good(b"text", b"")


def test_the_sites_secret_gives_a_key_of_its_own(tmp_path):
    """It is neither that of boot tokens nor that of API tokens, and is never shown."""
    secrets = open_secrets(tmp_path)
    assert len({secrets.boot, secrets.pepper, secrets.erasure}) == 3
    assert secrets.erasure.hex() not in repr(EraseSeal(secrets.erasure))


@pytest.mark.needs("openssl")
def test_openssl_agrees(tmp_path):
    """An auditor needs the public key, the text, the signature, and nothing of ours."""
    seal, text, signature, key = (EraseSeal(SEED), *(tmp_path / n for n in ("t", "s", "k")))
    text.write_bytes(b'{"disks":[]}')
    signature.write_bytes(seal.sign(text.read_bytes()))
    key.write_text(seal.public)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin"]
    command += ["-in", text, "-sigfile", signature]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    text.write_bytes(b'{"disks":{}}')
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0
