"""The lists of an inventory, the place that a switch port proposes, and burn-in compared."""

from __future__ import annotations

from typing import Any

import strawberry
from strawberry.types import Info

from graphql_api.context import Context
from graphql_api.facts import burn_in
from graphql_api.snapshot.objects import timestamp
from graphql_api.types.scalars import BigInt, DateTime


@strawberry.type(description="One memory module (SMBIOS type 17).")
class MemoryModule:
    """A slot with a module in it."""

    slot: str | None
    size_mib: BigInt | None = strawberry.field(description="In 2^20 bytes.")
    speed_mts: int | None = strawberry.field(description="10^6 transfers a second, as configured.")
    manufacturer: str | None
    part: str | None
    serial: str | None


@strawberry.type(description="The version of one component.")
class FirmwareVersion:
    """bios, bmc, nic:<name> or disk:<name>."""

    component: str
    version: str


@strawberry.type(description="One PCI device, in names or in the numbers of the PCI ID registry.")
class PciDevice:
    """As lspci has it."""

    address: str | None
    class_: str | None = strawberry.field(name="class")
    vendor: str | None
    device: str | None


@strawberry.type(description="Where a node seems to stand, by the switch port it is plugged into.")
class PlaceProposal:
    """Applied only to nodes that somebody let in and nobody placed."""

    at: DateTime
    switch: str
    port: str
    nic: str
    rack: str
    position_u: int | None
    obstacle: str | None = strawberry.field(description="Why it cannot be so.")


@strawberry.type(description="The lists of a node's inventory.")
class HardwareFacts:
    """As the node last reported them."""

    at: DateTime
    memory_modules: list[MemoryModule]
    firmware: list[FirmwareVersion]
    pci_devices: list[PciDevice]
    bmc_firmware: str | None
    chassis_serial: str | None
    unknown: list[str] = strawberry.field(description="What could not be read.")


@strawberry.type(description="One burn-in figure beside those of the same parts of other nodes.")
class BurnResult:
    """Peers have the same model, kind of part and measure."""

    node: strawberry.ID
    at: DateTime
    part: str
    measure: str | None = strawberry.field(description="The name of the figure, with its unit.")
    value: float | None
    model: str | None
    ok: bool
    message: str
    peers: int
    median: float | None
    deviation: float | None = strawberry.field(description="(value - median) / median")
    score: float | None = strawberry.field(description="Robust standard deviations off the median.")
    stands_out: bool = strawberry.field(description="Worse than its peers.")


def facts_from(found: Any) -> HardwareFacts | None:
    """Return one node's facts as they are shown."""
    if found is None:
        return None
    modules = ("slot", "size_mib", "speed_mts", "manufacturer", "part", "serial")
    return HardwareFacts(
        at=_at(found.at),
        memory_modules=[MemoryModule(**{k: it.get(k) for k in modules}) for it in found.memory],
        firmware=[
            FirmwareVersion(component=name, version=version)
            for name, version in sorted(found.firmware.items())
        ],
        pci_devices=[
            PciDevice(
                address=it.get("address"),
                class_=it.get("class"),
                vendor=it.get("vendor"),
                device=it.get("device"),
            )
            for it in found.pci
        ],
        bmc_firmware=found.bmc.get("firmware"),
        chassis_serial=found.chassis.get("serial"),
        unknown=found.unknown,
    )


def proposal_from(found: Any) -> PlaceProposal | None:
    """Return a proposed place as it is shown."""
    if found is None:
        return None
    names = ("switch", "port", "nic", "rack", "position_u")
    return PlaceProposal(
        at=_at(found.at),
        obstacle=found.obstacle or None,
        **{name: getattr(found, name) for name in names},
    )


async def burn_results(
    info: Info[Context, None],
    node: strawberry.ID | None = None,
    worse: bool = False,
    first: int = 100,
) -> list[BurnResult]:
    """Ask the operations."""
    found = await burn_in(info.context, node, first, worse=worse)
    return [BurnResult(**{**row, "at": _at(row["at"])}) for row in found]


def _at(at: float) -> Any:
    return timestamp(at)
