"""How QEMU is to run a guest here: by KVM only where a guest has been seen to boot with it, else by translation.

Opening /dev/kvm proves nothing: inside some virtual machines it opens, and a guest hangs at its kernel's first step.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Literal

Accel = Literal["kvm", "tcg"]
PROBE_S = 8.0
"""A kernel that misses its root gets there in two seconds, with translation too."""
_PANIC = b"Kernel panic"


def choose(kernel: Path, device: Path = Path("/dev/kvm"), timeout_s: float = PROBE_S) -> Accel:
    """Return ``kvm`` when ``kernel`` was seen to run with it up to the point where it misses its root, else ``tcg``."""
    if not os.access(device, os.R_OK | os.W_OK) or not kernel.is_file():
        return "tcg"
    return "kvm" if boots(kernel, "kvm", timeout_s) else "tcg"


def boots(kernel: Path, accel: Accel, timeout_s: float = PROBE_S) -> bool:
    """Say whether a guest with this kernel and nothing else gets to its end within the time."""
    bare = ["-nodefaults", "-vga", "none", "-display", "none", "-serial", "stdio", "-no-reboot"]
    # Without a root the kernel panics; told to reboot then, it ends QEMU.
    how = ["-kernel", str(kernel), "-append", "console=ttyS0 panic=-1 quiet"]
    program = ["qemu-system-x86_64", "-machine", "q35", "-accel", accel, "-cpu", "max", "-m", "256"]
    try:
        ran = subprocess.run(
            [*program, *bare, *how],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return _PANIC in ran.stdout
