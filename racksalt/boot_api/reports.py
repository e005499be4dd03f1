"""What a node may report, and how each report must look.

Lengths and counts are bounded, so that a broken or hostile node cannot fill the database; unknown
fields are refused, so that a misspelt one is noticed at once instead of being lost.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from racksalt.boot.identity import normalise_mac
from racksalt.model.errors import InvalidInputError

if TYPE_CHECKING:
    from racksalt.model.node import Agent

MAX_BODY_BYTES = 256 * 1024
MAX_EVENT_ID = 200

ReportId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:\-]{1,100}$")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/@\-]{1,64}$")]
Text = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
Message = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Jid = Annotated[str, Meta(pattern=r"^[0-9]{20}$")]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Size = Annotated[int, Meta(ge=0, le=2**40)]
Percent = Annotated[int, Meta(ge=0, le=100)]


class NeighbourReport(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the switch at the other end says by LLDP; ``vlan`` is its untagged one."""

    chassis: Text | None = None
    port: Text | None = None
    system: Text | None = None
    vlan: Annotated[int, Meta(ge=0, le=4095)] | None = None


class NicReport(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One network interface; ``pxe`` marks the one that the machine booted from. Speed in Mbit/s."""

    name: Name
    mac: Name
    speed_mbps: Size | None = None
    carrier: bool | None = None
    pxe: bool = False
    driver: Text | None = None
    firmware: Text | None = None
    pci: Text | None = None
    lldp: NeighbourReport | None = None


class DiskReport(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One disk; size in GB of 10^9 bytes."""

    name: Name
    serial: Text | None = None
    wwn: Text | None = None
    model: Text | None = None
    size_gb: Size | None = None
    media: Literal["ssd", "hdd", "nvme", "unknown"] = "unknown"
    rotational: bool | None = None
    health: Literal["ok", "failing", "unknown"] = "unknown"
    firmware: Text | None = None


class MemoryReport(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One memory module (SMBIOS type 17): size in MiB, configured speed in 10^6 transfers a second."""

    slot: Text | None = None
    size_mib: Size
    speed_mts: Size | None = None
    manufacturer: Text | None = None
    part: Text | None = None
    serial: Text | None = None


class PciReport(Struct, kw_only=True, forbid_unknown_fields=True, rename={"kind": "class"}):
    """One PCI device, in names or in the numbers of the PCI ID registry."""

    address: Text
    kind: Text = ""
    vendor: Text = ""
    device: Text = ""


Few = Annotated[dict[Name, Text], Meta(max_length=16)]


class Inventory(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``inventory_reported``: the machine as its firmware describes it (SMBIOS types 0, 1, 3, 4, 17).

    Memory is in MiB. What could not be read is left out, and may be named in ``unknown``.
    """

    serial: Text | None = None
    system_uuid: Text | None = None
    vendor: Text | None = None
    product: Text | None = None
    cpu_model: Text | None = None
    cpu_cores: Count | None = None
    cpu_threads: Count | None = None
    cpu_sockets: Count | None = None
    memory_mib: Size | None = None
    bios_version: Text | None = None
    firmware_mode: Literal["bios", "uefi"] | None = None
    nics: Annotated[list[NicReport], Meta(min_length=1, max_length=128)]
    disks: Annotated[list[DiskReport], Meta(max_length=2048)] = []
    memory: Annotated[list[MemoryReport], Meta(max_length=512)] = []
    pci: Annotated[list[PciReport], Meta(max_length=1024)] = []
    firmware: Annotated[dict[Text, Text], Meta(max_length=2304)] = {}
    bmc: Few = {}
    chassis: Few = {}
    unknown: Annotated[list[Name], Meta(max_length=64)] = []


class Progress(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``progress``: how far the present stage is, for people to see; decides nothing."""

    stage: Name | None = None
    percent: Percent | None = None
    message: Message = ""


class AgentAnswered(Struct, kw_only=True, forbid_unknown_fields=True):
    """``agent_answered``: the light agent is up and takes stages."""


class StageOutcome(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``stage_succeeded`` and ``stage_failed``: the outcome of the job ``jid``.

    The inventory stage brings along what it found.
    """

    stage: Name
    jid: Jid
    message: Message = ""
    inventory: Inventory | None = None


class Report(Struct, kw_only=True, forbid_unknown_fields=True):
    """The envelope: ``id`` makes a repeated report have one effect."""

    id: ReportId
    event: Annotated[str, Meta(max_length=64)]
    data: msgspec.Raw = msgspec.Raw(b"{}")


_BY_ANY: dict[str, type[Struct]] = {"inventory_reported": Inventory, "progress": Progress}
_BY_AGENT: dict[Agent, dict[str, type[Struct]]] = {
    # A Salt minion's jobs are looked up in the master's job cache, its answers come over its key:
    # a report of these over HTTP would be a second, weaker way in.
    "salt": _BY_ANY,
    "light": {
        **_BY_ANY,
        "agent_answered": AgentAnswered,
        "stage_succeeded": StageOutcome,
        "stage_failed": StageOutcome,
    },
}
_ENVELOPE = msgspec.json.Decoder(Report)
_BODIES = {
    kind: msgspec.json.Decoder(kind)
    for of_agent in _BY_AGENT.values()
    for kind in of_agent.values()
}


def decode(body: bytes) -> Report:
    """Return the envelope of a report; raise InvalidInputError saying which field is wrong."""
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the report cannot be read: {error}", _HINT) from None


def data_of(report: Report, agent: Agent) -> dict[str, Any]:
    """Return the report's data as the conductor takes it, checked for its event.

    An inventory is under ``inventory``, its MACs in lower-case colon form; progress becomes a
    sentence under ``noted``.

    Raises InvalidInputError for an event that this kind of agent may not report (the message lists
    those it may) and for data that do not fit.
    """
    allowed = _BY_AGENT[agent]
    kind = allowed.get(report.event)
    if kind is None:
        raise InvalidInputError(
            f"a node with agent {agent!r} reports no event {report.event[:64]!r}",
            f"it may report {', '.join(sorted(allowed))}",
        )
    try:
        data = _BODIES[kind].decode(report.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"data of {report.event!r}: {error}", _HINT) from None
    if isinstance(data, Progress):
        return {"noted": _sentence(data)}
    inventory = data if isinstance(data, Inventory) else getattr(data, "inventory", None)
    if inventory is not None:
        _check_nics(inventory.nics)
    built: dict[str, Any] = msgspec.to_builtins(data)
    return {"inventory": built} if isinstance(data, Inventory) else built


def event_id(node: str, generation: int, report: str) -> str:
    """Return the event id that makes one report of one boot of one node unique."""
    return fitted(f"boot:{node}:{generation}:{report}")


def fitted(plain: str) -> str:
    """Return an event id that fits the journal's column: a longer one becomes its SHA-256."""
    if len(plain) <= MAX_EVENT_ID:
        return plain
    return f"boot:{hashlib.sha256(plain.encode()).hexdigest()}"


def _sentence(progress: Progress) -> str:
    """Return the progress as one line for the journal."""
    percent = None if progress.percent is None else f"{progress.percent} %"
    return (
        ", ".join(part for part in (progress.stage, percent, progress.message) if part) or "alive"
    )


def _check_nics(nics: list[NicReport]) -> None:
    """Bring MACs to one form; raise InvalidInputError for a bad or doubled MAC or name."""
    for nic in nics:
        nic.mac = normalise_mac(nic.mac)
    for what, values in (("MAC", [n.mac for n in nics]), ("name", [n.name for n in nics])):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise InvalidInputError(f"two NICs have the {what} {twice[0]}", "report each NIC once")


_HINT = "docs/reference/boot-api.md shows every report with its units"
