"""
The physical network interfaces of a machine: ``/sys/class/net`` (Linux ABI, sysfs-class-net) and
ethtool. Bridges, bonds, VLANs, tunnels and virtual functions are none.
"""

import pathlib
import re

_ETHERNET = "1"  # ARPHRD_ETHER
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_NO_MAC = ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")
_BOOTED = re.compile(r"(?:^|\s)racksalt\.mac=([0-9A-Fa-f-]{17})(?:\s|$)")


def interfaces(root="/"):
    """
    Return ``[{"name", "mac", "speed_mbps", "carrier", "pxe", "driver", "firmware", "pci"}]``. The MAC
    is the permanent one, which a bond does not change. ``speed_mbps`` is that of the link and absent
    without one; ``pxe`` marks the interface that the machine was booted through.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_nic.interfaces
    """
    folders = sorted(pathlib.Path(root, "sys/class/net").glob("*"))
    nics = [nic for nic in _described([one for one in folders if _physical(one)]) if nic]
    booted = _booted(__salt__["racksalt_probe.text"](pathlib.Path(root, "proc/cmdline")) or "")
    for nic in nics:
        nic["pxe"] = booted in (nic["mac"], nic.pop("present_mac"))
    return nics


def _described(folders):
    asked = [["ethtool", option, folder.name] for folder in folders for option in ("-P", "-i")]
    told = [one["out"] for one in __salt__["racksalt_probe.run_all"](asked)]
    return [_nic(*three) for three in zip(folders, told[::2], told[1::2], strict=True)]


def _physical(folder):
    kind = __salt__["racksalt_probe.text"](folder / "type") or _ETHERNET
    virtual = (folder / "device/physfn").exists()
    return (folder / "device").exists() and kind == _ETHERNET and not virtual


def _nic(folder, permanent, driver):
    present = _mac(__salt__["racksalt_probe.text"](folder / "address"))
    mac = _mac(permanent.rpartition("address:")[2]) or present
    carrier = __salt__["racksalt_probe.number"](folder / "carrier")
    told = dict(line.split(": ", 1) for line in driver.splitlines() if ": " in line)
    nic = {
        "name": folder.name,
        "mac": mac,
        "speed_mbps": _speed(folder),
        "carrier": None if carrier is None else carrier == 1,
        "driver": told.get("driver") or _linked(folder / "device/driver"),
        "firmware": __salt__["racksalt_probe.clean"](told.get("firmware-version")),
        "pci": told.get("bus-info") or _linked(folder / "device"),
    }
    kept = {key: value for key, value in nic.items() if value is not None}
    return {**kept, "present_mac": present} if mac else None


def _speed(folder):
    speed = __salt__["racksalt_probe.number"](folder / "speed")  # -1 without a link
    return speed if speed and 0 < speed < 2**31 - 1 else None


def _mac(text):
    told = (text or "").strip().lower()
    return told if _MAC.fullmatch(told) and told not in _NO_MAC else None


def _linked(path):
    return path.resolve().name if path.is_symlink() else None


def _booted(cmdline):
    found = _BOOTED.search(cmdline)
    return found[1].lower().replace("-", ":") if found else "none"
