"""Manifests: signed, checked, of one format."""

from __future__ import annotations

import json

import pytest

from racksalt.images import manifest
from racksalt.images.signing import open_key
from racksalt.model.errors import ImageError


@pytest.fixture
def written(tmp_path):
    """A folder with one file, its manifest and signature, and the key."""
    key = open_key(tmp_path / "secrets")
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "root.ext4.zst").write_bytes(b"packed")
    (tmp_path / "raw").write_bytes(b"unpacked")
    files = {"root.ext4.zst": manifest.entry(folder / "root.ext4.zst", tmp_path / "raw")}
    found = manifest.Manifest(
        format=1, name="debian-12", version="1", arch="x86_64", files=files, packages={"b": "2"}
    )
    manifest.write(folder, found, key)
    return folder, found, key


def test_what_is_written_is_read_back(written):
    """With its signature checked; the JSON is what nodes expect."""
    folder, found, key = written
    assert manifest.read(folder, key.public()) == found
    plain = json.loads((folder / manifest.NAME).read_text())
    assert plain["files"]["root.ext4.zst"]["unpacked_bytes"] == 8
    assert plain["format"] == 1
    assert manifest.problems(folder, found) == []


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (manifest.NAME, lambda text: text.replace(b'"2"', b'"3"')),
        (manifest.SIGNATURE, lambda text: b"AAAA" + text[4:]),
        (manifest.SIGNATURE, lambda _: b"no base64!"),
        (manifest.SIGNATURE, lambda _: b""),
    ],
)
def test_a_changed_manifest_or_signature_is_refused(written, file, change):
    """Before anything in it is believed."""
    folder, _, key = written
    (folder / file).write_bytes(change((folder / file).read_bytes()))
    with pytest.raises(ImageError, match="signature is not by the key of this site"):
        manifest.read(folder, key.public())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "is no manifest"),
        (b"[]", "is no manifest"),
        (b'{"format": 1}', "is no manifest"),
        (b'{"format":0,"name":"a","version":"1","arch":"x","files":{}}', "has format 0"),
        (b'{"format":2,"name":"a","version":"1","arch":"x","files":{}}', "has format 2"),
    ],
)
def test_what_is_no_manifest_of_our_format_is_told(text, told):
    """Older and newer formats are refused with their number."""
    with pytest.raises(ImageError, match=told):
        manifest.decode(text, "x")


def test_each_wrong_file_is_told_with_what_is_wrong(written):
    """Missing, of another size, or with one other byte."""
    folder, found, _ = written
    path = folder / "root.ext4.zst"
    path.write_bytes(b"packeD")
    assert manifest.problems(folder, found) == ["root.ext4.zst has another checksum than was built"]
    path.write_bytes(b"pack")
    assert manifest.problems(folder, found) == ["root.ext4.zst has 4 bytes, 6 were built"]
    path.unlink()
    assert manifest.problems(folder, found) == ["root.ext4.zst is missing"]


def test_a_missing_manifest_is_told_with_its_path(tmp_path):
    """No traceback for a person who mistyped a folder."""
    with pytest.raises(ImageError, match=r"manifest.json: No such file"):
        manifest.read(tmp_path)
