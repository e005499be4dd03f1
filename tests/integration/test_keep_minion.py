"""`keep-minion` under a real shell, with a stand-in for salt-minion: when it starts that again, what it ends before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import salt.payload

from racksalt.share import share_dir
from tests.support.needs import need
from tests.support.waiting import wait_for

SCRIPT = share_dir("recipes") / "live/root/usr/lib/racksalt/keep-minion"
UNIT = share_dir("recipes") / "system/root/etc/systemd/system/salt-minion.service"
MINION = """#!{python}
import os, pathlib, signal, subprocess, sys, threading, time
folder = pathlib.Path({folder!r})
def work():
    # What a job starts in a thread of its own, deaf to polite words and in a session of its own.
    deaf = "import signal,time; signal.signal(15, 1); print(1, flush=True); time.sleep({work_s})"
    line = [sys.executable, "-c", deaf]
    with subprocess.Popen(line, start_new_session=True, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with (folder / "starts").open("a") as told:
            told.write(f"{{os.getpid()}} {{child.pid}}\\n")
threading.Thread(target=work, daemon=True).start()
time.sleep(600)
"""


class Kept:
    """The script at work in a folder, with seconds that are fit for a test."""

    def __init__(self, folder: Path, *, work_s: int = 600, **seconds: str) -> None:
        self.folder, self.log = folder, folder / "log"
        self.records = folder / "cache/proc"
        self.records.mkdir(parents=True)
        minion = folder / "salt-minion"
        minion.write_text(MINION.format(python=sys.executable, folder=str(folder), work_s=work_s))
        minion.chmod(0o755)
        env = {"PROGRAMS": str(folder), "CACHE": str(folder / "cache"), "LOG": "stdout"}
        env |= {"LOOK_S": "1", "PATIENCE_S": "3", **seconds}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [shutil.which("dash"), str(SCRIPT)], env=env, stdout=log, stderr=log
            )

    def starts(self) -> list[tuple[int, int]]:
        """Return the processes of each minion so far and of what it started."""
        path = self.folder / "starts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    def started(self, count: int, timeout_s: float = 40) -> tuple[int, int]:
        """Wait until that many minions were started, and return the last one."""
        assert wait_for(lambda: len(self.starts()) >= count, timeout_s), self.log.read_text()
        return self.starts()[count - 1]

    def record(self, pid: int) -> Path:
        """Write what Salt writes when a job begins."""
        path = self.records / "20260101000000000000"
        path.write_bytes(salt.payload.dumps({"pid": pid, "fun": "state.apply", "jid": path.name}))
        return path

    def said(self, words: str) -> bool:
        """Say whether the script has told this."""
        return words in self.log.read_text()

    def close(self) -> None:
        """End all of it."""
        self.process.terminate()
        self.process.wait(20)
        for process in (pid for pair in self.starts() for pid in pair):
            if is_there(process):
                os.kill(process, signal.SIGKILL)


def is_there(pid: int) -> bool:
    """Say whether a process runs, and is no mere remainder that nobody has asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def keep(tmp_path):
    """Start the script; end it and all that it started."""
    need("dash")
    made: list[Kept] = []

    def start(**settings) -> Kept:
        made.append(Kept(tmp_path, **settings))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_a_minion_with_a_job_is_left_alone(keep):
    """A master that is away for minutes costs no stage and no highstate: patience begins when the job has ended."""
    kept = keep()
    minion, _ = kept.started(1)
    record = kept.record(minion)
    assert wait_for(lambda: kept.said("has a job: it is left alone"), 20)
    assert not wait_for(lambda: kept.said("starting it again"), 6)
    assert is_there(minion)
    record.unlink()
    kept.started(2)
    assert kept.log.read_text().count("left alone") == 1


def test_the_record_of_a_job_that_is_over_protects_nobody(keep):
    """A minion that was killed leaves its records, and their numbers are other processes' by now."""
    kept = keep()
    kept.started(1)
    kept.record(os.getpid())
    kept.started(2)


def test_what_a_job_started_ends_before_the_next_minion_starts(keep):
    """The minion ends at the first polite word; a child of one of its threads would live on beside the next stage."""
    kept = keep()
    minion, child = kept.started(1)
    second, _ = kept.started(2)
    assert second != minion
    assert not is_there(minion)
    assert not is_there(child)
    assert kept.log.read_text().index("ending what") > kept.log.read_text().index("starting it")


def test_what_a_minion_leaves_that_was_killed_ends_too(keep):
    """Whatever ends a minion, out of memory say: the stage is told anew and must be the only one."""
    kept = keep(PATIENCE_S="600")
    minion, child = kept.started(1)
    assert not wait_for(lambda: not is_there(minion), 2)  # it has been looked at
    os.kill(minion, signal.SIGKILL)
    kept.started(2)
    assert not is_there(child)


def test_an_installed_system_lets_it_end_by_itself(keep):
    """There it may be dpkg: the unit gives it time, and the next minion waits for it."""
    assert "Environment=REST_S=600" in UNIT.read_text()
    kept = keep(work_s=8, PATIENCE_S="600", REST_S="60")
    minion, child = kept.started(1)
    assert not wait_for(lambda: not is_there(minion), 2)
    os.kill(minion, signal.SIGKILL)
    kept.started(2)
    assert not is_there(child)
    assert not kept.said("ending what")


@pytest.mark.parametrize("pid", [1, 127, 128, 255, 256, 65535, 65536, 4194304])
def test_salts_record_of_a_job_tells_its_process(tmp_path, pid):
    """MessagePack writes a number in one of four ways; Salt has the process first among many entries or few."""
    need("dash")
    script = SCRIPT.read_text()
    function = script[script.index("owner() {") : script.index("busy() {")]
    for more in (3, 40):
        record = tmp_path / f"{more}"
        entries = {"pid": pid} | {f"key{number}": "x" * 40 for number in range(more)}
        record.write_bytes(salt.payload.dumps(entries))
        ran = subprocess.run(
            ["dash", "-c", f'{function}owner "$1"', "sh", str(record)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout == f"{pid}\n"
    (tmp_path / "empty").write_bytes(b"")
    empty = ["dash", "-c", f'{function}owner "$1"', "sh", str(tmp_path / "empty")]
    assert subprocess.run(empty, check=False, capture_output=True).returncode == 1
