"""OpenIPMI's simulator, a BMC that is not ours: one process on a port of loopback, its machine a shell program."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.lab.processes import free_ports
from racksalt.model.node import Bmc

PASSWORD = "correct-horse"
PROGRAM = """#!/bin/sh
cd {folder} || exit 1
shift
echo "$*" >> calls
verb=$1; shift
if [ "$verb" = get ]; then
  for what in "$@"; do echo "$what:$(cat "$what")"; done
else
  [ "$1" = boot ] || sleep "$(cat slow)"
  while [ $# -ge 2 ]; do echo "$2" > "$1"; shift 2; done
fi
"""
LAN = """name "n1"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{folder}/machine 0x20"
  user 1 true "" "" user 10 none md2 md5 straight
  user 2 true "admin" "{password}" admin 10 none md2 md5 straight
"""
EMULATED = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""


class Simulator:
    """The running simulator and the machine behind it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.host, self.port = folder, "127.0.0.1", port
        secrets = folder / "bmc.yaml"
        secrets.touch(0o600)
        secrets.write_text(f"right: {PASSWORD}\nwrong: battery-staple\n")
        self.secrets = BmcSecrets(secrets)

    def record(self, secret: str = "file:right") -> Bmc:
        """Return how the conductor knows it."""
        return Bmc(
            node="n1",
            protocol="ipmi",
            address=self.host,
            port=self.port,
            username="admin",
            secret=secret,
        )

    def slow_down(self, seconds: float) -> None:
        """Let the machine take so long for each change of its power."""
        (self.folder / "slow").write_text(f"{seconds}")

    def changes(self) -> list[str]:
        """Return what the machine was told to change, in order."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line.removeprefix("set ") for line in lines if line.startswith("set ")]


@contextmanager
def ipmi_sim(folder: Path) -> Iterator[Simulator]:
    """Run the simulator for as long as the context lasts."""
    [port] = free_ports(1, socket.SOCK_DGRAM)
    made = Simulator(folder, port)
    for name, content in {"power": "0", "boot": "none", "slow": "0", "calls": ""}.items():
        (folder / name).write_text(content)
    machine = folder / "machine"
    machine.write_text(PROGRAM.format(folder=folder))
    machine.chmod(0o700)
    (folder / "lan.conf").write_text(LAN.format(port=port, folder=folder, password=PASSWORD))
    (folder / "emu").write_text(EMULATED)
    (folder / "state").mkdir()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            ["ipmi_sim", "-n", "-c", "lan.conf", "-f", "emu", "-s", "state"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield made
            assert process.poll() is None, (folder / "log").read_text()
        finally:
            process.kill()
