"""What the firmware says of the machine: SMBIOS (DSP0134) by ``/sys/class/dmi/id`` and dmidecode."""

import pathlib
import re

_SYSTEM = {
    "serial": "product_serial",
    "system_uuid": "product_uuid",
    "vendor": "sys_vendor",
    "product": "product_name",
    "bios_version": "bios_version",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_UUID = re.compile(r"([0f])\1{7}-|03000200-0400-0500-0006-000700080009")
_HEAD = re.compile(r"^Handle 0x[0-9A-Fa-f]+, DMI type (\d+)")
_SIZE = re.compile(r"(\d+) ([kMGT])i?B")
_MIB = {"k": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}
_CHASSIS, _MEMORY_DEVICE = 3, 17


def system(root="/"):
    """
    Return ``{"serial", "system_uuid", "vendor", "product", "bios_version"}``, each only where the
    firmware says something.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_dmi.system
    """
    folder = pathlib.Path(root, "sys/class/dmi/id")
    found = {key: __salt__["racksalt_probe.text"](folder / name) for key, name in _SYSTEM.items()}
    found["system_uuid"] = _uuid(found["system_uuid"])
    return {key: value[:128] for key, value in found.items() if value}


def tables():
    """
    Return ``{"memory", "chassis", "problem"}`` as dmidecode tells them (SMBIOS types 17 and 3):
    ``memory`` is ``[{"slot", "size_mib", "speed_mts", "manufacturer", "part", "serial"}]`` of the
    slots with a module, ``chassis`` is ``{"kind", "manufacturer", "serial"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_dmi.tables
    """
    told = __salt__["racksalt_probe.run"](["dmidecode", "-t", "3", "-t", "17"])
    structures = parse(told["out"])
    modules = [_module(one) for one in structures if one["type"] == _MEMORY_DEVICE]
    chassis = [_chassis(one) for one in structures if one["type"] == _CHASSIS]
    return {
        "memory": [module for module in modules if module],
        "chassis": chassis[0] if chassis else {},
        "problem": told["problem"] or ("" if structures else "dmidecode found no SMBIOS tables"),
    }


def parse(text):
    """
    Return dmidecode's structures: ``[{"type": 17, "Locator": "DIMM_A1", …}]``; what firmware left
    empty is left out.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_dmi.parse "$(dmidecode -t 17)"
    """
    structures = []
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            structures.append({"type": int(head[1])})
        key, colon, value = line.strip().partition(":")
        if structures and colon and line.startswith("\t") and not line.startswith("\t\t"):
            value = __salt__["racksalt_probe.clean"](value)
            if value:
                structures[-1].setdefault(key, value)
    return structures


def _uuid(text):
    told = (text or "").lower()
    return told if _UUID.fullmatch(told) and not _NO_UUID.match(told) else None


def _module(structure):
    size = _SIZE.match(structure.get("Size", ""))
    if not size:
        return None
    speed = structure.get("Configured Memory Speed") or structure.get("Configured Clock Speed")
    speed = re.match(r"(\d+) (MT/s|MHz)", speed or structure.get("Speed", ""))
    module = {
        "slot": structure.get("Locator"),
        "size_mib": int(int(size[1]) * _MIB[size[2]]),
        "speed_mts": int(speed[1]) if speed else None,
        "manufacturer": structure.get("Manufacturer"),
        "part": structure.get("Part Number"),
        "serial": structure.get("Serial Number"),
    }
    return {key: value for key, value in module.items() if value}


def _chassis(structure):
    chassis = {
        "kind": structure.get("Type"),
        "manufacturer": structure.get("Manufacturer"),
        "serial": structure.get("Serial Number"),
    }
    return {key: value for key, value in chassis.items() if value}
