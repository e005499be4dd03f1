"""Parts of a program in processes of their own: who ends with whom, and who comes back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_for

PROGRAM = """
import os, signal, sys, time
from racksalt import apart
apart.PAUSE_S, apart.LONGER_S, apart.GRACE_S = 0.1, 0.1, 0.5
name = apart.apart(("one", "two"))
if os.path.exists("deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.path.exists(f"broken-{name}"):
    sys.exit(4)
open(f"{name}.new", "w").write(str(os.getpid()))
os.replace(f"{name}.new", name)
while not os.path.exists(f"end-{name}"):
    time.sleep(0.02)
sys.exit(int(open(f"end-{name}").read()))
"""


class Program:
    """The program above; each part writes its process id and ends with the status that it is told."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        # The first process has a child of its own that is no part of it, and ends in the midst of the test.
        command = f"sleep 0.5 & exec {shlex.quote(sys.executable)} program.py"
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=folder, stderr=subprocess.PIPE
        )

    def pids(self):
        """Return the parts' process ids."""
        names = ("one", "two")
        assert wait_for(lambda: all((self.folder / name).exists() for name in names), 20)
        return [int((self.folder / name).read_text()) for name in names]

    def end(self, name, status):
        """Tell a part to end."""
        new = self.folder / "new"
        new.write_text(str(status))
        new.rename(self.folder / f"end-{name}")

    def again(self, before):
        """Return the parts' process ids once they are other ones; what told a part to end is gone by then."""
        assert wait_for(lambda: self.pids() != before, 10) is not None
        return self.pids()


def runs(pid):
    """Say whether a process is there, and not only its status."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def program(tmp_path):
    """One that runs; nothing of it is left afterwards."""
    made = Program(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()
    made.process.stderr.close()
    assert wait_for(lambda: not any(map(runs, made.pids())), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all(program, number):
    """With exit status 0."""
    pids = program.pids()
    program.process.send_signal(number)
    assert program.process.wait(10) == 0
    assert not any(map(runs, pids))


def test_a_part_that_fails_ends_all(program):
    """With its status: what is wrong with its settings is not mended by a new start."""
    pids = program.pids()
    program.end("two", 3)
    assert program.process.wait(10) == 3
    assert not any(map(runs, pids))


def test_a_part_that_was_told_to_end_comes_back(program):
    """As what the kernel's helpers against full memory ask first, and politely."""
    one, two = program.pids()
    program.end("two", 0)
    assert wait_for(lambda: not runs(two), 10) is not None
    (program.folder / "end-two").unlink()
    assert program.again([one, two])[0] == one
    program.process.terminate()
    assert program.process.wait(10) == 0
    assert b"the two was told to end: it is started again" in program.process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_part_that_is_killed_comes_back_alone(program, number):
    """The other one does not notice, and a signal still ends both."""
    one, two = program.pids()
    os.kill(two, number)
    again = program.again([one, two])
    assert again[0] == one
    assert runs(one)
    program.process.terminate()
    assert program.process.wait(10) == 0
    assert not any(map(runs, again))
    told = f"the two was killed by signal {number:d}: it is started again"
    assert told in program.process.stderr.read().decode()


def test_a_part_that_came_back_and_fails_does_not_end_the_other(program):
    """As where a database is not up again yet: it is tried until it goes."""
    one, two = program.pids()
    broken = program.folder / "broken-two"
    broken.touch()
    os.kill(two, signal.SIGKILL)
    told = [program.process.stderr.readline().decode().strip() for _ in range(3)]
    failed = "the two came back and failed with status 4: it is started again"
    assert told == ["the two was killed by signal 9: it is started again", failed, failed]
    broken.unlink()
    assert program.again([one, two])[0] == one
    assert runs(one)
    program.process.terminate()
    assert program.process.wait(10) == 0


def test_no_part_outlives_the_first_process(program):
    """However it goes, also after a part came back."""
    one, two = program.pids()
    os.kill(one, signal.SIGKILL)
    pids = program.again([one, two])
    program.process.kill()
    assert wait_for(lambda: not any(map(runs, pids)), 10) is not None


def test_nor_does_one_that_does_not_listen(tmp_path):
    """It would keep its port from whoever comes next."""
    (tmp_path / "deaf").touch()
    program = Program(tmp_path)
    pids = program.pids()
    program.process.kill()
    program.process.wait()
    program.process.stderr.close()
    assert wait_for(lambda: not any(map(runs, pids)), 10) is not None
