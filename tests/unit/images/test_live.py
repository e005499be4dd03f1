"""What of a kernel and of a program goes into the initial RAM disk; the whole of it is built by `make e2e`."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from racksalt.images import live, modules, tools
from racksalt.images.archive import Archive
from racksalt.images.recipe import folder
from tests.support.needs import need
from tests.support.switch_guest import unpacked

SCRIPTS = sorted(
    path
    for top in ("live/initramfs", "live/root/usr/lib/racksalt", "live/root/sbin")
    for path in (folder() / top).rglob("*")
    if path.is_file()
)


def test_only_the_aliases_of_chosen_modules_are_kept(tmp_path):
    """The whole file is read at each call of busybox."""
    index = tmp_path / "modules.alias"
    index.write_text("alias pci:v1 e1000e\nalias pci:v2 other\nalias x virtio-net\n")
    chosen = ["kernel/a/e1000e.ko.xz", "kernel/a/virtio_net.ko"]
    assert live._aliases(index, chosen) == b"alias pci:v1 e1000e\nalias x virtio-net\n"


def test_a_program_comes_with_its_libraries(tmp_path):
    """As the system's own loader finds them."""
    need(root=True)
    found = live._program(Path("/"), "bin/true", tmp_path / "libraries")
    assert found[0] == "bin/true"
    assert any(name.endswith("libc.so.6") for name in found)
    assert any("ld-linux" in name for name in found)


def test_firmware_goes_with_the_driver_that_asks_for_it(tmp_path):
    """A card that cannot start without cannot fetch it; the build's log names what no package has."""
    need("depmod")
    kernel, packages = tmp_path / "kernel", tmp_path / "packages"
    kernel.mkdir()
    (kernel / "root").symlink_to(unpacked())
    (packages / "root/usr/lib/firmware").mkdir(parents=True)
    module = next((kernel / "root/lib/modules").rglob("ni_pcidio.ko"))
    first, *others = told = sorted(modules.firmware_names(module.read_bytes()))
    listed = subprocess.run(
        [tools.find("modinfo"), "-F", "firmware", module],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told == sorted(listed.stdout.split())
    (packages / "root/usr/lib/firmware" / first).write_bytes(b"for the card")
    parts = live.Parts(packages=packages, kernel=kernel, salt=tmp_path, loaders=tmp_path)
    archive, log = Archive(0), tmp_path / "log"
    live._drivers(archive, tmp_path / "index", parts, ["ni_pcidio"], log)
    packed = archive.pack()
    assert f"lib/firmware/{first}\0".encode() in packed
    assert b"for the card" in packed
    assert b"ni_pcidio.ko\0" in packed
    assert f"firmware of ni_pcidio that no package has: {' '.join(others)}\n" in log.read_text()
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_one(path):
    """A shell, or Python, reads it without complaint; an error here would be found by a machine that does not boot."""
    if path.suffix == ".py":
        compile(path.read_text(), path, "exec")
        return
    shell = shutil.which("dash") or shutil.which("sh")
    subprocess.run([shell, "-n", str(path)], check=True)


def test_the_first_program_never_ends_at_a_dead_prompt():
    """Each `fail` leads to a restart, nothing unchecked is started, and no shell is offered."""
    init = (folder() / "live/initramfs/init").read_text()
    told = re.search(r"^fail\(\) \{\n(.*?)^\}", init, re.MULTILINE | re.DOTALL)
    assert "sleep 60" in told[1]
    assert "reboot -f" in told[1]
    checked = re.search(r'/fetch "\$image" "\$sha256" /image/live.squashfs\) \|\| fail', init)
    assert checked.start() < init.index("mount -t squashfs")
    assert not re.search(r"exec (/bin/)?(ba|a|da)?sh\b", init)


def test_no_program_of_the_live_system_listens():
    """There is no sshd and no shell on a console: what is asked of it comes by Salt."""
    inittab = (folder() / "live/root/etc/inittab").read_text()
    assert not re.search(r"getty|login|askfirst|/bin/sh", inittab)
    recipe = (folder() / "live.yaml").read_text()
    assert "openssh" not in recipe


def test_a_boot_loader_tells_no_time_of_its_build():
    """Two that differ in their archive's times alone become the same, and the archive stays readable."""
    made = []
    for at in (1_700_000_000, 1_800_000_000):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            member = tarfile.TarInfo("boot/grub/grub.cfg")
            member.size, member.mtime = 5, at
            archive.addfile(member, io.BytesIO(b"ustar"))
        made.append(live.without_times(b"MZ, which says ustar too" + packed.getvalue()))
    assert made[0] == made[1]
    with tarfile.open(fileobj=io.BytesIO(made[0][24:])) as archive:
        assert archive.extractfile("boot/grub/grub.cfg").read() == b"ustar"
