"""
The system disk of a virtual machine of the lab: a folder (``racksalt: {target_root: /path}``).

Stands in for ``racksalt_disk`` where the minion's configuration names a ``hardware_file``.
"""

import hashlib
import json
import os
import pathlib
import platform
import shutil
import time

from salt.exceptions import CommandExecutionError

_LAYOUT = ".racksalt/layout.json"
_CHUNK = bytes(2**20)


def __virtual__():
    if "hardware_file" not in (__opts__.get("racksalt") or {}):
        return False, "this machine has real disks"
    return "racksalt_disk"


def plan(stage, settings=None):
    """
    Return what a stage finds: ``{"done": bool, "comment", "changes", "data"}``. Changes nothing.

    stage
        ``partition``, ``image``, ``configure`` or ``erase``

    settings
        what the node's pillar has below ``racksalt:stages:<stage>``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.plan erase
    """
    return _PLANS[stage](_checked(stage, settings))


def carry_out(stage, settings=None):
    """
    Do what ``plan`` says: returns ``{"comment", "changes", "data"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.carry_out erase
    """
    return _DEEDS[stage](_checked(stage, settings))


def check_may_write(names=()):
    """
    Raise an error: this machine's disk is a folder, and no device of the computer below it is written to.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.check_may_write
    """
    message = f"this machine's disk is a folder; nothing was written to {names or 'any device'}"
    raise CommandExecutionError(message)


def target():
    """
    Return the folder that is the system disk's root.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.target
    """
    root = pathlib.Path(__opts__["racksalt"]["target_root"]).resolve()
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


def _checked(stage, settings):
    if stage == "configure":
        settings = __salt__["pillar.get"]("racksalt:stages:configure", {}, unmask=True)
    return __salt__["racksalt_settings.checked"](stage, settings)


def _partition_plan(settings):
    now = layout()
    wanted = {"partitions": _partitions(settings), "installation": installation()}
    if now == wanted:
        return _done("partitioned by this installation already")
    return _open("would partition; the disk's content would be lost", wanted)


def _partition(settings):
    made = partition(_partitions(settings))
    return {"comment": f"{len(made.get('partitions', ()))} partitions", "changes": made}


def _partitions(settings):
    return settings.get("partitions") or [{"name": "root", "filesystem": "ext4"}]


def _image_plan(settings):
    source = _source(settings)
    differ = image_differs(source)
    if not differ:
        return _done(f"the disk has the image {source}")
    return _open(f"would write {len(differ)} files", {"files": differ})


def _image(settings):
    written = image(_source(settings))
    return {"comment": f"{len(written)} files written and compared", "changes": {"files": written}}


def _source(settings):
    return settings.get("source") or "images/minimal"


def _configure_plan(_settings):
    if __salt__["racksalt_boot.enrolled"](target()):
        return _done("has the minion of this installation")
    return _open("would make a key pair and a proof for the first boot", {})


def _configure(_settings):
    made = __salt__["racksalt_boot.enrol"](target())
    return {"comment": "the installed minion can prove itself", "changes": made}


def _erase_plan(_settings):
    files = content()
    if not files:
        data = {"erasure": _erasure(0, "found empty", time.time())}
        return {**_done("the disk is empty"), "data": data}
    return _open(f"would erase {files} files", {"files": files})


def _erase(_settings):
    begun = time.time()
    done = erase()
    data = {"erasure": _erasure(done["bytes"], "overwritten file by file", begun)}
    told = f"{done['files']} files erased, the disk is empty"
    return {"comment": told, "changes": done, "data": data}


def _erasure(size, method, begun):
    """Say what became of the folder, in the form of ``racksalt_erase`` for real disks."""
    disks = __salt__["racksalt_hardware.inventory"]().get("disks") or [{}]
    disk = {
        "name": disks[0].get("name"),
        "serial": disks[0].get("serial"),
        "bytes": size,
        "method": method,
        "verified": {"how": "looked for files", "bytes": 0},
    }
    tools = {"kernel": platform.release()}
    return {"disks": [disk], "started_at": begun, "ended_at": time.time(), "tools": tools}


def _done(comment):
    return {"done": True, "comment": comment, "changes": {}}


def _open(comment, changes):
    return {"done": False, "comment": comment, "changes": changes}


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


_PLANS = {
    "partition": _partition_plan,
    "image": _image_plan,
    "configure": _configure_plan,
    "erase": _erase_plan,
}
_DEEDS = {"partition": _partition, "image": _image, "configure": _configure, "erase": _erase}
