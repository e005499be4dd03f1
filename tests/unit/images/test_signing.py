"""The key pair that vouches for images."""

from __future__ import annotations

import pytest

from racksalt.images import signing
from racksalt.model.errors import ImageError


def test_the_key_is_made_once_and_private(tmp_path):
    """A second call opens the same; nobody else can read it; it is never shown."""
    first = signing.open_key(tmp_path / "secrets")
    again = signing.open_key(tmp_path / "secrets")
    assert first.public().pem == again.public().pem
    path = tmp_path / "secrets" / signing.PRIVATE
    assert path.stat().st_mode & 0o777 == 0o600
    assert repr(first) == "<Key>"


def test_a_signature_fits_its_text_and_key_alone(tmp_path):
    """One changed byte, or another pair, and it is wrong."""
    key, other = signing.open_key(tmp_path / "a"), signing.open_key(tmp_path / "b")
    signature = key.sign(b"text")
    key.public().check(signature, b"text")
    for public, text in ((key.public(), b"texT"), (other.public(), b"text")):
        with pytest.raises(ImageError, match="signature is wrong"):
            public.check(signature, text)


def test_a_key_that_others_may_read_is_refused(tmp_path):
    """Who can read it can vouch for anything."""
    signing.open_key(tmp_path)
    (tmp_path / signing.PRIVATE).chmod(0o640)
    with pytest.raises(ImageError, match="others may read"):
        signing.open_key(tmp_path)


@pytest.mark.parametrize("text", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAA==\n"])
def test_what_is_no_key_is_told(tmp_path, text):
    """A damaged file is named, with nothing of what is in it."""
    (tmp_path / signing.PRIVATE).write_bytes(text)
    (tmp_path / signing.PRIVATE).chmod(0o600)
    with pytest.raises(ImageError, match="is no private key"):
        signing.open_key(tmp_path)
    with pytest.raises(ImageError, match="no Ed25519 public key"):
        signing.PublicKey(text)
