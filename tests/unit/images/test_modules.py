"""Kernel modules: all that one needs, and nothing else."""

from __future__ import annotations

import lzma

import pytest

from racksalt.images import modules
from racksalt.model.errors import ImageError

DEP = """kernel/net/a.ko: kernel/lib/b.ko kernel/lib/c-d.ko.xz
kernel/lib/b.ko:
kernel/lib/c-d.ko.xz: kernel/lib/b.ko
kernel/fs/e.ko:
"""


def test_a_module_comes_with_all_it_needs():
    """Hyphens and underscores are the same letter, as for the kernel; built-in ones are no files."""
    needs = modules.dependencies(DEP)
    found = modules.closure(["a", "ipv6"], needs, ["kernel/net/ipv6/ipv6.ko"])
    assert found == ["kernel/lib/b.ko", "kernel/lib/c-d.ko.xz", "kernel/net/a.ko"]
    assert modules.closure(["c_d"], needs, []) == ["kernel/lib/b.ko", "kernel/lib/c-d.ko.xz"]


def test_modules_that_the_kernel_lacks_are_all_told():
    """An initial RAM disk without its network driver would be found out by a dead machine."""
    with pytest.raises(ImageError, match="no module x, y_z"):
        modules.closure(["a", "x", "y-z"], modules.dependencies(DEP), [])


def test_a_compressed_module_is_unpacked(tmp_path):
    """Plain ones are all that busybox loads."""
    path = tmp_path / "m.ko.xz"
    path.write_bytes(lzma.compress(b"module"))
    assert modules.content(path) == b"module"


def test_only_the_named_folders_are_copied(tmp_path):
    """Globs name folders or files; everything else of a kernel stays behind."""
    kernel = tmp_path / "kernel"
    for name in ("drivers/net/virtio_net.ko", "drivers/net/wireless/w.ko", "fs/ext4/ext4.ko"):
        path = kernel / "lib/modules/6.1/kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (kernel / "lib/modules/6.1/modules.order").write_text("x")
    modules.copy(kernel, tmp_path / "root", ["drivers/net/*.ko", "fs/ext4"])
    top = tmp_path / "root/usr/lib/modules/6.1"
    found = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
    assert found == [
        "kernel/drivers/net/virtio_net.ko",
        "kernel/fs/ext4/ext4.ko",
        "modules.order",
    ]


def test_two_kernels_are_one_too_many(tmp_path):
    """Which of them would be booted is not left to chance."""
    for name in ("6.1", "6.2"):
        (tmp_path / "lib/modules" / name).mkdir(parents=True)
    with pytest.raises(ImageError, match="has 2 kernels"):
        modules.version(tmp_path)


def test_firmware_is_found_wherever_a_root_has_it(tmp_path):
    """Links and packed files too, at the path where the kernel looks; what is not there is told by name."""
    folder = tmp_path / "usr/lib/firmware"
    (folder / "bnx2x").mkdir(parents=True)
    (folder / "bnx2x/e1.fw").write_text("e1")
    (folder / "ice.pkg").symlink_to("/lib/firmware/ice-1.3.pkg")
    (tmp_path / "lib/firmware").mkdir(parents=True)
    (tmp_path / "lib/firmware/ice-1.3.pkg").write_text("ice")
    (folder / "t4.bin.xz").write_text("packed")
    module = b"\x7fELF..firmware=ice.pkg\0firmware=bnx2x/e1.fw\0firmware=t4.bin\0firmware=no.bin\0license=GPL\0"
    found, missing = modules.firmware(tmp_path, modules.firmware_names(module))
    assert {path: file.read_text() for path, file in found.items()} == {
        "lib/firmware/bnx2x/e1.fw": "e1",
        "lib/firmware/ice.pkg": "ice",
        "lib/firmware/t4.bin.xz": "packed",
    }
    assert missing == ["no.bin"]
