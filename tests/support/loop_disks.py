"""Loop devices as disks, made by the test that uses them, and a minion that may touch no other device."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.support.needs import lacking, need
from tests.support.salt_node import SaltNode

MIB = 2**20
NOWHERE = "http://127.0.0.1:9"
TOOLS = (
    "losetup",
    "sfdisk",
    "partx",
    "wipefs",
    "blkid",
    "mkfs.vfat",
    "mke2fs",
    "e2fsck",
    "zstd",
    "busybox",
)


def skip_unless_loops() -> None:
    """Skip where loop devices cannot be made; fail in CI, where they must be."""
    need(*TOOLS, root=True)
    if not Path("/dev/loop-control").exists():
        lacking("needs loop devices")


class LoopDisks:
    """Sparse files as disks. Only those made here are known to it, and only those are let go."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, mib: int) -> str:
        """Make a disk and return its kernel name, such as ``loop3``."""
        file = self.folder / f"{name}.img"
        with file.open("wb") as image:
            image.truncate(mib * MIB)
        device = said("losetup", "--find", "--show", "--partscan", str(file))
        self.made[device] = file
        return device.removeprefix("/dev/")

    def close(self) -> None:
        """Let go of the devices that were made here, if they still are ours."""
        for device, file in self.made.items():
            if said("losetup", "--noheadings", "--output", "BACK-FILE", device) == str(file):
                subprocess.run(["partx", "--delete", device], check=False, capture_output=True)
                subprocess.run(["losetup", "--detach", device], check=True)
            file.unlink()


def said(*argv: str) -> str:
    """Run a program that must succeed, and return what it printed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


class LoopNode(SaltNode):
    """A real machine's loaders, narrowed to loop devices."""

    def __init__(
        self, folder: Path, disks: LoopDisks, names: list[str], *, url: str = NOWHERE, **more: Any
    ) -> None:
        ours = {device.removeprefix("/dev/") for device in disks.made}
        assert names, "a machine without devices of its own would see those of this computer"
        assert set(names) <= ours, "only loop devices of this test"
        more = {"only_devices": names, "target": str(folder / "target"), **more}
        super().__init__(folder, url=url, virtual=False, more=more)

    def pillar(self, **values: Any) -> None:
        """Let the machine's pillar have these values below ``racksalt``."""
        self.loaders._original_opts["pillar"] = {"racksalt": values}
        self.loaders.reload_all()
