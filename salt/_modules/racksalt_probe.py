"""
Programs and kernel files, read so that neither a missing tool nor broken hardware can stop a node.

A disk that does not answer can hold a program for ever, even against a kill: such a program is left
behind after its time, and the caller goes on without it.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess

_MOST_BYTES = 4 * 2**20
_GRACE_S = 2
_PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
_BLANK = re.compile(
    r"(to be filled|default string|not (specified|available|applicable|present|settable|provided)|"
    r"(system|chassis|base ?board|product)[ -]?(serial( number)?|name|version|manufacturer)$|"
    r"(none|null|n/?a|unknown|undefined|invalid|empty|oem|o\.e\.m\.?|no asset tag|unspecified)\W*$|"
    r"0?1234567890?$|bad (index|manufacturer id)|<out of spec>|no dimm|no module)",
    re.IGNORECASE,
)
_ONE_CHARACTER = re.compile(r"(.)\1{2,}")


def run(argv, timeout_s=15):
    """
    Run a program and return ``{"code", "out", "err", "problem"}``. ``problem`` says why there is no
    answer (not installed, took too long) and is empty when the program ended; ``code`` is its exit
    status.

    argv
        program and arguments, as a list; there is no shell

    timeout_s
        when it is killed

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_probe.run '[lsblk, --version]'
    """
    return _run([str(word) for word in argv], float(timeout_s))


def run_all(commands, timeout_s=15, together=8):
    """
    Run several programs, ``together`` at a time; returns what ``run`` returns for each, in order.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_probe.run_all '[[lsblk, --version], [lspci, --version]]'
    """
    with concurrent.futures.ThreadPoolExecutor(int(together)) as pool:
        return list(pool.map(lambda argv: _run([str(w) for w in argv], float(timeout_s)), commands))


def text(path):
    """
    Return what a file of the kernel says, None for what is absent, unreadable or says nothing.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_probe.text /sys/class/dmi/id/product_serial
    """
    try:
        return clean(pathlib.Path(path).read_bytes()[:_MOST_BYTES])
    except OSError:
        return None


def number(path):
    """
    Return the whole number that a file of the kernel holds, or None.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_probe.number /sys/class/net/eth0/speed
    """
    try:
        told = pathlib.Path(path).read_bytes()[:32].strip()
    except OSError:
        return None
    return int(told) if re.fullmatch(rb"-?[0-9]{1,18}", told) else None


def clean(value):
    """
    Return a text of firmware if it says something. Bytes that are no UTF-8, control characters and
    what makers leave in fields that they forgot ("To Be Filled By O.E.M.", "................") say
    nothing: None.

    CLI Example:

    .. code-block:: bash

        salt 'r1n1' racksalt_probe.clean 'Default string'
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    told = str(value or "").strip(" \t\r\n\x00")
    if not told or not told.replace("\n", " ").replace("\t", " ").isprintable():
        return None
    return None if _ONE_CHARACTER.fullmatch(told) or _BLANK.match(told) else told


def _run(argv, timeout_s):
    program = shutil.which(argv[0])
    if program is None:
        return _answer(problem=f"{argv[0]} is not installed")
    try:
        process = subprocess.Popen(  # noqa: S603 - fixed programs, and no shell
            [program, *argv[1:]],
            **_PIPES,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        return _answer(problem=f"{argv[0]}: {error}")
    return _awaited(process, argv[0], timeout_s)


def _awaited(process, name, timeout_s):
    try:
        out, err = process.communicate(timeout=timeout_s)
        return _answer(process.returncode, out, err)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    try:
        out, err = process.communicate(timeout=_GRACE_S)
    except subprocess.TimeoutExpired as error:
        out, err = error.stdout, error.stderr
    return _answer(None, out, err, f"{name} took longer than {timeout_s:g} s")


def _answer(code=None, out=b"", err=b"", problem=""):
    told = {"out": out or b"", "err": err or b""}
    texts = {key: value[:_MOST_BYTES].decode(errors="replace") for key, value in told.items()}
    return {"code": code, **texts, "problem": problem}
