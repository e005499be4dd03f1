"""
The disks of a machine, as the kernel (by ``racksalt_block``), smartctl and nvme tell of them.
Nothing is written; ``racksalt_disk`` does that.
"""

import json
import pathlib

_OURS = "racksalt-"
_NO_DATA = ("linux_raid_member",)  # what the array itself holds is looked at instead


def disks(root="/"):
    """
    Return the node's own disks: ``[{"name", "serial", "wwn", "model", "size_gb", "media", "rotational",
    "health", "firmware"}]``. ``size_gb`` is in 10^9 bytes, ``media`` is ``ssd``, ``hdd``, ``nvme`` or
    ``unknown``, ``health`` what the disk itself says: ``ok``, ``failing`` or ``unknown``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.disks
    """
    own = [disk for disk in __salt__["racksalt_block.disks"](root) if not disk["away"]]
    told = __salt__["racksalt_probe.run_all"]([_question(disk["name"]) for disk in own])
    blocks = pathlib.Path(root, "sys/block")
    answers = [(disk, _answer(one["out"])) for disk, one in zip(own, told, strict=True)]
    return [_disk(disk, answered, blocks / disk["name"]) for disk, answered in answers]


def answer(told):
    """
    Return what ``smartctl --json`` or ``nvme smart-log --output-format=json`` tells of one disk:
    ``{"serial", "model", "firmware", "wwn", "health"}``, as far as it does.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.answer "$(smartctl --json -i -H /dev/sda)"
    """
    return _answer(told)


def foreign():
    """
    Return the disks that hold what racksalt did not put there, each as "sdb: ext4 'backup'"; None where
    that cannot be known. A system that racksalt installed is known by its filesystem's label; disks that
    come over a storage network are left out.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_drive.foreign
    """
    asked = ["lsblk", "--json", "--output", "NAME,TYPE,FSTYPE,LABEL,PTTYPE"]
    told = _parsed(__salt__["racksalt_probe.run"](asked)["out"]).get("blockdevices")
    if not isinstance(told, list):
        return None
    found = [disk for disk in __salt__["racksalt_block.disks"]() if disk["fabric"]]
    remote = {path for disk in found for path in disk["paths"]}
    return strangers([one for one in told if one.get("name") not in remote])


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
        if (
            disk.get("type") == "disk"
            and __salt__["racksalt_block.is_disk"](disk["name"])
            and not ours
        ):
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


def _disk(disk, answered, block):
    rotates = disk["rotational"]
    media = "nvme" if block.name.startswith("nvme") else {False: "ssd", True: "hdd"}.get(rotates)
    found = {
        "name": disk["name"],
        "serial": answered.get("serial") or disk["serial"],
        "wwn": answered.get("wwn") or disk["wwn"],
        "model": answered.get("model") or disk["model"],
        "size_gb": round(disk["bytes"] / 10**9),
        "media": media or "unknown",
        "rotational": rotates,
        "health": answered.get("health", "unknown"),
        "firmware": answered.get("firmware") or _firmware(block),
    }
    return {key: value for key, value in found.items() if value is not None}


def _firmware(block):
    text = __salt__["racksalt_probe.text"]
    return text(block / "device/firmware_rev") or text(block / "device/rev")
