"""Virtual BMCs on real ports, served by a thread of the test process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from racksalt.adapters.bmc_secrets import BmcSecrets
from racksalt.lab.bmc import CommandLog, LabBmc
from racksalt.model.node import Bmc
from tests.support.rmcp_console import FakeMachine

PASSWORD = "correct-horse"


class Rig:
    """The BMCs, their common log and the loop that serves them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.loop = loop
        self.log = CommandLog()
        self.bmcs: list[LabBmc] = []
        self.secrets_file = folder / "bmc-secrets.yaml"
        self.secrets_file.write_text(f"right: {PASSWORD}\nwrong: battery-staple\n")
        self.secrets_file.chmod(0o600)
        self.secrets = BmcSecrets(self.secrets_file)

    def add(self, count: int = 1, kind: type[LabBmc] = LabBmc, **named) -> list[LabBmc]:
        """Start ``count`` more BMCs."""
        new = [
            kind(
                f"n{len(self.bmcs) + i}",
                FakeMachine(),
                "admin",
                PASSWORD,
                command_log=self.log,
                **named,
            )
            for i in range(count)
        ]
        self.bmcs += new

        async def start() -> None:
            for bmc in new:
                await bmc.start()

        asyncio.run_coroutine_threadsafe(start(), self.loop).result(30)
        return new

    def close(self) -> None:
        """Unbind all ports."""

        async def stop() -> None:
            for bmc in self.bmcs:
                bmc.close()

        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(30)


def record(bmc: LabBmc, secret: str = "file:right", username: str = "admin") -> Bmc:
    """Return how the conductor knows a BMC."""
    return Bmc(
        node=bmc.name,
        protocol="ipmi",
        address=bmc.host,
        port=bmc.port,
        username=username,
        secret=secret,
    )


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Serve BMCs for as long as the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bmc-rig")
    thread.start()
    made = Rig(loop, folder)
    try:
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
