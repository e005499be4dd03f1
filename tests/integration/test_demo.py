"""The demo keeps its promises, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.waiting import wait_for

pytestmark = [pytest.mark.daemons, pytest.mark.slow, pytest.mark.timeout(400)]
DEMO = [sys.executable, "-m", "racksalt", "demo"]
ROOT = re.compile(r"below (/\S+)")
ANSWER = re.compile(r"^\{\n  \"zones\": .*?^\}$", re.DOTALL | re.MULTILINE)
LONGEST_S = 180
"""What is promised, on two cores."""


def working_in(root):
    """Return the command lines of processes that work in ``root``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink().is_relative_to(root):
                    found.append((entry / "cmdline").read_bytes()[:200])
            except OSError:
                continue
    return found


def test_the_demo_is_true_and_ends(tmp_path):
    """Seven are ready and answer, the eighth is parked and says why, all in three minutes; nothing is left.

    That the BMCs were told over IPMI the demo proves by itself: tests/unit/lab/test_demo.py.
    """
    began = time.monotonic()
    ran = subprocess.run(
        [*DEMO, "--exit"], capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    took_s = time.monotonic() - began
    assert ran.returncode == 0, ran.stdout + ran.stderr
    out = ran.stdout
    assert int(re.search(r"^settled after (\d+) s$", out, re.MULTILINE)[1]) <= took_s <= LONGEST_S
    assert re.search(r"test\.ping.*True from n1, n2, n3, n4, n5, n6, n7\n", out)
    assert "succeeded on 7 of 7" in out
    assert re.search(r"why n8-bad-disk .*failing", out)
    zones = json.loads(ANSWER.search(out)[0])["zones"]
    racks = [rack for zone in zones for rack in zone["racks"]]
    states = {node["name"]: node["state"] for rack in racks for node in rack["nodes"]}
    assert (len(zones), len(racks)) == (2, 4)
    assert states == {
        **dict.fromkeys((f"n{n}" for n in range(1, 8)), "READY"),
        "n8-bad-disk": "PROBLEM",
    }
    assert "nothing is left running" in out
    root = Path(ROOT.search(out)[1])
    assert working_in(root) == []
    assert not root.exists()


@pytest.mark.parametrize(
    "how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name
)
def test_nothing_is_left_when_it_is_cut_short(tmp_path, how):
    """Ctrl-C, SIGTERM and even SIGKILL in the middle of the work end master, minions, BMCs and APIs."""
    with subprocess.Popen(
        DEMO,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as demo:
        root = None
        try:
            for line in demo.stdout:
                root = root or (Path(found[1]) if (found := ROOT.search(line)) else None)
                if "firmware" in line:  # the first minions are at work
                    break
            assert root is not None
            assert len(working_in(root)) > 10
        finally:
            demo.send_signal(how)
        assert wait_for(lambda: demo.poll() is not None, 60) is not None
    assert wait_for(lambda: working_in(root) == [], 30) is not None, working_in(root)
    shutil.rmtree(root, ignore_errors=True)  # after SIGKILL nobody else does
