"""Redfish behind the ports: rules in `bmc_power`, processes in `ipmi_pool`, the client in `redfish_client`.

Only HTTPS is spoken. The certificate must be exactly the one of the secret's ``certificate_sha256``, or signed by the
authority in its ``ca_file``, or by one that the system trusts (``SSL_CERT_FILE`` names another bundle).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from racksalt.adapters.bmc_power import BmcPower
from racksalt.adapters.firmware_images import check_image
from racksalt.conductor.ports import (
    BiosSettings,
    BmcTask,
    Firmware,
    FirmwareImage,
    Reading,
    Setting,
)
from racksalt.model.node import Bmc


class RedfishPower(BmcPower):
    """The ports Power, Management and Logins over Redfish. See `BmcPower`."""

    protocol = "redfish"
    budget_s = 30.0

    def bios(self, bmc: Bmc) -> BiosSettings:
        """Return the BIOS attributes in force and those that wait for a restart."""
        return BiosSettings(**self._run(bmc, "bios"))

    def set_bios(self, bmc: Bmc, wanted: Mapping[str, Setting]) -> BiosSettings:
        """Let ``wanted`` take force at the next start; return what was read back."""
        return BiosSettings(**self._run(bmc, "set_bios", wanted=dict(wanted)))

    def firmware(self, bmc: Bmc) -> list[Firmware]:
        """Return the versions of all firmware that the BMC knows of."""
        return [Firmware(**one) for one in self._run(bmc, "firmware")]

    def update_firmware(
        self, bmc: Bmc, image: FirmwareImage, ready: Callable[[], None] | None = None
    ) -> str:
        """Check what is behind the URL against its checksum, call ``ready``, ask once for the update; return the task.

        Raises:
            InvalidInputError: no checksum, another checksum, or nothing to fetch; the BMC was not asked.
        """
        check_image(image)
        if ready is not None:
            ready()
        return str(self._run(bmc, "update", url=image.url, targets=list(image.targets)))

    def task(self, bmc: Bmc, name: str) -> BmcTask:
        """Return how far a task is; a BMC that named none has taken the image and says no more."""
        if not name:
            return BmcTask(state="succeeded", message="the BMC names no task: read the version")
        return BmcTask(**self._run(bmc, "task", name=name))

    def sensors(self, bmc: Bmc) -> list[Reading]:
        """Return temperatures, fans and power."""
        return [Reading(**one) for one in self._run(bmc, "sensors")]
