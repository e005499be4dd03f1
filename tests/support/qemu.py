"""What tests need before they can start QEMU or make a network: the programs, and root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")


def require(*programs: str, root: bool = False) -> None:
    """Skip the test for what is missing here; on a machine that promises all of it (CI=true) fail instead."""
    missing = [name for name in programs if shutil.which(name) is None]
    if "qemu-system-x86_64" in programs and not FIRMWARE.exists():
        missing.append("ovmf")
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        told = f"needs {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)


def in_own_process(program: str, *arguments: str, timeout_s: float = 60) -> str:
    """Run Python code in a process of its own, which may change its network, and return what it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
