"""What tests need before they can start QEMU or make a network: the programs, and root."""

from __future__ import annotations

import subprocess
import sys


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
