"""Images over HTTP: whole, in parts, and nothing else of this machine."""

from __future__ import annotations

import hashlib

import pytest

from racksalt.boot_api.context import Limits
from tests.support.boot_site import BootSite
from tests.support.images import Shelf

SYSTEM = bytes(range(256)) * 8192  # two pieces


@pytest.fixture
def site(tmp_path):
    """A boot API, and the catalogue that it serves."""
    made = BootSite(tmp_path / "site", images=tmp_path / "images")
    made.shelf = Shelf(tmp_path)
    made.shelf.live("1", SYSTEM)
    made.shelf.put("os/debian-12", "7", {"root.ext4.zst": b"packed"})
    yield made
    made.close()


def _get(site, path, **headers):
    return site.client().get(f"/images/{path}", headers=headers)


@pytest.mark.parametrize("place", ["x86_64", "live/x86_64/1", "live/x86_64/current"])
def test_a_file_is_served_by_version_and_as_the_current_one(site, place):
    """Firmware knows only the architecture; boot scripts name the version."""
    answer = _get(site, f"{place}/live.squashfs")
    assert answer.status_code == 200
    assert answer.content == SYSTEM
    assert answer.headers["content-length"] == str(len(SYSTEM))
    assert answer.headers["accept-ranges"] == "bytes"


def test_manifest_signature_and_key_are_served(site):
    """What a node checks images with."""
    manifest = _get(site, "os/debian-12/7/manifest.json")
    assert manifest.headers["content-type"] == "application/json"
    wanted = manifest.json()["files"]["root.ext4.zst"]["sha256"]
    content = _get(site, "os/debian-12/7/root.ext4.zst").content
    assert hashlib.sha256(content).hexdigest() == wanted
    assert _get(site, "os/debian-12/7/manifest.json.sig").status_code == 200
    assert _get(site, "images.pub").text.startswith("-----BEGIN PUBLIC KEY")


def test_a_broken_download_goes_on_where_it_stopped(site):
    """Ranges as RFC 9110 has them; one beyond the end is told."""
    tail = _get(site, "x86_64/live.squashfs", Range="bytes=2097000-")
    assert (tail.status_code, tail.content) == (206, SYSTEM[2097000:])
    middle = _get(site, "x86_64/live.squashfs", Range="bytes=255-256")
    assert middle.content == b"\xff\x00"
    assert _get(site, "x86_64/live.squashfs", Range="bytes=9999999-").status_code == 416
    head = site.client().head("/images/x86_64/live.squashfs")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "live",
        "live/x86_64/",
        "x86_64/nothing",
        "..%2fsecrets/images.key",
        "%2e%2e/secrets/images.key",
        "x86_64/..%2f..%2f..%2fsecrets%2fimages.key",
        "%2fetc/passwd",
        "live//x86_64/1/vmlinuz",
        "x86_64/vmlinuz%00",
        "out/images.key",
        "circle",
        "fifo",
        "a" * 5000,
    ],
)
def test_nothing_else_is_served(site, tmp_path, path):
    """No listing, no way out of the folder, not by a link either, and no file that is none."""
    import os

    folder = site.shelf.folder
    (folder / "out").symlink_to(tmp_path / "secrets")
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "fifo")
    answer = _get(site, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_draft_is_never_served(site):
    """Half an image begins with a dot until it is whole, and so does one on its way out."""
    draft, _ = site.shelf.draft("live/x86_64", "2", {"vmlinuz": b"half"})
    assert _get(site, f"live/x86_64/{draft.name}/vmlinuz").status_code == 404
    (site.shelf.folder / "shown").symlink_to(draft)
    assert _get(site, "shown/vmlinuz").status_code == 404


def test_a_missing_folder_is_no_error(tmp_path):
    """Before the first image is built, and where another server has the images."""
    site = BootSite(tmp_path / "site", images=tmp_path / "none")
    assert _get(site, "x86_64/vmlinuz").status_code == 404
    site.close()


def test_an_address_that_asks_too_often_waits(tmp_path):
    """As for all that the boot API serves."""
    limits = Limits(address_rate=0.01, address_burst=1)
    site = BootSite(tmp_path / "site", limits=limits, images=tmp_path / "none")
    codes = [_get(site, "x").status_code for _ in range(2)]
    assert codes == [404, 429]
    site.close()
