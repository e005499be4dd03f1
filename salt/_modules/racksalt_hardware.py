"""
What hardware a node has, and what its firmware is set to.

A virtual machine of the lab has none to read: ``racksalt_hardware_lab.py`` stands in for this there.
Every part is read by a module of its own (racksalt_dmi, racksalt_nic, racksalt_lldp, racksalt_drive,
racksalt_bmc, racksalt_pci); none can fail or hang the whole. docs/reference/inventory.md has every
field with its unit.

Sources here: ``/proc/cpuinfo``, ``/proc/meminfo``, ``/sys/firmware/efi``, and BIOS settings through
``/sys/class/firmware-attributes`` (Linux ABI, sysfs-class-firmware-attributes).
"""

import logging
import pathlib
import re

log = logging.getLogger(__name__)

_LONGEST, _MOST = 128, 1024
_EXPECTED = (
    "serial",
    "system_uuid",
    "vendor",
    "product",
    "bios_version",
    "cpu_model",
    "cpu_cores",
    "memory_mib",
    "nics",
    "disks",
    "memory",
    "chassis",
    "bmc",
    "pci",
)


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's hardware is described by a file"
    return "racksalt_hardware"


def inventory(root="/", lldp_s=5):
    """
    Return the hardware as docs/reference/inventory.md describes it. What cannot be read is left out
    and named under ``unknown``.

    root
        where ``sys``, ``proc`` and ``dev`` are; another folder is for tests

    lldp_s
        how long to listen for switches at most, in seconds; 0 for not at all

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.inventory lldp_s=32
    """
    base = pathlib.Path(root)
    found = {**(_part("racksalt_dmi.system", root) or {}), **_cpu(base), **_tables()}
    found["memory_mib"] = _memory_mib(base)
    found["nics"] = _plugged(_part("racksalt_nic.interfaces", root) or [], lldp_s)
    found["disks"] = _part("racksalt_drive.disks", root) or []
    found["bmc"] = _part("racksalt_bmc.info", root) or {}
    found["pci"] = _part("racksalt_pci.devices", root) or []
    found["firmware_mode"] = "uefi" if (base / "sys/firmware/efi").exists() else "bios"
    found = _bounded({**found, "firmware": _firmware(found)})
    kept = {key: value for key, value in found.items() if value or key in ("nics", "disks")}
    return {**kept, "unknown": [name for name in _EXPECTED if not found.get(name)]}


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
    return {file.name: _value(file / "current_value") for file in sorted(files)}


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
            "devices": __salt__["racksalt_probe.number"](array / "raid_disks") or 0,
        }
        for array in sorted(pathlib.Path(root).glob("sys/block/md*/md"))
    ]


def security(root="/"):
    """
    Return what is known of the node's safety: ``{"secure_boot", "bmc_default_password",
    "foreign_disks"}``, each None for unknown. The first two are True or False; factory passwords are
    tried from the master (``racksalt hardware security``). ``foreign_disks`` names disks that hold
    what racksalt did not put there.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_hardware.security
    """
    # UEFI 2.10 section 3.3: four bytes of attributes, then one byte, 1 when enforced.
    variables = sorted(pathlib.Path(root).glob("sys/firmware/efi/efivars/SecureBoot-*"))
    enforced = bool(variables) and variables[0].read_bytes()[4:5] == b"\x01"
    told = {"secure_boot": enforced if variables else None, "bmc_default_password": None}
    return {**told, "foreign_disks": _part("racksalt_drive.foreign")}


def _text(path):
    return __salt__["racksalt_probe.text"](path)


def _value(path):
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _part(name, *args):
    """Broken firmware has ways of its own: what it does to one part must not cost the others."""
    try:
        return __salt__[name](*args)
    except Exception:
        log.exception("%s failed: this part of the inventory is unknown", name)
        return None


def _tables():
    told = _part("racksalt_dmi.tables") or {}
    return {name: told[name] for name in ("memory", "chassis") if told.get(name)}


def _bounded(value):
    """The boot API refuses a report with a longer text or list as a whole: it is cut here instead."""
    if isinstance(value, dict):
        return {key: _bounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_bounded(inner) for inner in value[:_MOST]]
    return value[:_LONGEST] if isinstance(value, str) else value


def _plugged(nics, lldp_s):
    heard = _part("racksalt_lldp.neighbours", [nic["name"] for nic in nics], lldp_s) or {}
    return [
        {**nic, **({"lldp": heard[nic["name"]]} if nic["name"] in heard else {})} for nic in nics
    ]


def _firmware(found):
    """Return version by component: ``bios``, ``bmc``, ``nic:<name>``, ``disk:<name>``."""
    versions = {"bios": found.get("bios_version"), "bmc": found["bmc"].get("firmware")}
    for kind, parts in (("nic", found["nics"]), ("disk", found["disks"])):
        versions.update({f"{kind}:{part['name']}": part.get("firmware") for part in parts})
    return {name: version for name, version in versions.items() if version}


def _cpu(base):
    """Return model and counts; ``cpu_cores`` are real cores, ``cpu_threads`` what the kernel runs on."""
    processors = _processors(base)
    models = [one["model name"] for one in processors if "model name" in one]
    cores = {(one.get("physical id"), one.get("core id", one["processor"])) for one in processors}
    found = {
        "cpu_model": __salt__["racksalt_probe.clean"](models[0]) if models else None,
        "cpu_cores": len(cores),
        "cpu_threads": len(processors),
        "cpu_sockets": len({one.get("physical id") for one in processors}),
    }
    return {key: value for key, value in found.items() if value}


def _processors(base):
    try:
        told = (base / "proc/cpuinfo").read_text(errors="replace").split("\n\n")
    except OSError:
        return []
    found = [dict(re.findall(r"^([^\t:]+?)\s*: (.*)$", one, re.MULTILINE)) for one in told]
    return [one for one in found if "processor" in one]


def _memory_mib(base):
    found = re.search(r"^MemTotal:\s+(\d+) kB", _text(base / "proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None
