"""
Software RAID of a real machine's data disks, with mdadm and the kernel's ``/proc/mdstat``.

An array is known by the name in its superblock, never by disk names, which differ from boot to boot.
A disk that holds anything, or that is in use, is taken only where the plan says ``overwrite``; a disk
that is mounted is never taken. Hardware controllers are in ``racksalt_raid_controller``.
"""

import json
import pathlib
import re

from salt.exceptions import CommandExecutionError

_LINE = re.compile(
    r"^(md\S*) : (active|inactive)(?: \((?:auto-)?read-only\))? (?:(raid\d+|linear|multipath) )?(.*)$"
)
_MEMBER = re.compile(r"([^\s\[]+)\[\d+\](\([A-Z]\))?")
_STATE = re.compile(r"\[(\d+)/(\d+)\] \[([U_]+)\]")
_SYNC = re.compile(r"(resync|recovery|reshape|check)\s*=\s*(?:([0-9.]+)%|DELAYED|PENDING)")
_REBUILDS = ("recovery", "reshape")
_CREATE_S = 120


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's hardware is described by a file"
    return "racksalt_raid"


def arrays(root="/"):
    """
    Return the arrays that the kernel has: ``[{"device", "active", "level", "members", "devices",
    "working", "doing", "sync"}]``. ``doing`` (``resync``, ``recovery``, ``reshape`` or ``check``) and
    ``sync``, its percentage, are absent where nothing goes on. One that is not active only holds its disks.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.arrays
    """
    try:
        return mdstat(pathlib.Path(root, "proc/mdstat").read_text())
    except OSError:
        return []


def mdstat(text):
    """
    Return the arrays that a ``/proc/mdstat`` tells of.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.mdstat "$(cat /proc/mdstat)"
    """
    found = []
    for line in text.splitlines():
        head, state, sync = _LINE.match(line), _STATE.search(line), _SYNC.search(line)
        if head:
            members = [name for name, _ in _MEMBER.findall(head[4])]
            about = {"device": head[1], "active": head[2] == "active", "level": head[3]}
            found.append({**about, "members": sorted(members)})
        elif found and state:
            found[-1].update(devices=int(state[1]), working=int(state[2]))
        if found and not head and sync:
            found[-1].update(doing=sync[1], sync=float(sync[2] or 0))
    return found


def superblocks(names):
    """
    Return what mdadm finds on these disks: ``{disk: {"name", "level", "devices", "uuid"}}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.superblocks '[sdb, sdc]'
    """
    asked = [["mdadm", "--examine", "--export", f"/dev/{name}"] for name in names]
    told = __salt__["racksalt_probe.run_all"](asked)
    found = {name: superblock(one["out"]) for name, one in zip(names, told, strict=True)}
    return {name: block for name, block in found.items() if block}


def superblock(text):
    """
    Return what ``mdadm --examine --export`` says of one disk; empty where there is no array on it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.superblock "$(mdadm --examine --export /dev/sdb)"
    """
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if "MD_UUID" not in said:
        return {}
    name = said.get("MD_NAME", "")
    return {
        "name": name.rpartition(":")[2],
        "level": said.get("MD_LEVEL"),
        "devices": int(said.get("MD_DEVICES") or 0),
        "uuid": said["MD_UUID"],
    }


def content(names):
    """
    Return what is on these disks, as ``wipefs`` finds it: ``{disk: ["ext4", "gpt", …]}``, blank disks
    left out. A disk that cannot be looked at, or read, counts as one with unknown content.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.content '[sdb, sdc]'
    """
    told = __salt__["racksalt_probe.run_all"]([["wipefs", "--json", f"/dev/{it}"] for it in names])
    found = {name: _signatures(one) for name, one in zip(names, told, strict=True)}
    blank = [f"/dev/{name}" for name, kinds in found.items() if not kinds]
    for device in __salt__["racksalt_signature.unreadable"](blank):
        found[device.removeprefix("/dev/")] = ["unknown"]
    return {name: kinds for name, kinds in found.items() if kinds}


def plan(wanted, overwrite=False):
    """
    Return what is to be done for the arrays in ``wanted``; nothing is changed.

    wanted
        ``[{"name": "data", "level": "raid1", "devices": 2, "disks": [sdb, sdc]}]``; ``disks`` are
        names, serial numbers or WWNs, or ``match`` chooses among the free ones (``media``,
        ``size_gb_min``, ``size_gb_max``, ``model``)

    overwrite
        whether disks that hold something may be taken

    Returns ``[{"array", "action", "disks", "why"}]``; the action is ``none``, ``assemble``,
    ``create`` or ``refuse``. Raises an error for a word that no array has (``racksalt_settings``).

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.plan '[{name: data, level: raid1, devices: 2, disks: [sdb, sdc]}]'
    """
    settings = {"arrays": wanted, "overwrite": overwrite}
    wanted = __salt__["racksalt_settings.checked"]("raid", settings)["arrays"] or ()
    disks = {disk["name"]: disk for disk in __salt__["racksalt_drive.disks"]()}
    blocks, known, steps = superblocks(sorted(disks)), arrays(), []
    barred, taken = _barred(disks), dict.fromkeys(_in_use(disks), "is in use")
    taken.update({name: "is in an array" for array in known for name in array["members"]})
    taken.update(barred)
    for array in wanted:
        there = sorted(name for name, block in blocks.items() if block["name"] == array["name"])
        if there:
            steps.append(_existing(array, there, blocks, known, barred))
        else:
            steps.append(_fresh(array, disks, taken, bool(overwrite)))
        taken.update(dict.fromkeys(steps[-1]["disks"], f"is for the array {array['name']}"))
    return steps


def carry_out(steps):
    """
    Do what ``plan`` returned, array by array; returns the names of the arrays that were made or
    assembled. The plan is checked before anything is written: one refusal stops all of it, and so does
    a disk that ``racksalt_disk`` refuses.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_raid.carry_out '[{array: {name: data, level: raid1}, action: create, disks: [sdb, sdc]}]'
    """
    refused = [step["why"] for step in steps if step["action"] == "refuse"]
    if refused:
        raise CommandExecutionError("; ".join(refused))
    todo = [step for step in steps if step["action"] != "none"]
    __salt__["racksalt_disk.check_may_write"]([name for step in todo for name in step["disks"]])
    for step in todo:
        if step["action"] == "create":
            _create(step["array"], step["disks"])
        elif step["action"] == "assemble":
            _assemble(step["array"], step["disks"], step.get("stop") or ())
    return [step["array"]["name"] for step in todo]


def _signatures(told):
    if told["problem"] or told["code"]:
        return ["unknown"]
    try:
        return sorted(
            {one["type"] for one in json.loads(told["out"] or "{}").get("signatures", ())}
        )
    except (ValueError, KeyError, TypeError):
        return ["unknown"]


def _barred(disks):
    """Return which of these disks racksalt may not write to, and why: ``{name: why}``."""
    whys = {disk["name"]: disk["refused"] for disk in __salt__["racksalt_disk.disks"]()}
    told = {name: whys.get(name, "is no disk of this machine") for name in disks}
    return {name: why for name, why in told.items() if why}


def _in_use(disks):
    """Return the disks that are mounted, or that something else is built on, themselves or by a partition."""
    mounts = pathlib.Path("/proc/mounts").read_text() + pathlib.Path("/proc/swaps").read_text()
    for name in disks:
        block = pathlib.Path("/sys/block", name)
        parts = [block, *(part.parent for part in block.glob("*/partition"))]
        held = any(
            (part / "holders").is_dir() and any((part / "holders").iterdir()) for part in parts
        )
        if held or any(f"/dev/{part.name} " in mounts for part in parts):
            yield name


def _existing(array, there, blocks, known, barred):
    step = {"array": array, "disks": there, "why": ""}
    ours = [one for one in known if set(one["members"]) & set(there)]
    running = [one for one in ours if one["active"]]
    why = _misshapen(array, there, blocks) or _degraded(array, there, running)
    if why:
        return {**step, "action": "refuse", "why": why}
    if running:
        return {**step, "action": "none"}
    if not barred.keys().isdisjoint(there):
        why = f"{array['name']} does not run: {_told(there, barred)}"
        return {**step, "action": "refuse", "why": why}
    # What the kernel began and could not start keeps its disks from being assembled.
    return {**step, "action": "assemble", "stop": [one["device"] for one in ours]}


def _misshapen(array, there, blocks):
    block = blocks[there[0]]
    shape = array["level"], int(array["devices"])
    if len({blocks[name]["uuid"] for name in there}) > 1:
        return f"two arrays are named {array['name']}"
    if (block["level"], block["devices"]) != shape:
        has = f"{block['level']} of {block['devices']}"
        return f"{array['name']} is there as {has}, not {shape[0]} of {shape[1]}; erase its disks first"
    return ""


def _degraded(array, there, running):
    """What is being rebuilt is not refused: RAID 5 and 6 begin their life so."""
    wanted = int(array["devices"])
    if not running and len(there) < wanted:
        return (
            f"{array['name']} is degraded: of its {wanted} disks only {', '.join(there)} are there"
        )
    for one in running:
        working = one.get("working", wanted)  # levels without redundancy run whole or not at all
        if working < wanted and one.get("doing") not in _REBUILDS:
            return f"{array['name']} is degraded: {working} of its {wanted} disks work"
    return ""


def _fresh(array, disks, taken, overwrite):
    chosen = _chosen(array, disks, taken)
    step = {"array": array, "disks": chosen, "action": "refuse"}
    if len(chosen) != int(array["devices"]):
        told = f"{array['devices']} disks wanted, {len(chosen)} fit and are free"
        others = _told([name for name in taken if _is_meant(array, disks.get(name))], taken)
        why = "; ".join(filter(None, (f"{array['name']}: {told}", others)))
        return {**step, "disks": [], "why": why}
    full = content(chosen)
    if full and not overwrite:
        what = ", ".join(f"{name} ({', '.join(kinds)})" for name, kinds in sorted(full.items()))
        return {**step, "why": f"{array['name']}: {what} would be lost; the plan does not allow it"}
    return {**step, "action": "create", "why": ""}


def _chosen(array, disks, taken):
    free = sorted(name for name in disks if name not in taken)
    meant = [name for name in free if _is_meant(array, disks[name])]
    return meant if array.get("disks") else meant[: int(array["devices"])]


def _is_meant(array, disk):
    named = array.get("disks")
    if disk is None or not named:
        return bool(disk and array.get("match")) and _fits(disk, array["match"])
    marks = set([named] if isinstance(named, str) else named)
    return bool({disk["name"], disk.get("serial"), disk.get("wwn")} & marks)


def _told(names, whys):
    return ", ".join(f"{name} {whys[name]}" for name in sorted(names) if name in whys)


def _fits(disk, match):
    size = disk.get("size_gb") or 0
    if not match.get("size_gb_min", 0) <= size <= match.get("size_gb_max", size):
        return False
    return all(disk.get(key) == match[key] for key in ("media", "model") if key in match)


def _create(array, names):
    paths = [f"/dev/{name}" for name in names]
    for name in names:
        parts = [
            f"/dev/{part.parent.name}"
            for part in pathlib.Path("/sys/block", name).glob("*/partition")
        ]
        _must(["wipefs", "--all", *parts, f"/dev/{name}"])
    how = ["--run", "--metadata=1.2", "--homehost=any", f"--name={array['name']}"]
    shape = [f"--level={array['level']}", f"--raid-devices={len(paths)}"]
    _must(["mdadm", "--create", f"/dev/md/{array['name']}", *how, *shape, *paths])


def _assemble(array, names, stop):
    for device in stop:
        _must(["mdadm", "--stop", f"/dev/{device}"])
    paths = [f"/dev/{name}" for name in names]
    _must(["mdadm", "--assemble", "--run", f"/dev/md/{array['name']}", *paths])


def _must(argv):
    done = __salt__["racksalt_probe.run"](argv, _CREATE_S)
    if done["problem"] or done["code"]:
        told = done["problem"] or done["err"].strip() or done["out"].strip()
        raise CommandExecutionError(f"{' '.join(argv[:2])}: {told[:500]}")
