"""
The disks of a real machine: what they are, which of them racksalt may write to, and why not the others.

Every function that writes calls ``check_may_write`` first, and takes its disks from ``allowed`` or ``chosen``. A
disk is refused when it is none of the node's own (``racksalt_block``), in use, or outside the plan: the disks
that the store has in this node's inventory (pillar ``racksalt:disks``).
Nothing at all is written on a system that racksalt did not boot for it. ``racksalt: {only_devices: [...]}`` in
the minion's configuration narrows all of this to the named devices and stands for plan and boot, for tests.

Sources: ``racksalt_block``, ``/proc/self/mountinfo``, ``/proc/swaps``.
"""

import fnmatch
import hashlib
import pathlib
import re
import uuid

from salt.exceptions import CommandExecutionError

_BOOTED = re.compile(r"(?:^|\s)racksalt\.environment=(live|installer)(?:\s|$)")
_NAMESPACE = uuid.UUID("a5b0a1de-2ad5-5c3e-9e07-6e7a3c1b7f10")
_OUTSIDE = "is outside the plan:"
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
    return __salt__[f"{_STAGES[stage]}.plan"]({} if settings is None else settings)


def carry_out(stage, settings=None):
    """
    Do what ``plan`` says: returns ``{"comment", "changes", "data"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.carry_out partition '{disks: {count: 1}}'
    """
    return __salt__[f"{_STAGES[stage]}.carry_out"]({} if settings is None else settings)


def disks():
    """
    Return every disk as ``racksalt_block.disks`` does, with ``by_id`` and ``refused``, which says why
    racksalt will not write to it, None if it may.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.disks
    """
    links, used, planned, only = _links(), _used(), _planned(), _only()
    found = __salt__["racksalt_block.disks"](only=only)
    for disk in found:
        disk["by_id"] = links.get(disk["name"])
        disk["refused"] = _refusal(disk, used, planned, only)
    return found


def check_may_write(names=()):
    """
    Raise an error unless racksalt booted this system to write to disks, and may write to each of these.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.check_may_write '[sda]'
    """
    if _only() is None and not _BOOTED.search(pathlib.Path("/proc/cmdline").read_text()):
        message = "racksalt did not boot this system to install or erase it; nothing was changed"
        raise CommandExecutionError(message)
    found = {disk["name"]: disk for disk in disks()} if names else {}
    none = {"serial": None, "refused": "is no disk of this machine"}
    bad = [one for name in names if (one := found.get(name) or {"name": name, **none})["refused"]]
    if bad:
        raise CommandExecutionError(f"nothing was changed: {_told(bad)}")


def allowed(wanted="all"):
    """
    Return the disks to erase: ``all`` of the plan, the ``system`` disks, or those with these serial
    numbers or WWNs. Raises an error that names every disk that is refused or missing, and why.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.allowed all
    """
    found = [disk for disk in disks() if not disk["away"]]
    if wanted == "system":
        system = chosen(__salt__["pillar.get"]("racksalt:stages:partition", {}, unmask=True))
        __salt__["racksalt_partition.no_second_system"](system)
        return system
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
    smallest first. Raises an error that says of each other disk why it is refused, and one where a disk
    that may be the one meant is missing or write-protected: another is not taken instead.

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
    found = _judged(match, settings)
    _all_there(found, match)
    fit = [disk for disk in found if not disk["refused"]]
    if len(fit) < count:
        told = _told([disk for disk in found if disk["refused"]]) or "there is no disk"
        message = f"{count} system disks wanted, {len(fit)} fit; nothing was changed: {told}"
        raise CommandExecutionError(message)
    return fit[:count]


def refusals(settings=None):
    """
    Return ``{name: why}`` of the disks that cannot be system disks with these settings.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_disk.refusals
    """
    match = ((settings or {}).get("disks") or {}).get("match") or {}
    found = _judged(match, settings or {})
    return {disk["name"]: disk["refused"] for disk in found if disk["refused"]}


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


def _only():
    only = (__opts__.get("racksalt") or {}).get("only_devices")
    return None if only is None else {str(name) for name in only}


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
    for name, number in disk["parts"]:
        how = used.get(number) or used.get(name)
        if how:
            return f"{name} is {how}"
    return None


def _planned():
    """Return the disks that the store has of this node; None without an inventory of it."""
    told = __salt__["pillar.get"]("racksalt:disks", None, unmask=True)
    return told if isinstance(told, list) else None


def _lacking(found):
    """Return what the plan has and the machine has not: it was not erased, wherever it is."""
    lacks = [one for one in _planned() or () if not any(_is_same(disk, one) for disk in found)]
    why = "is in the plan and not in the machine: commission it again if that is right"
    return [{**dict.fromkeys(("name", "serial", "wwn")), **one, "refused": why} for one in lacks]


def _all_there(found, match):
    """A disk that the settings do not exclude by what is known of it may be the one that they mean."""
    there, plan = [disk for disk in found if not disk["away"]], _planned() or ()
    stuck = [d for d in there if d["read_only"] and any(_is_same(d, one) for one in plan)]
    gone = [*_lacking(there), *stuck]
    bad = [d for d in gone if all(_may_fit(key, wanted, d) for key, wanted in match.items())]
    if bad:
        told = f"the system disk may be one that cannot be had; nothing was changed: {_told(bad)}"
        hint = "racksalt:stages:partition:disks:match can name the system disks by serial or wwn"
        raise CommandExecutionError(f"{told}; {hint}")


def _refusal(disk, used, planned, only):
    if disk["away"]:
        return disk["away"]
    if disk["read_only"]:
        return "is write-protected"
    use = _use(disk, used)
    if use:
        return f"is in use: {use}"
    mapped = [name for name in disk["holders"] if not name.startswith("md")]
    if mapped:
        return f"is in use by {', '.join(mapped)}"
    if planned is None:
        return None if only is not None else f"{_OUTSIDE} racksalt has none while a node is at rest"
    if not any(_is_same(disk, one) for one in planned):
        return f"{_OUTSIDE} it is not in the inventory that racksalt has of this node"
    return None


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
    asked = __salt__["racksalt_settings.checked"]("erase", {"disks": wanted})["disks"]
    names = {_plain(name) for name in ([asked] if isinstance(asked, str) else asked)}
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
    __salt__["racksalt_settings.checked"]("partition", settings)
    pair = _raid(settings), _count(settings)
    if pair not in (("none", 1), ("raid1", 2)):
        told = f"raid {pair[0]!r} on {pair[1]} disks cannot be built; use none on 1 or raid1 on 2"
        raise CommandExecutionError(f"racksalt:stages:partition: {told}")
    if (settings.get("filesystem") or "ext4") != "ext4":
        message = "racksalt:stages:partition:filesystem: images are ext4 filesystems, nothing else"
        raise CommandExecutionError(message)


def _judged(match, settings):
    """Return all disks, the smallest first, each with why it is no system disk for these settings."""
    bodies, found = {}, sorted(disks(), key=_place)
    for disk in found:
        disk["refused"] = _unfit(disk, match, settings)
        first = bodies.get(disk["body"])
        if not disk["refused"] and first and _raid(settings) == "raid1":
            disk["refused"] = f"is in the same hardware as {first}: a mirror needs two"
        if not disk["refused"]:
            bodies.setdefault(disk["body"], disk["name"])
    return found


def _place(disk):
    """Kernel names change from boot to boot: among disks of one size, they decide where nothing else does."""
    return disk["bytes"], *(disk[key] or "" for key in ("serial", "wwn", "name"))


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


def _may_fit(key, wanted, disk):
    """Of a missing disk the plan knows serial number, WWN and rounded size; a kernel name may be another's now."""
    if "bytes" in disk:
        return _fits(key, wanted, disk)
    size_gb = disk.get("size_gb")
    if key in ("min_gb", "max_gb") and size_gb:
        slack_gb = 0.5 if key == "min_gb" else -0.5
        return _fits(key, wanted, {"bytes": (size_gb + slack_gb) * 10**9})
    return key not in ("serial", "wwn") or not disk[key] or _fits(key, wanted, disk)


def _told(found):
    return "; ".join(
        f"{disk['name']} (serial {disk['serial'] or 'unknown'}) {disk['refused']}" for disk in found
    )
