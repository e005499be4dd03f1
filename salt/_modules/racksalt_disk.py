"""
The disks of a real machine: what they are, which of them racksalt may write to, and why not the others.

Every function that writes goes through ``allowed`` or ``chosen``. A disk is refused when it is removable, in
use, or outside the plan: the disks that the store has in this node's inventory (pillar ``racksalt:disks``).
Nothing at all is written on a system that racksalt did not boot for it. ``racksalt: {only_devices: [...]}`` in
the minion's configuration narrows all of this to the named devices and stands for plan and boot, for tests.

Sources: sysfs (Linux ABI, ``sysfs-block``), ``/proc/self/mounts``, ``/proc/swaps``.
"""

import fnmatch
import hashlib
import pathlib
import re
import uuid

from salt.exceptions import CommandExecutionError

_NOT_A_DISK = re.compile(r"(loop|ram|zram|dm-|md|sr|fd|nbd|drbd|rbd|bcache|zd|mmcblk\d+boot)")
_BOOTED = re.compile(r"(?:^|\s)racksalt\.environment=(live|installer)(?:\s|$)")
_NAMESPACE = uuid.UUID("a5b0a1de-2ad5-5c3e-9e07-6e7a3c1b7f10")
_PAGE_80_HEADER = 4  # SPC-4 section 7.8.15
_MATCHES = ("serial", "wwn", "model", "name", "min_gb", "max_gb", "rotational", "transport")
_NO_TEXTS = ("min_gb", "max_gb", "rotational")
_SETTINGS = ("disks", "raid", "root_gb", "filesystem", "partitions")
_FLAGS = {"rotational": "queue/rotational", "removable": "removable", "read_only": "ro"}
_STAGES = {
    "partition": "racksalt_partition",
    "image": "racksalt_target",
    "configure": "racksalt_configure",
    "erase": "racksalt_erase",
}


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
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

        salt 'r1n1' racksalt_disk.plan partition '{disks: {count: 1}}'
    """
    return __salt__[f"{_STAGES[stage]}.plan"](settings or {})


def carry_out(stage, settings=None):
    """
    Do what ``plan`` says: returns ``{"comment", "changes", "data"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.carry_out partition '{disks: {count: 1}}'
    """
    _booted_for_it()
    return __salt__[f"{_STAGES[stage]}.carry_out"](settings or {})


def disks():
    """
    Return every disk: ``[{"name", "device", "by_id", "serial", "wwn", "model", "bytes", "rotational",
    "transport", "removable", "holders", "refused"}]``. ``refused`` says why racksalt will not write to
    it, None if it may.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.disks
    """
    links, used, planned, only = _links(), _used(), _planned(), _only()
    found = [_disk(block, links) for block in _blocks(only)]
    for disk in found:
        disk["refused"] = _refusal(disk, used, planned, only)
    return found


def allowed(wanted="all"):
    """
    Return the disks to erase: ``all`` of the plan, the ``system`` disks, or those with these serial
    numbers or WWNs. Raises an error that names every disk that is refused or missing, and why.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.allowed all
    """
    found = [disk for disk in disks() if not _is_medium(disk)]
    if wanted == "system":
        return chosen(__salt__["pillar.get"]("racksalt:stages:partition", {}, unmask=True))
    if not wanted:
        message = "nothing was erased: no disk is asked for; say all, system or serial numbers"
        raise CommandExecutionError(message)
    bad = _lacking(found) if wanted == "all" else []
    if wanted != "all":
        found = _named(found, wanted)
    bad += [disk for disk in found if disk["refused"]]
    if bad or not found:
        raise CommandExecutionError(f"nothing was erased: {_told(bad) or 'there is no disk'}")
    return found


def chosen(settings=None):
    """
    Return the system disks for these settings of the stage ``partition``: those that match, the
    smallest first. Raises an error that says of each other disk why it is refused.

    settings
        ``{"disks": {"count": 1, "match": {…}}, "raid": "none", "root_gb": 40}``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.chosen '{disks: {count: 2}, raid: raid1}'
    """
    settings = settings or {}
    _sense(settings)
    wanted = settings.get("disks") or {}
    count, match = _count(settings), wanted.get("match") or {}
    refused = {disk["name"]: (disk, _unfit(disk, match, settings)) for disk in disks()}
    fit = [disk for disk, why in refused.values() if not why]
    if len(fit) < count:
        others = [{**disk, "refused": why} for disk, why in refused.values() if why]
        told = _told(others) or "there is no disk"
        message = f"{count} system disks wanted, {len(fit)} fit; nothing was changed: {told}"
        raise CommandExecutionError(message)
    return sorted(fit, key=lambda disk: (disk["bytes"], disk["name"]))[:count]


def refusals(settings=None):
    """
    Return ``{name: why}`` of the disks that cannot be system disks with these settings.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.refusals
    """
    match = ((settings or {}).get("disks") or {}).get("match") or {}
    told = {disk["name"]: _unfit(disk, match, settings or {}) for disk in disks()}
    return {name: why for name, why in told.items() if why}


def installation():
    """
    Return the name of the installation that this boot is for; each boot of the installer has its own.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.installation
    """
    token = (__opts__.get("racksalt") or {}).get("token", "")
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def mark(what):
    """
    Return the UUID that stands for a part of this installation. It is written to the disk last, so
    that the disk itself says what this installation has finished.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.mark root
    """
    return str(uuid.uuid5(_NAMESPACE, f"{installation()} {what}"))


def _booted_for_it():
    if _only() is None and not _BOOTED.search(pathlib.Path("/proc/cmdline").read_text()):
        message = "racksalt did not boot this system to install or erase it; nothing was changed"
        raise CommandExecutionError(message)


def _only():
    only = (__opts__.get("racksalt") or {}).get("only_devices")
    return None if only is None else {str(name) for name in only}


def _blocks(only):
    blocks = sorted(pathlib.Path("/sys/block").glob("*"))
    if only is not None:
        return [block for block in blocks if block.name in only]
    return [b for b in blocks if not _NOT_A_DISK.match(b.name) and _text(b / "hidden") != "1"]


def _disk(block, links):
    wwid = (_text(block / "device/wwid") or _text(block / "wwid") or "").lower()
    flags = {key: _text(block / file) == "1" for key, file in _FLAGS.items()}
    return {
        "name": block.name,
        "device": f"/dev/{block.name}",
        "by_id": links.get(block.name),
        "serial": _serial(block),
        "wwn": wwid.replace("naa.", "0x") or None,
        "model": _text(block / "device/model"),
        "bytes": int(_text(block / "size") or 0) * 512,  # sectors of 512, whatever the disk says
        "transport": _transport(block.name, str(block.resolve())),
        "holders": _holders(block),
        **flags,
    }


def _serial(block):
    try:
        page = (block / "device/vpd_pg80").read_bytes()[_PAGE_80_HEADER:]
        told = page.decode(errors="replace").strip("\0 \n")
    except OSError:
        told = ""
    return told or _text(block / "device/serial") or _text(block / "serial")


def _transport(name, where):
    kinds = {"nvme": "nvme", "vd": "virtio", "loop": "loop", "mmcblk": "mmc"}
    known = next((kind for begin, kind in kinds.items() if name.startswith(begin)), None)
    return known or next((kind for kind in ("usb", "ata") if f"/{kind}" in where), "scsi")


def _holders(block):
    """Return the kernel devices that are made of this disk or of its partitions."""
    return sorted({path.name for path in [*block.glob("holders/*"), *block.glob("*/holders/*")]})


def _links():
    """Return one ``/dev/disk/by-id`` path a disk, where something keeps that folder."""
    links = {}
    for link in sorted(pathlib.Path("/dev/disk/by-id").glob("*"), reverse=True):
        links[link.resolve().name] = str(link)
    return links


def _used():
    """Return ``{device number or name: how it is used}`` of mounts and swap."""
    used, ours = {}, __salt__["racksalt_target.folder"]()
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()  # proc(5): the third is major:minor, the fifth the mount point
        if not f"{fields[4]}/".startswith(f"{ours}/"):  # a killed try left it there, nobody uses it
            used.setdefault(fields[2], f"mounted at {fields[4]}")
    for line in pathlib.Path("/proc/swaps").read_text().splitlines()[1:]:
        used[pathlib.Path(line.split()[0]).name] = "in use as swap"
    return used


def _use(disk, used):
    block = pathlib.Path("/sys/block", disk["name"])
    held = [pathlib.Path("/sys/block", name) for name in disk["holders"]]
    for part in (block, *block.glob(f"{block.name}*"), *held):
        how = used.get(_text(part / "dev")) or used.get(part.name)
        if how:
            return f"{part.name} is {how}"
    return None


def _planned():
    """Return the disks that the store has of this node; None without an inventory of it."""
    told = __salt__["pillar.get"]("racksalt:disks", None, unmask=True)
    return told if isinstance(told, list) else None


def _lacking(found):
    """Return what the plan has and the machine has not: it was not erased, wherever it is."""
    lacks = [one for one in _planned() or () if not any(_is_same(disk, one) for disk in found)]
    why = "is in the plan and not in the machine: commission it again if that is right"
    return [{"name": one.get("name"), "serial": one.get("serial"), "refused": why} for one in lacks]


def _refusal(disk, used, planned, only):
    if _is_medium(disk):
        return "is a removable medium"
    if disk["read_only"]:
        return "is write-protected"
    use = _use(disk, used)
    if use:
        return f"is in use: {use}"
    mapped = [name for name in disk["holders"] if not name.startswith("md")]
    if mapped:
        return f"is in use by {', '.join(mapped)}"
    needs_plan = only is None or planned is not None
    if needs_plan and not any(_is_same(disk, one) for one in planned or ()):
        return "is outside the plan: it is not in the inventory that racksalt has of this node"
    return None


def _is_medium(disk):
    return disk["removable"] or disk["transport"] == "usb" or not disk["bytes"]


def _is_same(disk, told):
    """Say whether a disk is the one that the inventory has: by serial number or WWN, else by name and size."""
    mine = {_plain(disk["serial"]), _plain(disk["wwn"])} - {""}
    theirs = {_plain(told.get("serial")), _plain(told.get("wwn"))} - {""}
    if theirs:
        return bool(mine & theirs)
    size_gb = round(disk["bytes"] / 10**9)
    return not mine and (told.get("name"), told.get("size_gb")) == (disk["name"], size_gb)


def _plain(text):
    return str(text or "").strip().lower()


def _named(found, wanted):
    names = {_plain(name) for name in __salt__["racksalt_drive.texts"]("disks", wanted)}
    missing = names - {_plain(disk[key]) for disk in found for key in ("serial", "wwn")}
    if missing:
        message = f"nothing was erased: no disk has the serial or WWN {', '.join(sorted(missing))}"
        raise CommandExecutionError(message)
    return [disk for disk in found if {_plain(disk["serial"]), _plain(disk["wwn"])} & names]


def _count(settings):
    return int((settings.get("disks") or {}).get("count") or (1 + (_raid(settings) == "raid1")))


def _raid(settings):
    return settings.get("raid") or "none"


def _sense(settings):
    wanted = settings.get("disks") or {}
    for key, given, known in (
        ("", settings, _SETTINGS),
        (":disks", wanted, ("count", "match")),
        (":disks:match", wanted.get("match") or {}, _MATCHES),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown:
            told = f"no key {', '.join(unknown)}; use {', '.join(known)}"
            raise CommandExecutionError(f"racksalt:stages:partition{key}: {told}")
    for key, asked in (wanted.get("match") or {}).items():
        if key not in _NO_TEXTS:
            __salt__["racksalt_drive.texts"](f"racksalt:stages:partition:disks:match:{key}", asked)
    _shape(settings)


def _shape(settings):
    pair = _raid(settings), _count(settings)
    if pair not in (("none", 1), ("raid1", 2)):
        told = f"raid {pair[0]!r} on {pair[1]} disks cannot be built; use none on 1 or raid1 on 2"
        raise CommandExecutionError(f"racksalt:stages:partition: {told}")
    if (settings.get("filesystem") or "ext4") != "ext4":
        message = "racksalt:stages:partition:filesystem: images are ext4 filesystems, nothing else"
        raise CommandExecutionError(message)


def _unfit(disk, match, settings):
    if disk["refused"]:
        return disk["refused"]
    for key, wanted in match.items():
        if not _fits(key, wanted, disk):
            return f"is not asked for ({key} {wanted})"
    need_gb = float(settings.get("root_gb") or 0) + 0.6
    if disk["bytes"] < need_gb * 10**9:
        return f"is too small: {disk['bytes'] / 10**9:.1f} GB, {need_gb:g} GB are needed"
    return __salt__["racksalt_partition.member"](disk["name"])


def _fits(key, wanted, disk):
    if key in ("min_gb", "max_gb"):
        size, limit = disk["bytes"], float(wanted) * 10**9
        return size >= limit if key == "min_gb" else size <= limit
    if key == "rotational":
        return disk[key] is bool(wanted)
    patterns = wanted if isinstance(wanted, list) else [wanted]
    return any(fnmatch.fnmatch(_plain(disk[key]), _plain(pattern)) for pattern in patterns)


def _told(found):
    return "; ".join(
        f"{disk['name']} (serial {disk['serial'] or 'unknown'}) {disk['refused']}" for disk in found
    )


def _text(path):
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
