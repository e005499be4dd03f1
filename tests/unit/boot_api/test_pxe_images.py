"""Which image a machine is told to boot."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.boot_site import BASE, BootSite, kernel_values
from tests.support.images import Shelf

MAC, UUID, SERIAL = "52:54:00:00:00:01", "4c4c4544-0051-3010-8057-b7c04f4d3533", "SN1"
WHO = {"mac": MAC, "uuid": UUID, "serial": SERIAL, "arch": "x86_64"}


@pytest.fixture
def site(tmp_path):
    """A site that declares n1 and has an empty catalogue."""
    made = BootSite(tmp_path / "site", images=tmp_path / "images")
    made.shelf = Shelf(tmp_path)
    made.declare("n1", MAC, UUID, SERIAL, approved=True)
    yield made
    made.close()


def _ask(site):
    return site.client().get("/v1/boot/script", params=WHO).text


def test_a_machine_is_told_version_and_checksum_of_the_image_in_use(site):
    """Kernel, RAM disk and system are of one version, by its name: a new build changes none of them under way."""
    site.shelf.live("20260101-aa", b"system")
    script = _ask(site)
    place = f"{BASE}/i/live/x86_64/20260101-aa"
    assert f"kernel {place}/vmlinuz " in script
    assert f"initrd --name racksalt.img {place}/live.img " in script
    values = kernel_values(script)
    assert values["racksalt.image"] == f"{place}/live.squashfs"
    assert values["racksalt.image_sha256"] == hashlib.sha256(b"system").hexdigest()
    assert values["racksalt.mac"] == MAC.replace(":", "-")
    assert values["panic"] == "60"
    assert "console=ttyS0,115200" in script


def test_a_new_image_is_told_to_the_next_machine_without_a_restart(site):
    """The catalogue is looked at for each script."""
    site.shelf.live("1")
    assert "/live/x86_64/1/vmlinuz" in _ask(site)
    site.shelf.live("2")
    assert "/live/x86_64/2/vmlinuz" in _ask(site)


def test_without_a_built_image_the_site_s_own_files_are_named(site):
    """Where another server has the images, or before the first build; nothing is promised of them."""
    script = _ask(site)
    assert f"kernel {BASE}/i/x86_64/vmlinuz " in script
    assert "racksalt.image" not in script


def test_a_damaged_catalogue_holds_machines_instead_of_stopping_them(site):
    """The reason is on their consoles; they ask again."""
    folder = site.shelf.live("1")
    (folder / "manifest.json").write_bytes(b"{")
    script = _ask(site)
    assert "is no manifest" in script
    assert "\nsleep 15\n" in script
