"""Writes what inventory found: hardware, NICs and disks of one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racksalt.boot.identity import normalise_mac
from racksalt.model.errors import InvalidInputError
from racksalt.model.node import Disk, Hardware, Nic
from racksalt.store.transaction import Transaction

TEXTS = ("serial", "system_uuid", "vendor", "product", "cpu_model", "bios_version")
NUMBERS = ("cpu_cores", "memory_mib")
MEDIA = ("ssd", "hdd", "nvme")
HEALTH = ("ok", "failing")


def write_inventory(tx: Transaction, node: str, found: Mapping[str, Any]) -> None:
    """Replace the node's hardware rows; a NIC whose MAC another node owns is left with its owner."""
    facts: dict[str, Any] = {name: _text(found.get(name)) for name in TEXTS}
    facts |= {name: _number(found.get(name)) for name in NUMBERS}
    nics = [nic for item in found.get("nics") or () if (nic := _nic(node, item)) is not None]
    owners = tx.mac_owners([nic.mac for nic in nics])
    tx.replace_parts(
        node,
        Hardware(node=node, **facts),
        [
            nic
            for nic in {nic.mac: nic for nic in nics}.values()
            if owners.get(nic.mac, node) == node
        ],
        [_disk(node, number, item) for number, item in enumerate(found.get("disks") or ())],
    )


def _nic(node: str, item: Mapping[str, Any]) -> Nic | None:
    try:
        mac = normalise_mac(str(item.get("mac", "")))
    except InvalidInputError:
        return None
    return Nic(
        id=f"{node}/{mac}",
        node=node,
        name=_text(item.get("name")) or "nic",
        mac=mac,
        speed_mbps=_number(item.get("speed_mbps")),
        pxe=bool(item.get("pxe")),
    )


def _disk(node: str, number: int, item: Mapping[str, Any]) -> Disk:
    media, health = item.get("media"), item.get("health")
    return Disk(
        id=f"{node}/disk{number}",
        node=node,
        name=_text(item.get("name")) or f"disk{number}",
        serial=_text(item.get("serial")),
        size_gb=_number(item.get("size_gb")),
        media=media if media in MEDIA else "unknown",
        health=health if health in HEALTH else "unknown",
    )


def _text(value: Any) -> str | None:
    return str(value)[:128] if value not in (None, "") else None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else None
