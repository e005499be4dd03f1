"""
The disks of a machine as sysfs shows them (Linux ABI, ``sysfs-block``): the one place that says which of them
are the node's own, for the inventory (``racksalt_drive``) and for whatever writes (``racksalt_disk``).

A disk that comes over a storage network is not the node's own, for other hosts may use it. One that the kernel
shows twice, because two cables or ports lead to it, is one disk. Nothing is written.
"""

import pathlib
import re

_NOT_A_DISK = re.compile(
    r"(loop|ram|zram|dm-|md|sr|fd|nbd|drbd|rbd|rnbd|etherd|bcache|zd|mmcblk\d+boot|nvme\d+c\d)"
)
_WWN = re.compile(r"naa\.([0-9a-f]{16,32})|(eui\.[0-9a-f]{16,32}|uuid\.[0-9a-f-]{36})")
_PAGE_80_HEADER = 4  # SPC-4 section 7.8.15
_SECTOR = 512  # bytes in sysfs, whatever the disk says
_REMOTE = re.compile(r"/(rport-|session\d)")  # Linux: scsi_transport_fc, scsi_transport_iscsi
_REMOTE_HOSTS = ("fc_host", "iscsi_host", "srp_host")
_LUN = re.compile(r"/\d+:\d+:\d+:(\d+)/block/")
_KINDS = {"nvme": "nvme", "vd": "virtio", "loop": "loop", "mmcblk": "mmc"}


def disks(root="/", only=None):
    """
    Return each disk once: ``[{"name", "paths", "device", "serial", "wwn", "model", "bytes", "rotational",
    "removable", "read_only", "transport", "fabric", "body", "parts", "holders", "away"}]``. ``paths`` are all
    its kernel names, ``body`` is the same for what is in one piece of hardware, ``away`` says why it is none
    of the node's own disks, None if it is.

    only
        kernel names; nothing else is looked at, and these whatever they are

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_block.disks
    """
    found = []
    for block in sorted(pathlib.Path(root, "sys/block").glob("*")):
        if block.name in only if only is not None else _is_shown(block):
            _add(found, _disk(block))
    return found


def is_disk(name):
    """
    Say whether a kernel name may be that of a disk, and is not that of a part, a copy or a made-up device.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_block.is_disk sda
    """
    return not _NOT_A_DISK.match(name)


def _is_shown(block):
    return is_disk(block.name) and _text(block / "hidden") != "1"


def _text(path):
    return __salt__["racksalt_probe.text"](path)


def _number(path):
    return __salt__["racksalt_probe.number"](path)


def _disk(block):
    where = str(block.resolve())
    disk = {
        "name": block.name,
        "paths": [block.name],
        "device": f"/dev/{block.name}",
        "bytes": (_number(block / "size") or 0) * _SECTOR,
        "rotational": {0: False, 1: True}.get(_number(block / "queue/rotational")),
        "removable": _number(block / "removable") == 1,
        "read_only": _number(block / "ro") == 1,
        "transport": _transport(block.name, where),
        "fabric": _is_remote(block, where),
        **_identity(block, where),
        **_layers(block),
    }
    return {**disk, "away": _away(disk)}


def _identity(block, where):
    wwid = (_text(block / "device/wwid") or _text(block / "wwid") or "").lower()
    lun, serial = _LUN.search(where), _serial(block)
    return {
        "serial": serial,
        "wwn": _wwn(wwid),
        "wwid": wwid or None,
        "model": _text(block / "device/model"),
        "unit": int(lun[1]) if lun else _number(block / "nsid"),
        "body": (serial or str((block / "device").resolve())).lower(),
    }


def _serial(block):
    try:
        page = (block / "device/vpd_pg80").read_bytes()[_PAGE_80_HEADER:]
    except OSError:
        page = None
    told = __salt__["racksalt_probe.clean"](page)
    return (told or _text(block / "device/serial") or _text(block / "serial") or "")[:128] or None


def _wwn(wwid):
    """What names no disk (all zeros, or the text that the kernel makes up of maker and model) is no WWN."""
    found = _WWN.fullmatch(wwid)
    if not found or not __salt__["racksalt_probe.clean"](found[1] or found[2].partition(".")[2]):
        return None
    return f"0x{found[1]}" if found[1] else found[2]


def _transport(name, where):
    known = next((kind for begin, kind in _KINDS.items() if name.startswith(begin)), None)
    return known or next((kind for kind in ("usb", "ata") if f"/{kind}" in where), "scsi")


def _is_remote(block, where):
    """NVMe counts as the node's own only by controllers that all say PCIe, as one behind native multipath does."""
    if block.name.startswith("nvme"):
        files = [block / "device/transport", *block.glob("device/nvme*/transport")]
        return {_text(file) for file in files} - {None} != {"pcie"}
    hosts = [path for path in block.resolve().parents if re.fullmatch(r"host\d+", path.name)]
    remote = any((host / kind).exists() for host in hosts for kind in _REMOTE_HOSTS)
    return remote or bool(_REMOTE.search(where))


def _layers(block):
    """Return what is made of this disk or its partitions, and all of these devices with their numbers."""
    holders = sorted({path.name for path in [*block.glob("holders/*"), *block.glob("*/holders/*")]})
    made = [block, *(block.parent / name for name in holders)]
    parts = [part for one in made for part in (one, *_partitions(one))]
    return {"holders": holders, "parts": [[part.name, _text(part / "dev")] for part in parts]}


def _partitions(block):
    return sorted(path.parent for path in block.glob("*/partition"))


def _away(disk):
    if disk["removable"] or disk["transport"] == "usb" or not disk["bytes"]:
        return "is a removable medium"
    if disk["fabric"]:
        return "comes over a storage network, where other hosts may use it"
    return None


def _add(found, disk):
    """A second way to a disk that is there already only adds what is known of it."""
    same = next((one for one in found if _are_one(one, disk)), None)
    if same is None:
        found.append(disk)
        return
    for key in ("paths", "holders", "parts"):
        same[key] += [one for one in disk[key] if one not in same[key]]
    for key in ("serial", "wwn", "model", "away"):
        same[key] = same[key] or disk[key]
    same["read_only"] |= disk["read_only"]
    same["fabric"] |= disk["fabric"]


def _are_one(one, other):
    """Two disks taken for one would leave data behind: nothing that is known of them may differ."""
    if (one["bytes"], one["unit"]) != (other["bytes"], other["unit"]):
        return False
    pairs = [(one[key], other[key]) for key in ("serial", "wwid") if one[key] and other[key]]
    named = any(one[key] and one[key] == other[key] for key in ("serial", "wwn"))
    return named and all(mine == theirs for mine, theirs in pairs)
