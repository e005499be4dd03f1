"""Programs that a lab starts."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from racksalt.lab.processes import Child, LabError, answers, free_ports

ECHO = (
    "import sys, json\nfor line in sys.stdin: print(json.dumps({'said': line.strip()}), flush=True)"
)
SLEEP = "import time; time.sleep(600)"


def gone(pid, timeout_s=10):
    """Say whether a process ends within the time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
            if fields.split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_child_answers_line_by_line(tmp_path):
    """One line in, one JSON line out."""
    with Child("echo", [sys.executable, "-c", ECHO], tmp_path / "log", input_pipe=True) as child:
        assert child.say("a") == {"said": "a"}
        assert child.say("b") == {"said": "b"}
    assert not child.alive()


def test_a_child_that_dies_says_its_last_words(tmp_path):
    """Waiting for a dead program ends at once, with the end of its log."""
    code = "import sys; sys.exit('no such thing')"
    with (
        Child("broken", [sys.executable, "-c", code], tmp_path / "log") as child,
        pytest.raises(LabError, match="broken died: no such thing"),
    ):
        child.wait_until(lambda: False, "ready", 30)


def test_a_child_that_is_late_is_told_of(tmp_path):
    """The time is bounded, and the message says what was waited for."""
    with (
        Child("slow", [sys.executable, "-c", SLEEP], tmp_path / "log") as child,
        pytest.raises(LabError, match=r"slow: being ready took over 0.2 s"),
    ):
        child.wait_until(lambda: False, "being ready", 0.2)


def test_stopping_takes_the_whole_group(tmp_path):
    """What the child started is gone too, even if it ignores SIGTERM."""
    inner = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "print(p.pid, flush=True)\np.wait()"
    )
    child = Child("parent", [sys.executable, "-c", inner], tmp_path / "log")
    child.wait_until(lambda: (tmp_path / "log").read_text().strip().isdigit(), "telling", 20)
    grandchild = int((tmp_path / "log").read_text())
    child.stop()
    assert gone(child.pid)
    assert gone(grandchild)


def test_a_child_dies_with_its_parent(tmp_path):
    """Kill -9 of the parent ends the child, because the kernel tells it."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom racksalt.lab.processes import Child\n"
        f"c = Child('x', [sys.executable, '-c', {SLEEP!r}], Path({str(tmp_path / 'log')!r}))\n"
        "print(c.pid, flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        program = Path(f"/proc/{pid}/cmdline")
        while b"tether" in program.read_bytes():  # it is tied before it becomes the program
            time.sleep(0.02)
        parent.kill()
    assert gone(pid)


def test_free_ports_are_free_and_different():
    """As many as asked for, none twice, and nobody answers there."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not answers("127.0.0.1", ports[0])
