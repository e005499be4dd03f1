"""Hardware that is made up, but always the same for the same name.

The shape is that of an inventory report::

    {"system_uuid": …, "serial": …, "vendor": …, "product": …, "bios_version": …,
     "cpu_model": …, "cpu_cores": 32, "memory_mib": 131072,
     "nics":  [{"name": "eth0", "mac": "02:…", "speed_mbps": 25000, "pxe": true}, …],
     "disks": [{"name": "sda", "serial": …, "size_gb": 960, "media": "ssd", "health": "ok"}, …]}
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from racksalt.lab.fates import Fate, fate_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_VENDOR = "Racksalt Virtual Metal"
_PRODUCTS = (
    (
        "VM-1U compute",
        "Virtual EPYC 32",
        32,
        131_072,
        (("nvme0n1", "nvme", 1920), ("nvme1n1", "nvme", 1920)),
    ),
    (
        "VM-2U storage",
        "Virtual Xeon 16",
        16,
        65_536,
        (("sda", "ssd", 480), ("sdb", "hdd", 16_000), ("sdc", "hdd", 16_000)),
    ),
)
_NICS = (
    ("eth0", 1000, True),
    ("eth1", 1000, False),
    ("eth2", 25_000, False),
    ("eth3", 25_000, False),
)


def make_hardware(
    node: str,
    *,
    declared: Mapping[str, Any] | None = None,
    fate: Fate | None = None,
    disguise: str | None = None,
) -> dict[str, Any]:
    """Return the inventory of the virtual machine ``node``.

    ``declared`` may fix ``serial``, ``system_uuid`` and ``macs`` (a list, in the order of the NICs) to what the site
    declares of the node. With ``disguise`` the MAC addresses are those of the node of that name.
    """
    declared = declared or {}
    fate = fate or fate_of(node)
    digest = hashlib.sha256(b"racksalt lab\n" + node.encode()).digest()
    product, cpu, cores, memory, disks = _PRODUCTS[digest[0] % len(_PRODUCTS)]
    hardware: dict[str, Any] = {
        "system_uuid": declared.get("system_uuid") or str(uuid.UUID(bytes=digest[:16], version=4)),
        "serial": declared.get("serial") or "RS" + digest[16:21].hex().upper(),
        "vendor": _VENDOR,
        "product": product,
        "bios_version": "1.0.0",
        "cpu_model": cpu,
        "cpu_cores": cores,
        "memory_mib": memory,
        "nics": _make_nics(disguise or node, declared.get("macs") or ()),
        "disks": [
            {
                "name": name,
                "serial": f"D{digest[21:25].hex().upper()}{i}",
                "size_gb": size,
                "media": media,
                "health": "ok",
            }
            for i, (name, media, size) in enumerate(disks)
        ],
    }
    if fate.failing_disk:
        hardware["disks"][0]["health"] = "failing"
    return hardware


def _make_nics(node: str, macs: Sequence[str]) -> list[dict[str, Any]]:
    nics = []
    for i, (name, speed, pxe) in enumerate(_NICS):
        # 02: locally administered, unicast (IEEE 802-2014 section 8.2).
        octets = b"\x02" + hashlib.sha256(f"{node}/{i}".encode()).digest()[:5]
        mac = macs[i].lower() if i < len(macs) else ":".join(f"{octet:02x}" for octet in octets)
        nics.append({"name": name, "mac": mac, "speed_mbps": speed, "pxe": pxe})
    return nics


def boot_mac(hardware: Mapping[str, Any]) -> str:
    """Return the MAC address of the NIC that boots from the network."""
    return next(str(nic["mac"]) for nic in hardware["nics"] if nic["pxe"])
