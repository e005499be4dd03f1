"""The lab's Redfish BMCs on real ports, served by a thread of the test process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.lab.bmc import CommandLog
from racksalt.lab.redfish import RedfishFront
from racksalt.lab.redfish_bmc import RedfishBmc
from racksalt.lab.redfish_tls import lab_certificate
from racksalt.model.node import Bmc
from tests.support.rmcp_console import FakeMachine

PASSWORD = "correct-horse"
HARDWARE = {
    "serial": "RF1",
    "system_uuid": "3b0b2f6c-33d1-4a0f-9d3a-111111111111",
    "vendor": "Virtual",
    "product": "VM-1U",
    "bios_version": "2.0",
}


class Startable(FakeMachine):
    """A machine that counts its starts."""

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0

    def power_on(self) -> None:
        """Switch on."""
        self.starts += self.power == "off"
        super().power_on()

    def power_cycle(self) -> None:
        """Off and on again."""
        self.starts += 1
        super().power_cycle()


class RedfishRig:
    """The BMCs, their common log, and how the conductor knows them."""

    def __init__(self, folder: Path) -> None:
        self.log = CommandLog()
        self.front = RedfishFront(lab_certificate(folder))
        self.bmcs: list[RedfishBmc] = []
        self.ports: list[int] = []
        pin = self.front.certificate.sha256
        self.secrets_file = folder / "bmc-secrets.yaml"
        self.secrets_file.write_text(
            f"right: {{password: {PASSWORD}, certificate_sha256: {pin}}}\n"
            f"wrong: {{password: battery-staple, certificate_sha256: {pin}}}\n"
            f"authority: {{password: {PASSWORD}, ca_file: {self.front.certificate.file}}}\n"
            f"no-authority: {{password: {PASSWORD}, ca_file: {self.secrets_file}}}\n"
        )
        self.secrets_file.chmod(0o600)
        self.secrets = BmcSecrets(self.secrets_file)

    def add(self) -> RedfishBmc:
        """Bind one more BMC."""
        name = f"n{len(self.bmcs)}"
        made = RedfishBmc(name, Startable(), "admin", PASSWORD, dict(HARDWARE), log=self.log)
        self.bmcs.append(made)
        self.ports.append(self.front.add(made))
        return made

    def record(self, number: int = 0, secret: str = "file:right") -> Bmc:
        """Return how the conductor knows a BMC."""
        return Bmc(
            node=f"n{number}",
            protocol="redfish",
            address="127.0.0.1",
            port=self.ports[number],
            username="admin",
            secret=secret,
        )


@contextmanager
def redfish_rig(folder: Path, count: int = 1) -> Iterator[RedfishRig]:
    """Serve ``count`` BMCs for as long as the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="redfish-rig")
    thread.start()
    made = RedfishRig(folder)
    try:
        for _ in range(count):
            made.add()
        asyncio.run_coroutine_threadsafe(made.front.start(), loop).result(30)
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.front.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
