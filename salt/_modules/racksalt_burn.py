"""Load tests that really compute, really allocate and really read disks; each says what it did."""

import concurrent.futures
import hashlib
import os
import pathlib
import tempfile
import time

_BLOCK = bytes(range(256)) * 4096  # 1 MiB: large enough for hashlib to leave the interpreter's lock
_MIB = 2**20


def cpu(seconds=60, workers=None):
    """
    Load every core with one hash computation for ``seconds``; all must always get the same answer.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.cpu 60
    """
    workers = workers or len(os.sched_getaffinity(0))
    until = time.monotonic() + float(seconds)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        loads = [pool.submit(_hash_until, until) for _ in range(workers)]
        rounds, wrong = zip(*(load.result() for load in loads), strict=True)
    return {"ok": not any(wrong), "workers": workers, "rounds": sum(rounds), "wrong": sum(wrong)}


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
    wrong = 0
    with tempfile.NamedTemporaryFile(dir=path, prefix=".racksalt-burn-") as file:
        sums = []
        for _ in range(int(mib)):
            block = os.urandom(_MIB)
            sums.append(hashlib.sha256(block).digest())
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        wrong = sum(hashlib.sha256(file.read(_MIB)).digest() != want for want in sums)
    return {"ok": not wrong, "mib": int(mib), "wrong_mib": wrong}


def device(name, mib=256):
    """
    Read the first ``mib`` of the block device ``/dev/<name>`` and change nothing on it.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_burn.device sda 1024
    """
    read, started = 0, time.monotonic()
    try:
        with pathlib.Path("/dev", name).open("rb", buffering=0) as disk:
            os.posix_fadvise(disk.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while read < int(mib) * _MIB:
                block = disk.read(_MIB)
                if not block:
                    break
                read += len(block)
    except OSError as error:
        return {"ok": False, "mib": read // _MIB, "error": str(error)}
    return {"ok": True, "mib": read // _MIB, "seconds": round(time.monotonic() - started, 3)}


def _hash_until(until):
    expected = hashlib.sha256(_BLOCK).digest()
    rounds = wrong = 0
    while True:
        wrong += hashlib.sha256(_BLOCK).digest() != expected
        rounds += 1
        if time.monotonic() >= until:
            return rounds, wrong
