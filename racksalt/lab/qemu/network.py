"""A network of its own for a lab: a namespace without a name, in it a bridge as the switch and a tap for each card.

The namespace belongs to the processes in it and goes with the last of them, and with it the bridge and all taps. So a
lab that is killed leaves no network behind, and the host's own network is never touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from racksalt.lab.processes import LabError

_CLONE_NEWNET = 0x40000000
BRIDGE = "racksalt0"


def enter_namespace() -> None:
    """Move this process into a new network namespace with nothing but loopback.

    Call it before any thread is started: threads that run already stay where they are. Raises LabError without the
    right to do so (CAP_SYS_ADMIN).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        why = os.strerror(ctypes.get_errno())
        raise LabError(f"no network namespace for the lab: {why}; the QEMU lab needs root")
    run("ip", "link", "set", "lo", "up")


class Switch:
    """The bridge that all machines and the master's side of the provisioning network are on."""

    def __init__(self, name: str = BRIDGE) -> None:
        self.name = name

    def start(self, addresses: Sequence[str]) -> None:
        """Make the bridge and give it ``addresses`` (with their prefix lengths)."""
        # A port forwards at once, and nobody needs to ask for multicast to get neighbour discovery.
        how = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        run("ip", "link", "add", self.name, *how)
        self._set("accept_dad", "0")
        self._set("accept_ra", "0")
        run("ip", "link", "set", self.name, "up")
        for address in addresses:
            run("ip", "address", "add", address, "dev", self.name)

    def plug(self, tap: str) -> None:
        """Make a port for a network card."""
        run("ip", "tuntap", "add", "dev", tap, "mode", "tap")
        Path(f"/proc/sys/net/ipv6/conf/{tap}/disable_ipv6").write_text("1", encoding="ascii")
        run("ip", "link", "set", tap, "master", self.name, "up")

    def unplug(self, tap: str) -> None:
        """Remove a port; no harm when it is not there."""
        with contextlib.suppress(LabError):
            run("ip", "link", "delete", tap)

    def stop(self) -> None:
        """Remove the bridge; no harm when it is not there."""
        with contextlib.suppress(LabError):
            run("ip", "link", "delete", self.name)

    def _set(self, key: str, value: str) -> None:
        Path(f"/proc/sys/net/ipv6/conf/{self.name}/{key}").write_text(value, encoding="ascii")


def run(*words: str) -> str:
    """Run a network command and return what it prints. Raises LabError with what it complained of."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LabError(f"{words[0]} does not start: {error.strerror}") from error
    if done.returncode:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
