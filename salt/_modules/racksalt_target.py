"""
The root filesystem of the system that is being installed on a real machine: written from a signed image, read
back, checked, grown, and mounted where others work in it.

The filesystem's UUID is set last and says which installation wrote which image; a killed try leaves another.
"""

import hashlib
import pathlib
import time

from salt.exceptions import CommandExecutionError

LABEL = "racksalt-root"
_FILE = "root.ext4.zst"
_TARGET = "/run/racksalt/target"
_BOUND = ("dev", "proc", "sys", "run")
_CHUNK = 4 * 2**20


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
    return "racksalt_target"


def plan(settings):
    """
    Return whether the root filesystem is this image's already: ``{"done", "comment", "changes"}``.
    The image's signature is checked.

    settings
        ``{"source": "os/debian-12/2026.11"}``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.plan '{source: os/debian-12/2026.11}'
    """
    source, device = _source(settings), __salt__["racksalt_partition.made"]()["root"]
    manifest, wanted = _wanted(source)
    if _uuid(device) == _mark(wanted):
        comment = f"{device} has the image {source} by this installation"
        return {"done": True, "comment": comment, "changes": {}}
    image = {key: manifest.get(key) for key in ("name", "version", "arch")}
    changes = {"device": device, "image": image, "sha256": wanted["unpacked_sha256"]}
    return {"done": False, "comment": f"would write {source} to {device}", "changes": changes}


def carry_out(settings):
    """
    Write the image to the root device, read it back, grow the filesystem and check it. ``current`` is
    the version that it is at the beginning, whatever the site makes of it meanwhile.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.carry_out '{source: os/debian-12/2026.11}'
    """
    __salt__["racksalt_disk.check_may_write"]()
    told = plan(settings)
    source, device = _versioned(told["changes"]["image"]), told["changes"]["device"]
    _, wanted = _wanted(source)
    release()
    _fits(device, wanted)
    seconds = _timed(
        write=lambda: __salt__["racksalt_image.write"](source, _FILE, device),
        read_back=lambda: _read_back(device, wanted),
        grow=lambda: _grow(device, _mark(wanted)),
    )
    size_gb = round(_bytes(device) / 10**9, 1)
    comment = f"{source} written to {device}, read back, checked and grown to {size_gb} GB"
    return {"comment": comment, "changes": told["changes"] | {"seconds": seconds}}


def folder():
    """
    Return where the installed system is mounted while something works in it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.folder
    """
    return str((__opts__.get("racksalt") or {}).get("target") or _TARGET)


def mount(read_only=False):
    """
    Mount the installed system, with the kernel's folders unless it is only read, and return where.
    ``release`` undoes it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.mount
    """
    release()
    root = pathlib.Path(folder())
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    device = __salt__["racksalt_partition.made"]()["root"]
    # A journal is not replayed by looking at the system.
    options = ["-o", "ro,noload"] if read_only else []
    _run(["mount", "-t", "ext4", *options, device, root])
    # A copy of it in a mount namespace that somebody makes meanwhile is let go together with it.
    _run(["mount", "--make-shared", root])
    for name in () if read_only else _BOUND:
        (root / name).mkdir(exist_ok=True)
        _run(["mount", "--bind", f"/{name}", root / name])
    return str(root)


def release():
    """
    Unmount whatever is mounted at or below the installed system, also what a killed try left there.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.release
    """
    for place in reversed(_mounted(folder())):
        _run(["umount", place])


def device_uuid(device):
    """
    Return the UUID of the filesystem on a device, None for none.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_target.device_uuid /dev/sda3
    """
    return _uuid(device)


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _mounted(root):
    """Return the mount points at or below a folder, in the order in which they were made."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split()[4].replace("\\040", " ") for line in lines]  # proc(5)
    return [place for place in places if place == root or place.startswith(f"{root}/")]


def _source(settings):
    source = __salt__["racksalt_settings.checked"]("image", settings).get("source")
    if not source:
        message = "no image is chosen: set racksalt:stages:image:source, e.g. os/debian-12/2026.11"
        raise CommandExecutionError(message)
    return source


def _versioned(image):
    return f"os/{image['name']}/{image['version']}"


def _wanted(source):
    manifest = __salt__["racksalt_image.manifest"](source)
    try:
        return manifest, manifest["files"][_FILE]
    except (KeyError, TypeError):
        message = f"the image {source} has no {_FILE}: it is no operating system"
        raise CommandExecutionError(message) from None


def _mark(wanted):
    return __salt__["racksalt_disk.mark"](f"image {wanted['unpacked_sha256']}")


def _uuid(device):
    told = _run(["blkid", "-p", "-s", "UUID", "-o", "value", device], codes=(0, 2, 8))
    return told.strip() or None


def _bytes(device):
    name = device.rpartition("/")[2]
    return int(pathlib.Path("/sys/class/block", name, "size").read_text()) * 512


def _timed(**acts):
    """Do one after the other; return how many seconds each took."""
    seconds = {}
    for name, act in acts.items():
        began = time.monotonic()
        act()
        seconds[name] = round(time.monotonic() - began, 1)
    return seconds


def _fits(device, wanted):
    have, need = _bytes(device), int(wanted["unpacked_bytes"])
    if have < need:
        message = f"{device} has {have} bytes, the image needs {need}: raise root_gb or the disk"
        raise CommandExecutionError(message)


def _read_back(device, wanted):
    """Compare what the disk gives, not what the kernel remembers of the writing."""
    _run(["blockdev", "--flushbufs", device])
    left, digest = int(wanted["unpacked_bytes"]), hashlib.sha256()
    with pathlib.Path(device).open("rb", buffering=0) as file:
        while left > 0:
            chunk = file.read(min(left, _CHUNK))
            if not chunk:
                break
            digest.update(chunk)
            left -= len(chunk)
    if left or digest.hexdigest() != wanted["unpacked_sha256"]:
        message = f"{device}: what was written is not read back as sent; the disk may be failing"
        raise CommandExecutionError(message)


def _grow(device, uuid):
    # What was read back needs no check before (-f); the one after it is of both. 1: errors were corrected (e2fsck(8)).
    _run(["resize2fs", "-f", device])
    _run(["e2fsck", "-f", "-y", device], codes=(0, 1))
    _run(["tune2fs", "-L", LABEL, device])
    _run(["tune2fs", "-U", uuid, device])
    _run(["blockdev", "--flushbufs", device])
