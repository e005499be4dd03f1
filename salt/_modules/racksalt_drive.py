"""
The disks of a machine, as the kernel (Linux ABI, sysfs-block), smartctl and nvme tell of them.
Nothing is written; ``racksalt_disk`` does that.
"""

import json
import pathlib
import re

from salt.exceptions import CommandExecutionError

_NOT_A_DISK = re.compile(r"(loop|ram|zram|dm-|md|sr|fd|nbd|drbd|rbd|bcache|zd|nvme\d+c\d)")
_WWN = re.compile(r"naa\.([0-9a-f]{16,32})|(eui\.[0-9a-f]{16,32}|uuid\.[0-9a-f-]{36})")
_PAGE_80_HEADER = 4
_OURS = "racksalt-"
_NO_DATA = ("linux_raid_member",)  # what the array itself holds is looked at instead
_SECTOR = 512  # bytes in sysfs, whatever the disk says


def disks(root="/"):
    """
    Return the fixed disks: ``[{"name", "serial", "wwn", "model", "size_gb", "media", "rotational",
    "health", "firmware"}]``. ``size_gb`` is in 10^9 bytes, ``media`` is ``ssd``, ``hdd``, ``nvme`` or
    ``unknown``, ``health`` what the disk itself says: ``ok``, ``failing`` or ``unknown``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.disks
    """
    blocks = [
        block
        for block in sorted(pathlib.Path(root, "sys/block").glob("*"))
        if not _NOT_A_DISK.match(block.name) and _is_fixed(block)
    ]
    told = __salt__["racksalt_probe.run_all"]([_question(block.name) for block in blocks])
    return [_disk(block, _answer(one["out"])) for block, one in zip(blocks, told, strict=True)]


def _is_fixed(block):
    """Say whether a disk stays with the machine; stages write to no other (``racksalt_disk``)."""
    text = __salt__["racksalt_probe.text"]
    away = text(block / "removable") == "1" or "/usb" in str(block.resolve())
    return not away and text(block / "size") != "0"


def answer(told):
    """
    Return what ``smartctl --json`` or ``nvme smart-log --output-format=json`` tells of one disk:
    ``{"serial", "model", "firmware", "wwn", "health"}``, as far as it does.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.answer "$(smartctl --json -i -H /dev/sda)"
    """
    return _answer(told)


def texts(where, asked):
    """
    Return the names, serial numbers or WWNs that a plan asks for as a list, one alone too. Raises an
    error for whatever is no text: a serial number or WWN that is written without quotes is a number to
    YAML, and need not look as the disk has it any more.

    where
        the key that they stand at, for the error

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.texts disks '["0x5000c500a1b2c3d4", SER-2]'
    """
    found = list(asked) if isinstance(asked, (list, tuple)) else [asked]
    for one in found:
        if not isinstance(one, str):
            told = f"{one} ({one:#x})" if type(one) is int else repr(one)
            raise CommandExecutionError(f"{where}: {told} is no text; put it in quotes")
    return found


def foreign():
    """
    Return the disks that hold what racksalt did not put there, each as "sdb: ext4 'backup'"; None where
    that cannot be known. A system that racksalt installed is known by its filesystem's label.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.foreign
    """
    asked = ["lsblk", "--json", "--output", "NAME,TYPE,FSTYPE,LABEL,PTTYPE"]
    told = _parsed(__salt__["racksalt_probe.run"](asked)["out"]).get("blockdevices")
    if not isinstance(told, list):
        return None
    return strangers(told)


def strangers(devices):
    """
    Return what is foreign among the ``blockdevices`` of ``lsblk --json -o NAME,TYPE,FSTYPE,LABEL,PTTYPE``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.strangers '[{name: sdb, type: disk, fstype: ext4, label: backup}]'
    """
    found = []
    for disk in devices:
        inner = list(_within(disk))
        ours = any(str(one.get("label") or "").startswith(_OURS) for one in inner)
        data = [one for one in inner if one.get("fstype") and one["fstype"] not in _NO_DATA]
        if disk.get("type") == "disk" and not _NOT_A_DISK.match(disk["name"]) and not ours:
            what = [f"{one['fstype']} {one.get('label') or ''}".strip() for one in data]
            empty = [f"{disk['pttype']} partitions"] if disk.get("pttype") else []
            found += [f"{disk['name']}: {', '.join(what or empty)}"] if what or empty else []
    return found


def _within(device):
    yield device
    for child in device.get("children") or ():
        yield from _within(child)


def _question(name):
    """Ask with nvme only where there is no smartctl, which knows all kinds of disks."""
    smart = ["smartctl", "--json", "-i", "-H", f"/dev/{name}"]
    if (
        not name.startswith("nvme")
        or not __salt__["racksalt_probe.run"](["smartctl", "-V"])["problem"]
    ):
        return smart
    return ["nvme", "smart-log", f"/dev/{name}", "--output-format=json"]


def _answer(told):
    found = _parsed(told)
    wwn = found.get("wwn")
    answered = {
        "serial": found.get("serial_number"),
        "model": found.get("model_name") or found.get("scsi_model_name"),
        "firmware": found.get("firmware_version") or found.get("scsi_revision"),
        "wwn": _wwn_of(wwn) if isinstance(wwn, dict) else None,
        "health": _health(found),
    }
    clean = __salt__["racksalt_probe.clean"]
    return {key: clean(value)[:128] for key, value in answered.items() if clean(value)}


def _parsed(told):
    try:
        found = json.loads(told)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _wwn_of(parts):
    try:
        return f"0x{parts['naa']:x}{parts['oui']:06x}{parts['id']:09x}"
    except (KeyError, TypeError, ValueError):
        return None


def _health(found):
    status = found.get("smart_status")
    if isinstance(status, dict) and isinstance(status.get("passed"), bool):
        return "ok" if status["passed"] else "failing"
    warning = found.get("critical_warning")  # NVM Express base specification, SMART log, byte 0
    warning = warning.get("value") if isinstance(warning, dict) else warning
    if isinstance(warning, int):
        return "failing" if warning else "ok"
    return "unknown"


def _disk(block, answered):
    number = __salt__["racksalt_probe.number"]
    rotates, sectors = number(block / "queue/rotational"), number(block / "size")
    media = "nvme" if block.name.startswith("nvme") else {0: "ssd", 1: "hdd"}.get(rotates)
    disk = {
        "name": block.name,
        "serial": answered.get("serial") or _serial(block),
        "wwn": answered.get("wwn") or _wwn(block),
        "model": answered.get("model") or __salt__["racksalt_probe.text"](block / "device/model"),
        "size_gb": round(sectors * _SECTOR / 10**9) if sectors else None,
        "media": media or "unknown",
        "rotational": {0: False, 1: True}.get(rotates),
        "health": answered.get("health", "unknown"),
        "firmware": answered.get("firmware") or _firmware(block),
    }
    return {key: value for key, value in disk.items() if value is not None}


def _serial(block):
    try:
        page = (block / "device/vpd_pg80").read_bytes()[_PAGE_80_HEADER:]  # SPC-4 section 7.8.15
    except OSError:
        page = None
    text = __salt__["racksalt_probe.text"]
    told = __salt__["racksalt_probe.clean"](page)
    return (told or text(block / "device/serial") or text(block / "serial") or "")[:128] or None


def _wwn(block):
    text = __salt__["racksalt_probe.text"]
    found = _WWN.fullmatch((text(block / "device/wwid") or text(block / "wwid") or "").lower())
    return (f"0x{found[1]}" if found[1] else found[2]) if found else None


def _firmware(block):
    text = __salt__["racksalt_probe.text"]
    return text(block / "device/firmware_rev") or text(block / "device/rev")
