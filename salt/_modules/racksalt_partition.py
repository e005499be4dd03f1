"""
Partitions of the system disks of a real machine: GPT with a BIOS boot partition, an EFI system partition and
a root partition on every system disk, so that each of them boots alone, by BIOS or UEFI. With ``raid1`` the
root partitions are the halves of one mirror (Linux software RAID, metadata 1.2).

The disk's own GUID is written last and says which installation finished this; a killed try leaves another.
Types: UEFI 2.10 section 5.3.3, the GRUB manual's section on BIOS installation for the BIOS boot partition.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import time

from salt.exceptions import CommandExecutionError

LABEL = "racksalt-root"
_BIOS_MIB, _ESP_MIB = 1, 512
_TYPES = {
    "bios": "21686148-6449-6E6F-744E-656564454649",
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "root": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "raid": "A19D880F-05FC-4D3B-A006-743F0F84911E",
}
_APPEAR_S = 20


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
    return "racksalt_partition"


def plan(settings):
    """
    Return which disks would be wiped, with their serial numbers and what is on them, and why the
    others would not: ``{"done", "comment", "changes"}``.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.plan '{disks: {count: 1}}'
    """
    disks = __salt__["racksalt_disk.chosen"](settings)
    if _is_made(disks, settings):
        comment = f"{_names(disks)} partitioned by this installation already"
        return {"done": True, "comment": comment, "changes": {}}
    _arrays(disks)
    _no_other_choice(disks)
    no_second_system(disks)
    wiped = {disk["name"]: _about(disk) for disk in disks}
    changes = {"wiped": wiped, "left alone": __salt__["racksalt_disk.refusals"](settings)}
    comment = f"would wipe {_names(disks)}: everything there would be lost"
    return {"done": False, "comment": comment, "changes": changes}


def carry_out(settings):
    """
    Wipe the system disks and partition them anew.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.carry_out '{disks: {count: 1}}'
    """
    __salt__["racksalt_disk.check_may_write"]()
    told = plan(settings)
    __salt__["racksalt_target.release"]()
    disks = __salt__["racksalt_disk.chosen"](settings)
    with _to_ourselves(disks):
        _stop(_arrays(disks))
        _wipe(disks)
        _make(disks, settings)
    if not _is_made(disks, settings):
        raise CommandExecutionError(f"{_names(disks)}: not read back as written")
    return {"comment": f"{_names(disks)} wiped and partitioned", "changes": told["changes"]}


def clear(disks):
    """
    Take apart the arrays on these disks and remove every signature: what ``racksalt_disk.allowed`` or
    ``chosen`` returned.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.clear '[]'
    """
    __salt__["racksalt_disk.check_may_write"]([disk["name"] for disk in disks])
    __salt__["racksalt_target.release"]()
    with _to_ourselves(disks):
        _stop(_arrays(disks))
        _wipe(disks)


def made():
    """
    Return what this installation partitioned: ``{"disks": [{"name", "device", "esp", "root"}],
    "root": device}``; an error when it did not.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.made
    """
    disks = _marked()
    if not disks:
        message = "no disk was partitioned by this installation; run the stage partition first"
        raise CommandExecutionError(message)
    parts = [{**_parts(disk), "name": disk["name"], "device": disk["device"]} for disk in disks]
    held = __salt__["racksalt_partition.array_of"](parts[0]["root"])
    return {"disks": parts, "root": f"/dev/{held}" if held else parts[0]["root"]}


def array_of(device):
    """
    Return the name of the active array that a partition is part of, None if there is none.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.array_of /dev/sda3
    """
    name = device.rpartition("/")[2]
    holders = sorted(pathlib.Path("/sys/class/block", name, "holders").glob("md*"))
    return holders[0].name if holders else None


def member(name):
    """
    Return why a disk is no system disk: it is part of an array that the stage ``raid`` builds. None
    if it is not; an error where that cannot be known, so that no other disk is taken instead.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.member sda
    """
    wanted = __salt__["pillar.get"]("racksalt:stages:raid:arrays", [], unmask=True)
    declared = {str(array.get("name")) for array in wanted or () if isinstance(array, dict)}
    for device in (f"/dev/{name}", *_partitions(name)) if declared else ():
        found = _array_name(device)
        if found in declared:
            return f"is part of the array {found}, which the stage raid has built"
    return None


def _array_name(device):
    told = _run(["mdadm", "--examine", "--export", device], codes=(0, 1, 2, 4))
    found = re.search(r"^MD_NAME=(?:.*:)?(\S+)$", told, re.MULTILINE)
    if not found and __salt__["racksalt_signature.unreadable"]([device]):
        message = f"{device} cannot be read: it may be part of an array of the stage raid"
        raise CommandExecutionError(f"{message}; nothing was changed: erase or replace the disk")
    return found[1] if found else None


def no_second_system(disks):
    """
    Raise an error if a disk beside these holds another installed system, or cannot be read: GRUB finds the
    system by its label, and could boot that one instead.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_partition.no_second_system '[{name: sda}]'
    """
    ours = {disk["name"] for disk in disks}
    for disk in __salt__["racksalt_disk.disks"]():
        # Arrays that are made of the disk are looked at, too.
        known = [] if disk["name"] in ours or disk["removable"] else disk["parts"]
        found = next(
            ((name, why) for name, _ in known if (why := _second(name, disk["away"]))), None
        )
        if found:
            message = f"{found[0]} (disk serial {disk['serial']}) {found[1]}; nothing was changed"
            hint = "erase or replace the disk, or choose it as the system disk (disks:match:serial)"
            raise CommandExecutionError(f"{message}: the node might boot that one; {hint}")


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _names(disks):
    return ", ".join(f"{disk['name']} (serial {disk['serial'] or 'unknown'})" for disk in disks)


def _mark(disk):
    return __salt__["racksalt_disk.mark"](f"disk {disk['serial'] or disk['wwn'] or disk['name']}")


def _partitions(name):
    block = pathlib.Path("/sys/block", name)
    return [f"/dev/{part.parent.name}" for part in sorted(block.glob("*/partition"))]


def _about(disk):
    held = [*_partitions(disk["name"]), disk["device"]]
    content = __salt__["racksalt_signature.content"]
    found = {one.rpartition("/")[2]: content(one) for one in held}
    return {
        "serial": disk["serial"],
        "size_gb": round(disk["bytes"] / 10**9),
        "content": {name: what for name, what in sorted(found.items()) if what},
    }


def _second(name, away):
    """Half a mirror has the array's name for a label, behind its host's (md(4))."""
    found = __salt__["racksalt_signature.fields"](f"/dev/{name}")
    if found.get("TYPE") == "unreadable" and not away:  # a LUN's second path is so by nature
        return "cannot be read, and may hold another system"
    labelled = found.get("LABEL", "").rpartition(":")[2] == LABEL
    return f"holds another system labelled {LABEL}" if labelled else None


def _marked():
    """Return the disks that this installation has partitioned."""
    return [disk for disk in __salt__["racksalt_disk.disks"]() if _id(disk) == _mark(disk).upper()]


def _no_other_choice(disks):
    """One installation has one choice of system disks, whatever becomes of the settings in the middle of it."""
    others = [one for one in _marked() if one["name"] not in {disk["name"] for disk in disks}]
    if others:
        told = f"this installation has partitioned {_names(others)}, now {_names(disks)} is chosen"
        hint = "install the node anew (racksalt node reinstall) if the other choice is right"
        raise CommandExecutionError(f"{told}; nothing was changed: {hint}")


def _arrays(disks):
    """Return the active arrays on these disks; an error when one of them has a part elsewhere, too."""
    ours, arrays = {path for disk in disks for path in disk["paths"]}, set()
    for disk in disks:
        arrays |= {name for name in disk["holders"] if name.startswith("md")}
    for array in sorted(arrays):
        parts = pathlib.Path("/sys/block", array, "slaves").glob("*")
        others = sorted({_disk_of(part.resolve()) for part in parts} - ours)
        if others:
            message = f"the array {array} has parts on {', '.join(others)} outside the plan, too"
            raise CommandExecutionError(f"{message}; nothing was changed")
    return sorted(arrays)


def _disk_of(block):
    return block.parent.name if (block / "partition").exists() else block.name


def _stop(arrays):
    for array in arrays:
        _run(["mdadm", "--stop", f"/dev/{array}"])


def _wipe(disks):
    for disk in disks:
        for device in (*_partitions(disk["name"]), disk["device"]):
            _run(["wipefs", "--all", "--force", device])
        for path in disk["paths"][1:]:  # another way to it still has the partitions of before
            _run(["partx", "--delete", f"/dev/{path}"], codes=(0, 1))
        _reread(disk, 0)


def _reread(disk, count):
    """Let the kernel have the partitions that the disk has, and wait until it shows them."""
    if _partitions(disk["name"]):
        _run(["partx", "--delete", disk["device"]], codes=(0, 1))
    if count:
        _run(["partx", "--add", disk["device"]], codes=(0, 1))
    until = time.monotonic() + _APPEAR_S
    while True:
        parts = _partitions(disk["name"])
        if len(parts) == count and all(pathlib.Path(part).exists() for part in parts):
            return
        if time.monotonic() > until:
            told = f"the kernel shows {len(parts)} partitions of {disk['name']}, not {count}"
            raise CommandExecutionError(told)
        time.sleep(0.1)


@contextlib.contextmanager
def _to_ourselves(disks):
    """Keep udev, which assembles what is taken apart, from these disks (systemd: Locking Block Device Access)."""
    with contextlib.ExitStack() as held:
        for disk in disks:
            handle = os.open(disk["device"], os.O_RDONLY)
            held.callback(os.close, handle)
            _lock(handle, disk["name"])
        yield


def _lock(handle, name):
    until = time.monotonic() + _APPEAR_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                message = f"another program has locked {name} for {_APPEAR_S} s"
                raise CommandExecutionError(message) from None
        time.sleep(0.1)


def _make(disks, settings):
    parts = [_write(disk, settings) for disk in disks]
    _filesystems(disks, parts)
    if settings.get("raid") == "raid1":
        _mirror([part["root"] for part in parts])
    for disk in disks:
        quiet = ["--force", "--no-reread", "--no-tell-kernel"]
        _run(["sfdisk", *quiet, "--disk-id", disk["device"], _mark(disk)])


def _write(disk, settings):
    quiet = ["--wipe", "always", "--wipe-partitions", "always", "--no-reread", "--no-tell-kernel"]
    _run(["sfdisk", *quiet, disk["device"]], stdin=_script(settings))
    _reread(disk, 3)
    return _parts(disk)


def _script(settings):
    root = _TYPES["raid" if settings.get("raid") == "raid1" else "root"]
    size = f"size={_root_mib(settings)}MiB, " if settings.get("root_gb") else ""
    return "\n".join(
        (
            "label: gpt",
            f"start=1MiB, size={_BIOS_MIB}MiB, type={_TYPES['bios']}, name=bios",
            f"size={_ESP_MIB}MiB, type={_TYPES['esp']}, name=esp",
            f"{size}type={root}, name={LABEL}",
            "",
        )
    )


def _root_mib(settings):
    return int(float(settings["root_gb"]) * 10**9) // 2**20


def _filesystems(disks, parts):
    for disk, part in zip(disks, parts, strict=True):
        serial = __salt__["racksalt_disk.mark"](f"esp {disk['name']}")[:8]
        _run(["mkfs.vfat", "-F", "32", "-n", "RACKSALTEFI", "-i", serial, part["esp"]])


def _mirror(roots):
    uuid = __salt__["racksalt_disk.mark"]("array")
    wanted = [f"--raid-devices={len(roots)}", "--level=1", "--metadata=1.2", "--bitmap=internal"]
    name = [f"--name={LABEL}", "--homehost=any", f"--uuid={uuid}"]
    _run(["mdadm", "--create", f"/dev/md/{LABEL}", "--run", *wanted, *name, *roots])
    # The first copying is left to the installed system: here it would only slow the installation.
    held = __salt__["racksalt_partition.array_of"](roots[0])
    pathlib.Path("/sys/block", str(held), "md/sync_action").write_text("frozen")


def _table(disk):
    told = _run(["sfdisk", "--json", disk["device"]], codes=(0, 1))
    try:
        return json.loads(told)["partitiontable"]
    except (ValueError, KeyError):
        return {}


def _id(disk):
    return str(_table(disk).get("id") or "").upper()


def _parts(disk):
    """Return ``{"esp": device, "root": device}`` of a disk that has the three partitions."""
    table = _table(disk).get("partitions") or []
    if [part.get("name") for part in table] != ["bios", "esp", LABEL]:
        raise CommandExecutionError(f"{disk['name']} has not the partitions that it should have")
    return {"esp": table[1]["node"], "root": table[2]["node"]}


def _is_made(disks, settings):
    return all(_is_ours(disk, settings) for disk in disks)


def _is_ours(disk, settings):
    table = _table(disk)
    parts = table.get("partitions") or []
    names = [part.get("name") for part in parts]
    if str(table.get("id")).upper() != _mark(disk).upper() or names != ["bios", "esp", LABEL]:
        return False
    raid = settings.get("raid") == "raid1"
    held = __salt__["racksalt_partition.array_of"](parts[2]["node"])
    size = parts[2]["size"] * table.get("sectorsize", 512) // 2**20
    fits = not settings.get("root_gb") or size == _root_mib(settings)
    typed = parts[2]["type"].upper() == _TYPES["raid" if raid else "root"]
    return fits and typed and bool(held) is raid
