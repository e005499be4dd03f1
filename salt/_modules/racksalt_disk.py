"""
The system disk of a node that is being installed or erased.

A virtual machine's disk is a folder (``racksalt: {target_root: /path}`` in its minion configuration).
Partitioning, imaging and erasing real block devices is not supported yet: every function that would
write to one says so and changes nothing.
"""

import hashlib
import json
import os
import pathlib
import shutil

from salt.exceptions import CommandExecutionError

_LAYOUT = ".racksalt/layout.json"
_CHUNK = bytes(2**20)


def target():
    """
    Return the folder that is the system disk's root.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.target
    """
    settings = __opts__.get("racksalt") or {}
    if "target_root" not in settings or "hardware_file" not in settings:
        message = "writing to real disks is not supported yet; nothing was changed"
        raise CommandExecutionError(message)
    root = pathlib.Path(settings["target_root"]).resolve()
    if not root.is_dir() or root == pathlib.Path("/"):
        message = f"the disk {root} is not there; nothing was changed"
        raise CommandExecutionError(message)
    return str(root)


def layout():
    """
    Return how the disk is partitioned and in which installation that was done; empty for a bare disk.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.layout
    """
    try:
        return json.loads(pathlib.Path(target(), _LAYOUT).read_text())
    except (OSError, ValueError):
        return {}


def partition(partitions):
    """
    Partition the disk anew; everything on it is lost. Returns what ``layout`` returns afterwards.

    partitions
        ``[{"name": "root", "size_gb": 40, "filesystem": "ext4"}]``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.partition '[{"name": "root", "filesystem": "ext4"}]'
    """
    root = pathlib.Path(target())
    _clear(root)
    file = root / _LAYOUT
    file.parent.mkdir(mode=0o700)
    made = {"partitions": partitions, "installation": installation()}
    file.write_text(json.dumps(made, indent=1))
    return layout()


def installation():
    """
    Return the name of the installation that this boot is for; each boot of the installer has its own.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.installation
    """
    token = (__opts__.get("racksalt") or {}).get("token", "")
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def image_differs(source):
    """
    Return the files of the image that the disk does not have as they should be.

    source
        folder on the master's file server, such as ``images/minimal``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.image_differs images/minimal
    """
    root = pathlib.Path(target())
    files = __salt__["cp.list_master"](prefix=f"{source}/")
    if not files:
        message = f"the master's file server has no image salt://{source}"
        raise CommandExecutionError(message)
    return [name for name in files if _sum(root / _inside(source, name)) != _wanted(name)]


def image(source):
    """
    Write the files of the image that differ and check them. Returns their names.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.image images/minimal
    """
    root = pathlib.Path(target())
    written = image_differs(source)
    for name in written:
        place = root / _inside(source, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        __salt__["cp.get_file"](f"salt://{name}", str(place))
    bad = image_differs(source)
    if bad:
        message = f"written but not read back as sent: {', '.join(bad[:5])}"
        raise CommandExecutionError(message)
    return [_inside(source, name) for name in written]


def erase():
    """
    Overwrite every file on the disk with zeros, remove it, and check that nothing is left.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.erase
    """
    root = pathlib.Path(target())
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    overwritten = sum(_overwrite(path) for path in files)
    _clear(root)
    left = [str(path) for path in root.rglob("*")]
    if left:
        message = f"still on the disk after erasing: {', '.join(left[:5])}"
        raise CommandExecutionError(message)
    return {"files": len(files), "bytes": overwritten}


def content():
    """
    Return how many files are on the disk.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.content
    """
    return sum(not path.is_dir() for path in pathlib.Path(target()).rglob("*"))


def _clear(root):
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _overwrite(path):
    size = path.stat().st_size
    path.chmod(0o600)
    with path.open("r+b") as file:
        for at in range(0, size, len(_CHUNK)):
            file.write(_CHUNK[: size - at])
        file.flush()
        os.fsync(file.fileno())
    return size


def _inside(source, name):
    return name.removeprefix(f"{source}/")


def _sum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _wanted(name):
    return __salt__["cp.hash_file"](f"salt://{name}").get("hsum")
