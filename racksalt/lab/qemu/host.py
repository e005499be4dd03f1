"""All QEMU machines of a lab with their BMCs and their switch ports, in one process inside the lab's namespace.

``python -m racksalt.lab.qemu --machines machines.json --secrets bmc.yaml --folder /tmp/lab`` runs until its standard
input ends. Each line of that is a wish (``on ID``, ``off ID``, ``reset ID``, ``status``), answered by one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.lab.bmc import CommandLog, LabBmc
from racksalt.lab.installation import BMC_SECRET, BMC_USER
from racksalt.lab.processes import LabError
from racksalt.lab.qemu.machine import QemuMachine
from racksalt.lab.qemu.network import Switch
from racksalt.lab.qemu.spec import Spec, tap_name
from racksalt.model.errors import RacksaltError

WISHES = {
    "on": QemuMachine.power_on,
    "off": QemuMachine.power_off,
    "reset": QemuMachine.reset,
}


class QemuHost:
    """Machines and BMCs by id. The switch is there already; only its ports are made here."""

    def __init__(self, specs: Sequence[Spec], folder: Path, password: str, accel: str) -> None:
        self._switch = Switch()
        self._password = password
        self._log = CommandLog(folder / "bmc.log")
        self.machines: dict[str, QemuMachine] = {}
        self.bmcs: dict[str, LabBmc] = {}
        for index, spec in enumerate(specs):
            taps = [tap_name(index, number) for number in range(len(spec.macs))]
            self.machines[spec.id] = QemuMachine(spec, folder / spec.id, taps, accel=accel)

    async def start(self) -> None:
        """Put all machines up, switched off, and bind their BMCs."""
        for name, machine in self.machines.items():
            machine.prepare()
            for tap in machine.taps:
                self._switch.plug(tap)
            if machine.spec.bmc_port:
                bmc = LabBmc(name, machine, BMC_USER, self._password, command_log=self._log)
                await bmc.start(port=machine.spec.bmc_port)
                self.bmcs[name] = bmc

    def close(self) -> None:
        """Cut all power; return when no QEMU runs any more."""
        for bmc in self.bmcs.values():
            bmc.close()
        for machine in self.machines.values():
            machine.power_off()
            for tap in machine.taps:
                self._switch.unplug(tap)
        self._log.close()

    def status(self) -> dict[str, dict[str, Any]]:
        """Return power, process and number of starts of each machine."""
        return {
            name: {"power": one.power_state(), "pid": one.pid, "starts": one.starts}
            for name, one in self.machines.items()
        }

    def obey(self, line: str) -> dict[str, Any]:
        """Carry out one wish and return the answer."""
        wish, _, name = line.strip().partition(" ")
        machine = self.machines.get(name)
        if wish == "status":
            return self.status()
        if machine is None or wish not in WISHES:
            return {"error": f"on ID, off ID, reset ID or status, not {line.strip()!r}"}
        WISHES[wish](machine)
        return {name: machine.power_state()}


async def run(host: QemuHost) -> None:
    """Run the machines until the standard input ends, SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    wishes: asyncio.Task[None] | None = None
    try:
        await host.start()
        _tell({"ready": True, "machines": len(host.machines)})
        wishes = loop.create_task(_follow(host, stop))
        await stop.wait()
    finally:
        if wishes is not None:
            wishes.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wishes
        host.close()


async def _follow(host: QemuHost, stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        _tell(host.obey(line.decode()))
    stop.set()


def _tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the machines from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m racksalt.lab.qemu", description=__doc__)
    parser.add_argument("--machines", type=Path, required=True, help="JSON list of machines")
    parser.add_argument("--secrets", type=Path, required=True, help="file with the BMC password")
    parser.add_argument("--folder", type=Path, required=True, help="where disks and logs go")
    parser.add_argument("--accel", default="tcg", help="QEMU's accelerator")
    asked = parser.parse_args(arguments)
    os.umask(0o077)
    try:
        specs = msgspec.json.decode(asked.machines.read_bytes(), type=list[Spec])
        password = BmcSecrets(asked.secrets).resolve(f"file:{BMC_SECRET}").password
        asyncio.run(run(QemuHost(specs, asked.folder.resolve(), password, asked.accel)))
    except (LabError, RacksaltError, OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"racksalt lab qemu: {error}\n")
        return 1
    return 0
