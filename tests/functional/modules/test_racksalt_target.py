"""The root filesystem: written from an image, read back, grown, mounted, and let go whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from salt.exceptions import CommandExecutionError

from tests.support.boot_stub import boot_api
from tests.support.loop_disks import LoopNode, said
from tests.support.tiny_image import FILE, make_image, publish

SETTINGS = {"source": "os/tiny/1"}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An image, in the folder from which the boot API of these tests serves."""
    folder = tmp_path_factory.mktemp("image")
    return folder, make_image(folder)


@pytest.fixture(scope="module")
def asked():
    """What the boot API was asked for."""
    return []


@pytest.fixture(scope="module")
def machine(devices, image, asked, tmp_path_factory):
    """The machine with two disks, and with a boot API that has the image."""
    disks, small, large = devices
    key = {"images_key": str(image[0] / "images.pub")}
    with boot_api(image[0], asked) as url:
        yield LoopNode(tmp_path_factory.mktemp("node"), disks, [small, large], url=url, **key)


@pytest.fixture
def parted(real, image):
    """The machine with its system disk partitioned, and the image as it was made."""
    folder, manifest = image
    publish(folder, manifest)
    real.modules.racksalt_target.release()
    real.modules.racksalt_disk.carry_out("partition", {})
    return real


def _mounted(folder):
    return [line for line in Path("/proc/mounts").read_text().splitlines() if folder in line]


def test_an_image_is_told_written_grown_and_left_alone(parted, devices):
    """The filesystem fills the partition and is sound; a second run in the same boot writes nothing."""
    told = parted.states.racksalt_disk.imaged(name="i", settings=SETTINGS, test=True)
    assert told.result is None
    assert told.changes["device"] == f"/dev/{devices[1]}p3"
    done = parted.states.racksalt_disk.imaged(name="i", settings=SETTINGS)
    assert done.result is True, done.comment
    device = f"/dev/{devices[1]}p3"
    said("e2fsck", "-f", "-n", device)
    blocks = said("dumpe2fs", "-h", device)
    fields = dict(line.split(":", 1) for line in blocks.splitlines() if ":" in line)
    size = int(fields["Block count"]) * int(fields["Block size"])
    assert size > 150 * 2**20
    assert fields["Filesystem volume name"].strip() == "racksalt-root"
    again = parted.states.racksalt_disk.imaged(name="i", settings=SETTINGS)
    assert (again.result, again.changes) == (True, {})


def test_another_installation_writes_it_anew(parted):
    """What an earlier boot wrote may have been half of it."""
    parted.modules.racksalt_disk.carry_out("image", SETTINGS)
    parted.reboot("d" * 64)
    parted.modules.racksalt_disk.carry_out("partition", {})
    assert parted.modules.racksalt_disk.plan("image", SETTINGS)["done"] is False


def test_current_is_one_version_from_the_beginning_to_the_end(parted, asked):
    """The site may make another one current meanwhile: its file would not be what the manifest says."""
    parted.reboot("c" * 64)
    parted.modules.racksalt_disk.carry_out("partition", {})
    asked.clear()
    done = parted.modules.racksalt_disk.carry_out("image", {"source": "os/tiny/current"})
    assert done["comment"].startswith("os/tiny/1 written to")
    current = [path.rpartition("/")[2] for path in asked if "/current/" in path]
    assert current == ["manifest.json", "manifest.json.sig"]
    assert f"/images/os/tiny/1/{FILE}" in asked


def test_what_is_not_read_back_as_sent_is_no_image(parted, image):
    """A disk that keeps something else fails the stage, and nothing is taken for finished."""
    folder, manifest = image
    wrong = {**manifest["files"][FILE], "unpacked_sha256": "0" * 64}
    publish(folder, {**manifest, "files": {FILE: wrong}})
    with pytest.raises(CommandExecutionError, match="not read back as sent; the disk may be fail"):
        parted.modules.racksalt_disk.carry_out("image", SETTINGS)
    assert parted.modules.racksalt_disk.plan("image", SETTINGS)["done"] is False


def test_an_image_that_does_not_fit_is_refused_before_it_is_written(parted, image):
    """Both sizes are told."""
    folder, manifest = image
    large = {**manifest["files"][FILE], "unpacked_bytes": 10**12}
    publish(folder, {**manifest, "files": {FILE: large}})
    with pytest.raises(CommandExecutionError, match="the image needs 1000000000000: raise root_gb"):
        parted.modules.racksalt_disk.carry_out("image", SETTINGS)


def test_an_image_must_be_chosen(parted):
    """The message names the key."""
    with pytest.raises(CommandExecutionError, match="set racksalt:stages:image:source"):
        parted.modules.racksalt_disk.plan("image", {})


def test_a_system_is_mounted_with_the_kernels_folders_and_let_go(parted):
    """Also what a killed try left mounted; looking at a system replays no journal."""
    parted.modules.racksalt_disk.carry_out("image", SETTINGS)
    root = parted.modules.racksalt_target.mount()
    assert Path(root, "proc/self").exists()
    assert Path(root, "dev/null").exists()
    assert len(_mounted(root)) == 5
    assert parted.modules.racksalt_target.mount(read_only=True) == root
    assert len(_mounted(root)) == 1
    parted.modules.racksalt_target.release()
    assert _mounted(root) == []


def test_partitioning_anew_lets_go_of_what_was_mounted(parted):
    """A killed try's mount is in nobody's use; the disk is still the node's own."""
    parted.modules.racksalt_disk.carry_out("image", SETTINGS)
    root = parted.modules.racksalt_target.mount()
    parted.reboot("e" * 64)
    assert parted.modules.racksalt_disk.carry_out("partition", {})["changes"]
    assert _mounted(root) == []
