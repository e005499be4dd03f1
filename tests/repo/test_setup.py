"""The set-up is made once, whole, and again where it was cut off.

What installs is a stand-in: tests reach no package index.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time

import pytest

from tests.support.source import ROOT
from tests.support.waiting import wait_for

PYTHON = """\
#!/bin/sh
echo "$2 $3" >>log
case $2 in
venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
pip) [ ! -e slow ] || sleep 1; [ ! -e hangs ] || { touch hanging; sleep 60; } ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with what the set-up reads."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/setup.sh", tmp_path / "tools")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    time.sleep(0.01)
    return tmp_path


def begin(checkout):
    """Begin a set-up."""
    return subprocess.Popen(
        ["tools/setup.sh", str(checkout / "python"), ".venv"],
        cwd=checkout,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


def steps(checkout):
    """Return what was run so far."""
    return [line.split()[0] for line in (checkout / "log").read_text().splitlines()]


WHOLE = ["venv", "pip", "compileall"]


def test_it_is_made_once(checkout):
    """A second call finds it; a newer list of versions installs again, into the same environment."""
    assert begin(checkout).wait(20) == 0
    assert begin(checkout).wait(20) == 0
    assert steps(checkout) == WHOLE
    assert (checkout / ".venv/.ready").exists()
    time.sleep(0.02)
    (checkout / "constraints.txt").touch()
    assert begin(checkout).wait(20) == 0
    assert steps(checkout) == [*WHOLE, "pip", "compileall"]


def test_two_at_once_do_not_meet(checkout):
    """`make test` and `make lint` in two shells of a fresh checkout: one installs, the other waits for it."""
    (checkout / "slow").touch()
    both = [begin(checkout), begin(checkout)]
    assert [one.wait(20) for one in both] == [0, 0]
    assert steps(checkout) == WHOLE


def test_one_that_was_cut_off_is_made_anew(checkout):
    """Half of an environment has a Python, and no pip: every later call would fail on it."""
    (checkout / "hangs").touch()
    cut = begin(checkout)
    assert wait_for((checkout / "hanging").exists, 20)
    subprocess.run(["kill", "-9", "--", f"-{cut.pid}"], check=True)
    assert cut.wait(20) == -signal.SIGKILL
    half = checkout / ".venv/half"
    half.touch()
    (checkout / "hangs").unlink()
    assert begin(checkout).wait(20) == 0
    assert steps(checkout)[-3:] == WHOLE
    assert not half.exists()
    assert not (checkout / ".venv/.begun").exists()
