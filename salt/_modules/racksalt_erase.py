"""
Erases the disks of a real machine, each by the strongest method that it offers, and reads back.

In this order: NVMe sanitize or format (NVM Express base specification 2.0, sections 5.24 and 5.14), ATA security
erase where the firmware has not frozen it (ACS-3 section 7.44), zeros written by the device itself
(``blkdiscard --zeroout``), zeros written from here. A method that fails, or after which anything but zeros (or
ones, which flash has when it is empty) is read, is followed by the next. Hidden areas (HPA, DCO) and disks
behind a RAID controller are not reached.
"""

import concurrent.futures
import contextvars
import json
import os
import pathlib
import platform
import secrets
import time

from salt.exceptions import CommandExecutionError

_MIB = 2**20
_WHOLE_MIB, _SAMPLES = 4096, 1024
_CHUNK = 4 * _MIB
_PATTERNS = {"00": bytes(_CHUNK), "ff": b"\xff" * _CHUNK}
_AT_ONCE = 32
_PASSWORD = "racksalt"  # noqa: S105 - no secret: a try that was killed must be unlocked by the next
_POLL_S = 2.0


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's disk is a folder"
    return "racksalt_erase"


def plan(settings):
    """
    Return which disks would be erased, or what this boot erased already:
    ``{"done", "comment", "changes", "data"}``.

    settings
        ``{"disks": "all", "verify": {"whole_mib": 4096, "samples": 1024}}``

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_erase.plan '{disks: all}'
    """
    settings = __salt__["racksalt_settings.checked"]("erase", settings)
    disks = __salt__["racksalt_disk.allowed"](settings.get("disks", "all"))
    kept = _kept(disks)
    if kept:
        comment = f"{_names(disks)} erased in this boot already"
        return {"done": True, "comment": comment, "changes": {}, "data": {"erasure": kept}}
    changes = {"erase": {disk["name"]: _about(disk) for disk in disks}}
    comment = f"would erase {_names(disks)}: everything there would be lost"
    return {"done": False, "comment": comment, "changes": changes}


def carry_out(settings):
    """
    Erase the disks and read back. The ``data`` of the answer is what the certificate says.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_erase.carry_out '{disks: all}'
    """
    __salt__["racksalt_disk.check_may_write"]()
    settings = __salt__["racksalt_settings.checked"]("erase", settings)
    disks = __salt__["racksalt_disk.allowed"](settings.get("disks", "all"))
    __salt__["racksalt_partition.clear"](disks)
    begun, done = time.time(), _all(disks, settings.get("verify") or {})
    tools = {"kernel": platform.release(), **_tools(done)}
    record = {"disks": done, "started_at": begun, "ended_at": time.time(), "tools": tools}
    _file().parent.mkdir(parents=True, exist_ok=True)
    kept = {"installation": __salt__["racksalt_disk.installation"](), "record": record}
    _file().write_text(json.dumps(kept))
    changes = {"erased": {disk["name"]: disk["method"] for disk in done}}
    return {"comment": _told(done), "changes": changes, "data": {"erasure": record}}


def verify(device, whole_mib=_WHOLE_MIB, samples=_SAMPLES):
    """
    Read a device: ``{"how", "bytes", "pattern"}`` if there is nothing but zeros (or nothing but ones),
    an error with the place if there is anything else. A device above ``whole_mib`` is read at its first
    and last MiB and at ``samples`` places that nobody can foretell, 1 MiB each.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_erase.verify /dev/sda
    """
    __salt__["racksalt_program.run"](["blockdev", "--flushbufs", device])
    with pathlib.Path(device).open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        whole = size <= int(whole_mib) * _MIB
        places = _whole(size) if whole else _sampled(size, int(samples))
        pattern, read = _read(device, file, places)
    how = "the whole disk" if whole else f"first and last MiB and {samples} random ones"
    return {"how": how, "bytes": read, "pattern": pattern}


def _file():
    return pathlib.Path(__opts__["cachedir"], "racksalt", "erasure.json")


def _kept(disks):
    """Return the record of this boot if it is of these disks and they still are as it left them."""
    try:
        kept = json.loads(_file().read_text())
        same = kept["installation"] == __salt__["racksalt_disk.installation"]()
        if not same or {disk["name"] for disk in kept["record"]["disks"]} != _set(disks):
            return None
        for disk in disks:
            verify(disk["device"], whole_mib=1, samples=64)
    except (OSError, ValueError, CommandExecutionError):
        return None
    return kept["record"]


def _set(disks):
    return {disk["name"] for disk in disks}


def _all(disks, wanted):
    """Erase all disks at once; one that fails does not stop the others, and is told."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        # Salt keeps what its functions may call in the context.
        started = [
            pool.submit(contextvars.copy_context().run, _one, disk, wanted) for disk in disks
        ]
    done, bad = [], []
    for disk, future in zip(disks, started, strict=True):
        try:
            done.append(future.result())
        except (CommandExecutionError, OSError) as error:
            bad.append(f"{_names([disk])}: {error}")
    if bad:
        raise CommandExecutionError(f"NOT erased: {'; '.join(bad)}")
    return done


def _one(disk, wanted):
    begun = time.time()
    method, proof, notes = _tried(disk, _limits(wanted))
    about = {key: disk[key] for key in ("name", "serial", "wwn", "model", "bytes")}
    times = {"started_at": begun, "ended_at": time.time()}
    return {**about, "method": method, "notes": notes, "verified": proof, **times}


def _tried(disk, limits):
    """Return the first method after which nothing is read, its proof, and why those before it did not do."""
    notes = []
    for act in (_sanitize, _format, _security_erase, _write_zeroes, _overwrite):
        try:
            method = act(disk)
            if method:
                return method, verify(disk["device"], **limits), notes
        except (CommandExecutionError, OSError) as error:
            notes.append(str(error))
    raise CommandExecutionError("; ".join(notes))


def _limits(wanted):
    return {
        "whole_mib": int(wanted.get("whole_mib", _WHOLE_MIB)),
        "samples": int(wanted.get("samples", _SAMPLES)),
    }


def _run(argv, **more):
    return __salt__["racksalt_program.run"](argv, **more)


def _controller(disk):
    """Return what ``nvme id-ctrl`` says, the controller's name and how many active namespaces it has."""
    if disk["transport"] != "nvme":
        return None, None, 0
    name = disk["name"].rpartition("n")[0]
    told = json.loads(_run(["nvme", "id-ctrl", "--output-format=json", f"/dev/{name}"]))
    return told, name, _run(["nvme", "list-ns", f"/dev/{name}"]).count("]:0x")


def _sanitize(disk):
    told, name, namespaces = _controller(disk)
    can = int(told.get("sanicap", 0)) if told else 0
    # It erases every namespace of the controller: only where there is no other.
    if namespaces != 1 or not can & 0b11:
        return None
    action, method = (2, "block erase") if can & 0b10 else (4, "crypto erase")
    _run(["nvme", "sanitize", f"/dev/{name}", f"--sanact={action}"])
    while _sanitizing(name):
        time.sleep(_POLL_S)
    return f"NVMe sanitize, {method}"


def _sanitizing(name):
    told = json.loads(_run(["nvme", "sanitize-log", "--output-format=json", f"/dev/{name}"]))
    log = next((one for one in told.values() if isinstance(one, dict)), told)
    status = log.get("sstat", 0)
    status = status.get("status", 0) if isinstance(status, dict) else status
    status = int(str(status).split()[0].strip("()"), 0) & 0b111
    if status == 3:
        raise CommandExecutionError(f"{name}: the sanitize operation failed")
    return status == 2


def _format(disk):
    told, _, namespaces = _controller(disk)
    # FNA bits 0 and 1: format, or secure erase, reaches every namespace. OACS bit 1: format is there.
    if not told or not int(told.get("oacs", 0)) & 0b10:
        return None
    if namespaces > 1 and int(told.get("fna", 0)) & 0b11:
        return None
    _run(["nvme", "format", disk["device"], "--ses=1", "--force"])
    return "NVMe format, user data erase"


def _security_erase(disk):
    if disk["transport"] != "ata" or not __salt__["racksalt_program.locate"]("hdparm"):
        return None
    states = _security(disk)
    if "supported" not in states:
        return None
    if "frozen" in states:
        raise CommandExecutionError("ATA security erase: frozen by the firmware")
    if "locked" in states:
        _hdparm(disk, "unlock")
    _hdparm(disk, "set-pass")
    return _security_erased(disk, "erase-enhanced" if "enhanced" in states else "erase")


def _security_erased(disk, kind):
    try:
        _hdparm(disk, kind)
    finally:
        # The drive drops the password with its data; after a failure it must not stay locked.
        if "enabled" in _security(disk):
            _hdparm(disk, "disable")
    return f"ATA security {kind.replace('-', ' ')}"


def _hdparm(disk, what):
    _run(["hdparm", "--user-master", "u", f"--security-{what}", _PASSWORD, disk["device"]])


def _security(disk):
    """Return which of supported, enabled, locked, frozen and enhanced ``hdparm -I`` tells of a disk."""
    section = _run(["hdparm", "-I", disk["device"]]).partition("\nSecurity:")[2]
    lines = [line.split() for line in section.splitlines()]
    words = ("supported", "enabled", "locked", "frozen")
    found = {line[0] for line in lines if len(line) == 1 and line[0] in words}
    return found | ({"enhanced"} if ["supported:", "enhanced", "erase"] in lines else set())


def _write_zeroes(disk):
    limit = pathlib.Path("/sys/block", disk["name"], "queue/write_zeroes_max_bytes")
    if not limit.exists() or not int(limit.read_text()):
        return None
    _run(["blkdiscard", "--force", "--zeroout", disk["device"]])
    return "zeros written by the device"


def _overwrite(disk):
    zeros, left = _PATTERNS["00"], disk["bytes"]
    with pathlib.Path(disk["device"]).open("r+b", buffering=0) as file:
        while left > 0:
            left -= file.write(zeros[: min(left, _CHUNK)])
        os.fsync(file.fileno())
    return "overwritten with zeros"


def _whole(size):
    return ((at, min(_CHUNK, size - at)) for at in range(0, size, _CHUNK))


def _sampled(size, samples):
    last = size - _MIB
    inner = range(_MIB, last - _MIB, _MIB)
    places = secrets.SystemRandom().sample(inner, min(samples, len(inner)))
    return ((at, _MIB) for at in sorted({0, last, *places}))


def _read(device, file, places):
    patterns, read = set(_PATTERNS), 0
    for at, length in places:
        file.seek(at)
        chunk = file.read(length)
        patterns &= {name for name, bits in _PATTERNS.items() if chunk == bits[: len(chunk)]}
        if len(chunk) != length or not patterns:
            message = f"{device}: data is left in the {length} bytes at {at}"
            raise CommandExecutionError(message)
        read += length
    return min(patterns), read


def _tools(done):
    told = " ".join(disk["method"] for disk in done)
    asked = {"NVMe": ["nvme", "version"], "ATA": ["hdparm", "-V"]}
    used = {"by the device": ["blkdiscard", "--version"], **asked}
    return {argv[0]: _run(argv).strip() for word, argv in used.items() if word in told}


def _names(disks):
    return ", ".join(f"{disk['name']} (serial {disk['serial'] or 'unknown'})" for disk in disks)


def _about(disk):
    return {"serial": disk["serial"], "wwn": disk["wwn"], "size_gb": round(disk["bytes"] / 10**9)}


def _told(done):
    return "; ".join(
        f"{disk['name']} (serial {disk['serial'] or 'unknown'}): {disk['method']}, read back: "
        f"{disk['verified']['how']}"
        for disk in done
    )
