"""
Burn-in of a real machine: stress-ng for processor and memory, fio and the disks' own short tests,
and a download from the boot API. Disks are only read: whatever is on them stays.

Each part is ``{"ok", "measures": {name: number}, "model", "message"}``; a program that is not there
fails its part, for a test that did not run proves nothing. The names of measures carry their units.
"""

import json
import os
import pathlib
import re
import tempfile
import time
import urllib.request

_MIB = 2**20
_GRACE_S = 60
_RATE = re.compile(r"bogo-ops-per-second-real-time: ([0-9.]+)")
_IMAGE = re.compile(r"(?:^|\s)racksalt\.image=(https?://\S+)")
_COUNTERS = ("rx_errors", "rx_crc_errors", "tx_errors")
_POLL_S = 10


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return False, "this machine's hardware is described by a file"
    return "racksalt_burn"


def run(
    cpu_s=60,
    memory_mib="75%",
    memory_s=None,
    disk_s=None,
    self_test_s=600,
    require_self_test=False,
    network_mib=256,
    **more,
):
    """
    Load processor, memory, disks and network one after the other; returns ``{part: result}``.

    cpu_s, memory_s, disk_s
        how long in seconds; memory and disks as long as the processor, if not said

    memory_mib
        how much memory, in MiB or as a share ("75%") of what is free

    self_test_s
        how long to wait for the disks' own short tests at most; 0 leaves them out

    require_self_test
        whether a disk that runs no test fails its part

    network_mib
        how much to download from the boot API; 0 leaves it out

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.run cpu_s=3600 disk_s=600
    """
    _refuse_unknown(more)
    disks = __salt__["racksalt_drive.disks"]()
    results = {"cpu": cpu(cpu_s), "memory": memory(memory_mib, memory_s or cpu_s)}
    results.update(read(disks, disk_s or cpu_s))
    tests = self_tests(disks, self_test_s) if float(self_test_s) else {}
    results.update(_required(tests) if require_self_test else tests)
    results.update({"network": network(network_mib)} if int(network_mib) else {})
    return results


def cpu(seconds=60):
    """
    Load every thread with all of stress-ng's computations, each verified.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.cpu 3600
    """
    return _stress(["--cpu", "0", "--cpu-method", "all"], float(seconds), "rounds_s")


def memory(mib="75%", seconds=60):
    """
    Fill memory with patterns and verify them; errors that the memory controller counts (EDAC) count.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.memory 75% 3600
    """
    size = f"{_mib(mib)}M"
    workers = str(min(4, len(os.sched_getaffinity(0))))
    before = _edac()
    load = ["--vm", workers, "--vm-bytes", size, "--vm-method", "all", "--vm-keep"]
    result = _stress(load, float(seconds), "rounds_s")
    grown = {name: count - before.get(name, 0) for name, count in _edac().items()}
    result["measures"].update({f"{name}_errors": grown[name] for name in grown})
    if grown.get("uncorrected"):
        result.update(ok=False, message=f"{grown['uncorrected']} uncorrected memory errors")
    return result


def read(disks, seconds=60):
    """
    Read each disk with fio, first all of them in order, then all here and there, for each load would
    spoil the other's figures; eight disks at a time. Nothing is written. Returns ``{"disk:sda": result}``.

    disks
        as ``racksalt_drive.disks`` returns them

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.read '[{name: sda}]' 60
    """
    time_s = max(1, round(float(seconds) / 2))
    told = []
    for kind in (("read", "1M", 8), ("randread", "4k", 16)):
        asked = [_fio(disk["name"], time_s, *kind) for disk in disks]
        told.append(__salt__["racksalt_probe.run_all"](asked, time_s + _GRACE_S))
    pairs = zip(disks, *told, strict=True)
    return {f"disk:{disk['name']}": _read(disk, *both) for disk, *both in pairs}


def self_tests(disks, most_s=600):
    """
    Let each disk run its own short test (``smartctl -t short``) and wait for all of them. Where a disk
    runs none, the message begins with "not tested".

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.self_tests '[{name: sda}]'
    """
    names = [disk["name"] for disk in disks]
    until, results = time.monotonic() + float(most_s), _refused(names)
    while len(results) < len(names) and time.monotonic() < until:
        results.update(_ended([name for name in names if name not in results]))
        if len(results) < len(names):
            time.sleep(min(_POLL_S, float(most_s)))
    late = {"ok": False, "message": f"the self-test did not end in {float(most_s):g} s"}
    return {f"self_test:{name}": results.get(name, late) for name in names}


def verdict(told):
    """
    Return what ``smartctl --json -c -l selftest`` says of the last self-test: a result, or None while
    it runs. A disk without such a test, or whose test was aborted, passes as "not tested".

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.verdict "$(smartctl --json -c -l selftest /dev/sda)"
    """
    said = _json(told)
    ata = _at(said, "ata_smart_data", "self_test", "status")
    nvme, scsi = said.get("nvme_self_test_log"), _at(said, "scsi_self_test_0", "result")
    if isinstance(ata, dict):
        running = ata.get("value", 0) >> 4 == 0xF  # ACS-4 section 9.6.3: 15 is "in progress"
        return None if running else _verdict(ata.get("passed"), ata.get("string"))
    if isinstance(nvme, dict):
        if _at(nvme, "current_self_test_operation", "value"):
            return None
        last = (nvme.get("table") or [{}])[0].get("self_test_result", {})
        return _verdict(last.get("value") == 0 if last else None, last.get("string"))
    if isinstance(scsi, dict):
        return _scsi_verdict(scsi.get("value"), scsi.get("string"))
    return _verdict(None, "the disk tells of no self-test")


def network(mib=256):
    """
    Download the image that this node was booted from, up to ``mib``, and throw it away; errors that
    the interfaces count meanwhile count.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.network 1024
    """
    found = _IMAGE.search(pathlib.Path("/proc/cmdline").read_text())
    if not found:
        return {"ok": True, "measures": {}, "message": "not measured: booted without an image"}
    before, started = _link_errors(), time.monotonic()
    try:
        length = _download(found[1], int(mib) * _MIB)
    except OSError as error:
        return {"ok": False, "measures": {}, "message": f"{found[1]}: {error}"}
    speed = round(length / _MIB / max(time.monotonic() - started, 1e-6), 1)
    errors = _link_errors() - before
    return {"ok": not errors, "measures": {"read_mib_s": speed, "link_errors": errors}}


def _refuse_unknown(more):
    """What is for virtual machines is let pass, and so is what Salt itself adds to a call."""
    own = {key: value for key, value in more.items() if not key.startswith("__")}
    __salt__["racksalt_settings.checked"]("burn_in", own)


def _stress(load, seconds, measure):
    with tempfile.NamedTemporaryFile(prefix="racksalt-burn-") as figures:
        argv = ["stress-ng", *load, "--verify", "--metrics-brief", "--oomable"]
        argv += ["--timeout", f"{max(1, round(seconds))}", "--yaml", figures.name]
        told = __salt__["racksalt_probe.run"](argv, seconds + _GRACE_S)
        rate = _RATE.search(pathlib.Path(figures.name).read_text())
    good = told["code"] == 0
    words = [line for line in (told["out"] + told["err"]).splitlines() if "fail" in line]
    message = (
        "" if good else told["problem"] or " ".join(words)[:500] or f"ended with {told['code']}"
    )
    return {"ok": good, "measures": {measure: float(rate[1])} if rate else {}, "message": message}


def _mib(asked):
    """A share is of what is free: the live system itself is in memory, and must not be pushed out."""
    if not str(asked).endswith("%"):
        return int(asked)
    told = pathlib.Path("/proc/meminfo").read_text()
    free_kib = int(re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)[1])
    return max(1, round(free_kib / 1024 * float(str(asked).rstrip("%")) / 100))


def _edac():
    """Return the memory errors counted so far (Linux ABI, sysfs-devices-edac); empty without EDAC."""
    number, found = __salt__["racksalt_probe.number"], {}
    for controller in pathlib.Path("/sys/devices/system/edac/mc").glob("mc*"):
        for name, file in (("corrected", "ce_count"), ("uncorrected", "ue_count")):
            found[name] = found.get(name, 0) + (number(controller / file) or 0)
    return found


def _fio(name, seconds, kind, size, depth):
    return [
        "fio",
        f"--name={kind}",
        f"--filename=/dev/{name}",
        f"--rw={kind}",
        f"--bs={size}",
        f"--iodepth={depth}",
        f"--runtime={seconds}",
        "--readonly",
        "--direct=1",
        "--ioengine=libaio",
        "--time_based",
        "--output-format=json",
    ]


def _read(disk, in_order, scattered):
    jobs = [_at(_json(one["out"]), "jobs", 0) or {} for one in (in_order, scattered)]
    problems = [
        one["problem"] or (f"error {job.get('error', 'unknown')}" if job.get("error", 1) else "")
        for one, job in zip((in_order, scattered), jobs, strict=True)
    ]
    message = next((f"fio: {problem}" for problem in problems if problem), "")
    measures = {} if message else _rates(*jobs)
    kept = {"model": disk["model"]} if disk.get("model") else {}
    return {"ok": not message, "measures": measures, "message": message, **kept}


def _rates(in_order, scattered):
    percentiles = _at(scattered, "read", "clat_ns", "percentile") or {}
    return {
        "read_mib_s": round((_at(in_order, "read", "bw_bytes") or 0) / _MIB, 1),
        "read_iops": round(_at(scattered, "read", "iops") or 0, 1),
        "read_p99_us": round(percentiles.get("99.000000", 0) / 1000, 1),
    }


def _required(tests):
    return {
        part: {**test, "ok": test["ok"] and not test["message"].startswith("not tested")}
        for part, test in tests.items()
    }


def _refused(names):
    """Start the tests; return the results of disks that start none. One that runs a test already is waited for."""
    asked = [["smartctl", "--json", "-t", "short", f"/dev/{name}"] for name in names]
    told = zip(names, __salt__["racksalt_probe.run_all"](asked), strict=True)
    # smartctl(8), exit status: bits 0 to 2 are that it was not done; the others tell of the disk's health.
    refused = {name: one for name, one in told if one["problem"] or (one["code"] or 0) & 0b111}
    ended = _ended(list(refused))
    return {
        name: said if not said["ok"] else _verdict(None, _why(refused[name]))
        for name, said in ended.items()
    }


def _why(told):
    words = _at(_json(told["out"]), "smartctl", "messages", 0, "string")
    return words or f"smartctl ended with {told['code']}"


def _ended(names):
    asked = [["smartctl", "--json", "-c", "-l", "selftest", f"/dev/{name}"] for name in names]
    found = {}
    for name, told in zip(names, __salt__["racksalt_probe.run_all"](asked), strict=True):
        said = (
            {"ok": False, "message": told["problem"]} if told["problem"] else verdict(told["out"])
        )
        found.update({name: said} if said is not None else {})
    return found


def _scsi_verdict(value, words):
    """SPC-4 section 7.3.18: 0 is passed, 1 and 2 are aborted, 3 to 7 failed, 15 is "in progress"."""
    return None if value == 0xF else _verdict({0: True, 1: None, 2: None}.get(value, False), words)


def _verdict(passed, words):
    words = str(words or "")
    message = f"not tested: {words or 'the disk does not say why'}" if passed is None else words
    return {"ok": passed is not False, "measures": {}, "message": message[:200]}


def _json(told):
    try:
        said = json.loads(told)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _at(said, *path):
    for step in path:
        try:
            said = said[step]
        except (KeyError, IndexError, TypeError):
            return None
    return said


def _download(url, most):
    length = 0
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - http by the pattern above
        while length < most:
            block = answer.read(_MIB)
            if not block:
                break
            length += len(block)
    return length


def _link_errors():
    number = __salt__["racksalt_probe.number"]
    nics = [nic for nic in pathlib.Path("/sys/class/net").glob("*") if (nic / "device").exists()]
    return sum(number(nic / "statistics" / name) or 0 for nic in nics for name in _COUNTERS)
