"""
Burn-in of a virtual machine, whose disk is a folder: it really computes, really allocates and really
writes files. Real machines have ``racksalt_burn.py`` under the same name.
"""

import concurrent.futures
import hashlib
import os
import tempfile
import time

from salt.exceptions import CommandExecutionError

__virtualname__ = "racksalt_burn"

_BLOCK = bytes(range(256)) * 4096  # 1 MiB: large enough for hashlib to leave the interpreter's lock
_MIB = 2**20


def __virtual__():
    if "hardware_file" in (__opts__.get("racksalt") or {}):
        return __virtualname__
    return False, "this is a real machine"


def run(cpu_s=60, memory_mib=256, disk_mib=64, **more):
    """
    Load processor, memory and disk; returns ``{part: {"ok", "measures", …}}``. What only a real
    machine has (self-tests of disks, cables) is not asked.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.run cpu_s=60
    """
    own = {key: value for key, value in more.items() if not key.startswith("__")}
    __salt__["racksalt_settings.checked"]("burn_in", own)
    try:
        disk = folder(__salt__["racksalt_disk.target"](), disk_mib)
    except (CommandExecutionError, OSError) as error:
        disk = {"ok": False, "message": str(error)}
    return {"cpu": cpu(cpu_s), "memory": memory(memory_mib), "disk": disk}


def cpu(seconds=60, workers=None):
    """
    Load every core with one hash computation for ``seconds``; all must always get the same answer.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.cpu 60
    """
    workers = workers or len(os.sched_getaffinity(0))
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        loads = [pool.submit(_hash_until, started + float(seconds)) for _ in range(workers)]
        rounds, wrong = zip(*(load.result() for load in loads), strict=True)
    rate = {"mib_s": round(sum(rounds) / (time.monotonic() - started), 1)}
    told = {"workers": workers, "rounds": sum(rounds), "wrong": sum(wrong)}
    return {"ok": not any(wrong), "measures": rate, **told}


def memory(mib=64):
    """
    Fill ``mib`` of memory with two opposite bit patterns and read each back.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.memory 1024
    """
    wrong = 0
    for pattern in (b"\x55", b"\xaa"):
        block = pattern * _MIB
        held = bytearray()
        for _ in range(int(mib)):
            held += block
        view = memoryview(held)
        wrong += sum(view[at : at + _MIB] != block for at in range(0, len(held), _MIB))
        view.release()
        del held
    return {"ok": not wrong, "mib": int(mib), "wrong_mib": wrong}


def folder(path, mib=16):
    """
    Write random data to a file in ``path``, past the cache, read it back and remove it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.folder /mnt/target 256
    """
    blocks = [os.urandom(_MIB) for _ in range(int(mib))]
    with tempfile.NamedTemporaryFile(dir=path, prefix=".racksalt-burn-") as file:
        started = time.monotonic()
        file.writelines(blocks)
        file.flush()
        os.fsync(file.fileno())
        written_s = time.monotonic() - started
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        wrong = sum(file.read(_MIB) != block for block in blocks)
    rate = {"write_mib_s": round(len(blocks) / max(written_s, 1e-6), 1)}
    return {"ok": not wrong, "measures": rate, "mib": len(blocks), "wrong_mib": wrong}


def _hash_until(until):
    expected = hashlib.sha256(_BLOCK).digest()
    rounds = wrong = 0
    while True:
        wrong += hashlib.sha256(_BLOCK).digest() != expected
        rounds += 1
        if time.monotonic() >= until:
            return rounds, wrong
