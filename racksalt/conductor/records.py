"""Writes what inventory found: hardware, NICs, disks and the lists of nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from racksalt.boot.identity import normalise_mac
from racksalt.model.errors import InvalidInputError
from racksalt.model.hardware import Facts
from racksalt.model.node import Disk, Hardware, Nic
from racksalt.store.transaction import Transaction

TEXTS = {
    "serial": 128,
    "system_uuid": 64,
    "vendor": 128,
    "product": 128,
    "cpu_model": 128,
    "bios_version": 128,
}
"""Texts of the hardware row and how long they may be."""
INT32, INT53 = 2**31, 2**53
MEDIA = ("ssd", "hdd", "nvme")
HEALTH = ("ok", "failing")
MODES = ("bios", "uefi")
MODULE = {
    "slot": None,
    "size_mib": INT53,
    "speed_mts": INT32,
    "manufacturer": None,
    "part": None,
    "serial": None,
}
"""Fields of a memory module: None for a text, else what its number stays below."""
DEVICE = {"address": None, "class": None, "vendor": None, "device": None}
BMC = ("vendor", "firmware", "ipmi_version", "address", "mac", "address_source")
CHASSIS = ("kind", "manufacturer", "serial")
NAME, MOST = 64, 512
"""How long a part's name may be, and how many parts of a kind a node may have."""


def write_inventories(
    tx: Transaction,
    inventories: Mapping[str, Mapping[str, Any]],
    approved: Collection[str],
    *,
    now: float = 0.0,
) -> None:
    """Replace the nodes' hardware rows; a NIC whose MAC another node owns is left with its owner.

    An inventory that says nothing of disks leaves those that are known.
    A node that is not ``approved`` gets no MAC by naming it and loses none by leaving it out: its inventory is
    the word of a stranger, and the owner of a MAC has a say in who a machine is.
    """
    nics = _nics(tx, {node: _told(node, found) for node, found in inventories.items()}, approved)
    disks = [
        _disk(node, number, item)
        for node, found in inventories.items()
        for number, item in enumerate(_items(found.get("disks")))
    ]
    told = [node for node, found in inventories.items() if "disks" in found]
    hardware = [_hardware(node, found) for node, found in inventories.items()]
    tx.replace_parts(list(inventories), hardware, nics)
    tx.replace_disks(told, disks)
    tx.put([facts_of(node, found, now) for node, found in inventories.items()])


def _hardware(node: str, found: Mapping[str, Any]) -> Hardware:
    facts: dict[str, Any] = {name: _text(found.get(name), size) for name, size in TEXTS.items()}
    for name in ("cpu_cores", "cpu_threads", "cpu_sockets"):
        facts[name] = _number(found.get(name), INT32)
    mode = found.get("firmware_mode")
    facts["firmware_mode"] = mode if mode in MODES else None
    facts["memory_mib"] = _number(found.get("memory_mib"))
    return Hardware(node=node, **facts)


def _told(node: str, found: Mapping[str, Any]) -> dict[str, Nic]:
    """Return the NICs that an inventory names, by MAC."""
    told = [nic for item in _items(found.get("nics")) if (nic := _nic(node, item)) is not None]
    return {nic.mac: nic for nic in told}


def _nics(
    tx: Transaction, told: Mapping[str, Mapping[str, Nic]], approved: Collection[str]
) -> list[Nic]:
    """Return the NICs that the nodes have from now on: what one leaves out, a later one may have."""
    owners = tx.mac_owners([mac for nics in told.values() for mac in nics])
    before = tx.nics(told)
    kept: list[Nic] = []
    for node, nics in told.items():
        if node in approved:
            mine = [nic for mac, nic in nics.items() if owners.get(mac, node) == node]
        else:
            mine = [nics.get(nic.mac, nic) for nic in before.get(node, ())]
        for nic in before.get(node, ()):
            owners.pop(nic.mac, None)
        owners |= {nic.mac: node for nic in mine}
        kept += mine
    return kept


def facts_of(node: str, found: Mapping[str, Any], now: float) -> Facts:
    """Return the lists of an inventory, bounded: at most MOST of each, no text longer than its column would be."""
    unknown = found.get("unknown")
    return Facts(
        node=node,
        at=now,
        memory=[_part(item, MODULE) for item in _items(found.get("memory"))],
        pci=[_part(item, DEVICE) for item in _items(found.get("pci"))],
        firmware=_texts(found.get("firmware")),
        bmc={k: v for k, v in _texts(found.get("bmc")).items() if k in BMC},
        chassis={k: v for k, v in _texts(found.get("chassis")).items() if k in CHASSIS},
        unknown=[str(name)[:NAME] for name in unknown[:NAME]] if isinstance(unknown, list) else [],
    )


def _part(item: Mapping[str, Any], fields: Mapping[str, int | None]) -> dict[str, Any]:
    read = {
        name: _text(item.get(name), 128) if limit is None else _number(item.get(name), limit)
        for name, limit in fields.items()
    }
    return {name: value for name, value in read.items() if value is not None}


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    told = {_text(k, 160): _text(v, 128) for k, v in list(value.items())[:MOST]}
    return {k: v for k, v in told.items() if k and v}


def _nic(node: str, item: Mapping[str, Any]) -> Nic | None:
    try:
        mac = normalise_mac(str(item.get("mac", "")))
    except InvalidInputError:
        return None
    neighbour = item.get("lldp")
    lldp = neighbour if isinstance(neighbour, Mapping) else {}
    return Nic(
        id=f"{node}/{mac}",
        node=node,
        name=_text(item.get("name"), NAME) or "nic",
        mac=mac,
        speed_mbps=_number(item.get("speed_mbps"), INT32),
        pxe=bool(item.get("pxe")),
        carrier=item.get("carrier") is True,
        driver=_text(item.get("driver"), NAME),
        pci=_text(item.get("pci"), NAME),
        lldp_chassis=_text(lldp.get("chassis"), 128),
        lldp_port=_text(lldp.get("port"), 128),
        lldp_system=_text(lldp.get("system"), 128),
        lldp_vlan=_number(lldp.get("vlan"), 4096),
    )


def _disk(node: str, number: int, item: Mapping[str, Any]) -> Disk:
    media, health = item.get("media"), item.get("health")
    return Disk(
        id=f"{node}/disk{number}",
        node=node,
        name=_text(item.get("name"), NAME) or f"disk{number}",
        serial=_text(item.get("serial"), 128),
        size_gb=_number(item.get("size_gb")),
        media=media if media in MEDIA else "unknown",
        health=health if health in HEALTH else "unknown",
        wwn=_text(item.get("wwn"), 128),
        model=_text(item.get("model"), 128),
    )


def _items(value: Any) -> list[Mapping[str, Any]]:
    # A node says what it likes: what is no list of parts is no part.
    return [i for i in value if isinstance(i, Mapping)][:MOST] if isinstance(value, list) else []


def _text(value: Any, size: int) -> str | None:
    if not isinstance(value, str | int | float):
        return None
    return "".join(c for c in str(value) if c.isprintable())[:size] or None


def _number(value: Any, limit: int = INT53) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < limit else None
