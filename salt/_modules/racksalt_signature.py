"""
What is on a disk, a partition or an array, and whether that can be known. Nothing is written.

``wipefs`` and ``blkid`` answer a read error as if nothing was there (util-linux 2.38). What they look for is in
the first or last MiB: so nothing counts as blank of which these cannot be read.
"""

_MIB = 2**20
_SECTOR = 512  # bytes in sysfs, whatever the disk says
_UNREAD = "unreadable"
_PATIENCE_S = 60  # for a disk that first must spin up


def unreadable(devices):
    """
    Return those of these devices of which the first or last MiB cannot be read.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_signature.unreadable '[/dev/sda, /dev/sdb]'
    """
    asked = [(device, argv) for device in devices for argv in _readings(device)]
    told = __salt__["racksalt_probe.run_all"]([argv for _, argv in asked], _PATIENCE_S)
    pairs = zip(asked, told, strict=True)
    bad = {device for (device, _), one in pairs if one["problem"] or one["code"]}
    return [device for device in devices if device in bad]


def fields(device):
    """
    Return what ``blkid`` finds on a device: ``{"TYPE", "PTTYPE", "LABEL", …}``; nothing for a blank one.
    What cannot be read has the ``TYPE`` ``unreadable``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_signature.fields /dev/sda1
    """
    argv = ["blkid", "-p", "-o", "export", device]
    told = __salt__["racksalt_program.run"](argv, codes=(0, 2, 8))
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    return found or ({"TYPE": _UNREAD} if unreadable([device]) else {})


def content(device):
    """
    Return what is on a device in words, such as ``ext4 backup``; None for a blank one.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_signature.content /dev/sda1
    """
    found = fields(device)
    kind = found.get("TYPE") or found.get("PTTYPE")
    return " ".join(filter(None, (kind, found.get("LABEL")))) or None


def _readings(device):
    """Programs, and not this process, read: a disk that never answers would hold it for ever (``racksalt_probe``)."""
    size = __salt__["racksalt_probe.number"](f"/sys/class/block/{device.rpartition('/')[2]}/size")
    if size == 0:  # an array that is not started has nothing to read
        return []
    last = max((size or 0) * _SECTOR // _MIB - 1, 0)
    argv = ["dd", f"if={device}", "of=/dev/null", "bs=1M", "status=none"]
    return [[*argv, "count=1"], [*argv, f"skip={last}", "count=2"]]
