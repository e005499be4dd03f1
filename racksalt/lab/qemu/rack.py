"""A rack of QEMU machines with all that a master's side needs: Salt master with the conductor, APIs, boot services.

Everything runs in the network namespace of the process that makes it (`network.enter_namespace`).
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from racksalt.adapters.settings_file import write_settings
from racksalt.lab.installation import START_S, Installation
from racksalt.lab.processes import Child, LabError, free_ports
from racksalt.lab.qemu.network import Switch
from racksalt.lab.qemu.site import KERNEL_ARGUMENTS, MASTER_V4, MASTER_V6
from racksalt.lab.qemu.spec import Spec
from racksalt.lab.rack import Rack
from racksalt.settings import Dhcp, ImageSettings

PACE = {
    "agent_poll_s": 10.0,
    "keys_sweep_s": 2.0,
    "jobs_sweep_s": 2.0,
    "job_lost_s": 90.0,
    "power_sweep_s": 10.0,
    "start_grace_s": 30.0,
}
"""The conductor's settings for machines that boot in minutes and may die at any time."""


class QemuRack(Rack):
    """Everything below ``root``, which must be a short path. Nothing runs before `start`.

    ``addresses`` are the master's on the provisioning network; the first one is what nodes are told.
    """

    def __init__(
        self,
        root: Path,
        *,
        images: Path,
        addresses: Sequence[str] = (f"{MASTER_V4}/24", f"{MASTER_V6}/64"),
        conductor: Mapping[str, Any] | None = None,
    ) -> None:
        self.addresses = tuple(addresses)
        self.host = self.addresses[0].split("/")[0]
        six = ":" in self.host
        interface = {"interface": "::", "ipv6": True} if six else {"interface": "0.0.0.0"}  # noqa: S104 - nobody else is in the namespace
        super().__init__(root, conductor={**PACE, **(conductor or {})}, master_overrides=interface)
        self.switch = Switch()
        self.boot_services: Child | None = None
        self._adopt(images)

    def _adopt(self, images: Path) -> None:
        """Move the boot API from loopback to the provisioning network, and give it what it serves there."""
        settings = self.installation.settings
        name = f"[{self.host}]" if ":" in self.host else self.host
        api = settings.boot_api
        url = f"http://{name}:{api.port}"
        boot_api = msgspec.structs.replace(
            api,
            host=self.host,
            url=url,
            images=f"{url}/images",
            master=f"{name}:{self.master.ret_port}",
        )
        dhcp = Dhcp(
            folder=str(self.root / "dhcp"),
            interfaces=(self.switch.name,),
            user=getpass.getuser(),
        )
        kernel_args = f"{settings.images.kernel_args} {KERNEL_ARGUMENTS}"
        served = ImageSettings(folder=str(images), kernel_args=kernel_args)
        changed = msgspec.structs.replace(settings, boot_api=boot_api, dhcp=dhcp, images=served)
        write_settings(self.installation.settings_file, changed)
        self.installation = Installation(
            root=self.root, settings=changed, settings_file=self.installation.settings_file
        )

    def use_machines(self, specs: Sequence[Spec], without_bmc: Sequence[Spec] = ()) -> list[Spec]:
        """Write down what the lab is to run and give the first ones a BMC port each; return these with their ports."""
        ports = free_ports(len(specs), socket.SOCK_DGRAM)
        told = [
            msgspec.structs.replace(spec, bmc_port=port)
            for spec, port in zip(specs, ports, strict=True)
        ]
        self.machines_file.write_bytes(msgspec.json.encode([*told, *without_bmc]))
        return told

    @property
    def machines_file(self) -> Path:
        """The list of machines that the lab runs."""
        return self.root / "machines.json"

    def start(self, *machines: str) -> None:
        """Start switch, machines, master, APIs and boot services; return when all answer."""
        self.switch.start(self.addresses)
        super().start(*machines)
        self.boot_services = self._start_boot_services()

    def start_machines(self, *options: str) -> Child:
        """Start the machines, switched off, and their BMCs; return when they are there."""
        installation = self.installation
        program = [
            *(sys.executable, "-m", "racksalt.lab.qemu", "--machines", str(self.machines_file)),
            *("--secrets", str(installation.bmc_secrets), "--folder", str(installation.lab)),
            *options,
        ]
        child = Child("QEMU lab", program, installation.logs / "lab.log", input_pipe=True)
        try:
            child.hear(START_S)
        except BaseException:
            child.stop()
            raise
        return child

    def stop(self) -> None:
        """Stop everything, whatever state it is in; no harm when nothing runs."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.switch.stop)
            stack.callback(super().stop)
            if self.boot_services is not None:
                stack.callback(self.boot_services.stop)

    def power(self) -> dict[str, dict[str, Any]]:
        """Return power, QEMU's process id and number of starts of each machine."""
        assert self.lab is not None
        return self.lab.say("status")

    def check(self) -> None:
        """Raise LabError when a part of the lab died; nothing restarts it."""
        for child in (self.lab, self.server, self.boot_services):
            if child is not None and not child.alive():
                raise LabError(f"{child.name} died: {child.last_words()} (see {child.log})")
        if self.master.pid is None:
            raise LabError("the Salt master is not running")

    def _start_boot_services(self) -> Child:
        """Start DHCP, TFTP and DNS."""
        program = [sys.executable, "-m", "racksalt", "serve-dhcp"]
        installation = self.installation
        log = installation.logs / "dhcp.log"
        return Child("serve-dhcp", program, log, environment=installation.environment())
