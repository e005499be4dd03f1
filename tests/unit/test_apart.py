"""Parts of a program in processes of their own: who ends with whom, and who comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_for

PROGRAM = """
import os, sys, time
from racksalt import apart
apart.PAUSE_S = 0.1
name = apart.apart(("one", "two"))
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
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=folder, stderr=subprocess.PIPE
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


@pytest.mark.parametrize("status", [0, 3])
def test_a_part_that_ends_by_itself_ends_all(program, status):
    """With its status: what is wrong with its settings is not mended by a new start."""
    pids = program.pids()
    program.end("two", status)
    assert program.process.wait(10) == status
    assert not any(map(runs, pids))


def test_a_part_that_is_killed_comes_back_alone(program):
    """The other one does not notice, and a signal still ends both."""
    one, two = program.pids()
    os.kill(two, signal.SIGKILL)
    assert wait_for(lambda: program.pids() != [one, two], 10) is not None
    again = program.pids()
    assert again[0] == one
    assert runs(one)
    program.process.terminate()
    assert program.process.wait(10) == 0
    assert not any(map(runs, again))
    assert b"the two was killed by signal 9: it is started again" in program.process.stderr.read()


def test_no_part_outlives_the_first_process(program):
    """However it goes, also after a part came back."""
    one, two = program.pids()
    os.kill(one, signal.SIGKILL)
    assert wait_for(lambda: program.pids() != [one, two], 10) is not None
    pids = program.pids()
    program.process.kill()
    assert wait_for(lambda: not any(map(runs, pids)), 10) is not None
