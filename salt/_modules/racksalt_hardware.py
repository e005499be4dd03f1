"""
What hardware a node has, read from the kernel, and what its firmware is set to.

A virtual machine of the lab has none to read: ``racksalt_hardware_lab.py`` stands in for this there.

Units: ``memory_mib`` in 2^20 bytes, ``size_gb`` in 10^9 bytes, ``speed_mbps`` in 10^6 bits a second.
Sources: SMBIOS through ``/sys/class/dmi/id`` (DSP0134), ``/proc``, ``/sys/class/net``, ``/sys/block``,
BIOS settings through ``/sys/class/firmware-attributes`` (Linux ABI, sysfs-class-firmware-attributes).
"""

import json
import pathlib
import re

import salt.utils.path

_PHYSICAL_NIC = "device"
_NOT_A_DISK = re.compile(r"^(loop|ram|zram|dm-|md|sr|fd|nbd)")
_DMI = {
    "serial": "product_serial",
    "system_uuid": "product_uuid",
    "vendor": "sys_vendor",
    "product": "product_name",
    "bios_version": "bios_version",
}


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's hardware is described by a file"
    return "racksalt_hardware"


def inventory(root="/"):
    """
    Return the hardware as racksalt keeps it: ``serial, system_uuid, vendor, product, bios_version,
    cpu_model, cpu_cores, memory_mib, nics, disks``. What cannot be read is None.

    root
        where ``sys`` and ``proc`` are; another folder is for tests

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.inventory
    """
    base = pathlib.Path(root)
    found = {key: _text(base / "sys/class/dmi/id" / name) for key, name in _DMI.items()}
    found.update(_cpu(base))
    found["memory_mib"] = _memory_mib(base)
    found["nics"] = _nics(base)
    found["disks"] = _disks(base)
    return found


def virtual():
    """
    Say that this machine is a real one.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.virtual
    """
    return False


def bios_settings(root="/"):
    """
    Return ``{setting: value}`` of the BIOS as far as the kernel can read it; empty where it cannot.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.bios_settings
    """
    files = (pathlib.Path(root) / "sys/class/firmware-attributes").glob("*/attributes/*")
    return {file.name: _text(file / "current_value") for file in sorted(files)}


def bios_set(settings, root="/"):
    """
    Write BIOS settings that the kernel offers and return those that read back as asked. They come
    into force at the next boot.

    settings
        ``{setting: value}``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.bios_set '{"VirtTechnology": "Enabled"}'
    """
    for name, value in settings.items():
        for file in (pathlib.Path(root) / "sys/class/firmware-attributes").glob("*/attributes/*"):
            if file.name == name:
                (file / "current_value").write_text(str(value))
    now = bios_settings(root=root)
    return {name: now[name] for name, value in settings.items() if now.get(name) == str(value)}


def raid(root="/"):
    """
    Return the RAID arrays: ``[{"name", "level", "devices"}]`` (Linux software RAID, ``/sys/block/md*``).

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.raid
    """
    return [
        {
            "name": array.parent.name,
            "level": _text(array / "level"),
            "devices": int(_text(array / "raid_disks") or 0),
        }
        for array in sorted(pathlib.Path(root).glob("sys/block/md*/md"))
    ]


def security(root="/"):
    """
    Return what is known of the node's safety: ``{"secure_boot", "bmc_default_password"}``, each True,
    False or None for unknown.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.security
    """
    # UEFI 2.10 section 3.3: four bytes of attributes, then one byte, 1 when enforced.
    variables = sorted(pathlib.Path(root).glob("sys/firmware/efi/efivars/SecureBoot-*"))
    enforced = bool(variables) and variables[0].read_bytes()[4:5] == b"\x01"
    return {"secure_boot": enforced if variables else None, "bmc_default_password": None}


def _text(path):
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _number(path):
    text = _text(path)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _cpu(base):
    lines = (_text(base / "proc/cpuinfo") or "").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu_model": models[0] if models else None, "cpu_cores": len(models) or None}


def _memory_mib(base):
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(base / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _nics(base):
    nics = []
    for nic in sorted((base / "sys/class/net").glob("*")):
        if (nic / _PHYSICAL_NIC).exists():
            speed = _number(nic / "speed")
            mac = (_text(nic / "address") or "").lower()
            speed = speed if speed and speed > 0 else None  # -1 without a link
            nics.append({"name": nic.name, "mac": mac, "speed_mbps": speed, "pxe": False})
    booted = re.search(r"BOOTIF=01-([0-9A-Fa-f-]{17})", _text(base / "proc/cmdline") or "")
    for nic in nics:
        nic["pxe"] = bool(booted) and booted[1].lower().replace("-", ":") == nic["mac"]
    return nics


def _disks(base):
    blocks = sorted((base / "sys/block").glob("*"))
    return [
        _disk(block)
        for block in blocks
        if not _NOT_A_DISK.match(block.name) and _text(block / "removable") != "1"
    ]


def _disk(block):
    rotates = _text(block / "queue/rotational")
    media = "nvme" if block.name.startswith("nvme") else {"0": "ssd", "1": "hdd"}.get(rotates)
    sectors = _number(block / "size")  # always 512 bytes each, whatever the disk says
    return {
        "name": block.name,
        "serial": _text(block / "device/serial") or _text(block / "serial"),
        "size_gb": round(sectors * 512 / 10**9) if sectors else None,
        "media": media or "unknown",
        "health": _health(block.name),
    }


def _health(name):
    """Ask the disk itself (``smartctl -H``); unknown without smartmontools."""
    if not salt.utils.path.which("smartctl"):
        return "unknown"
    told = __salt__["cmd.run_stdout"](
        ["smartctl", "--json", "-H", f"/dev/{name}"], python_shell=False, ignore_retcode=True
    )
    try:
        passed = json.loads(told)["smart_status"]["passed"]
    except (ValueError, KeyError, TypeError):
        return "unknown"
    return "ok" if passed else "failing"
