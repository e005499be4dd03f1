"""The QEMU lab's own course: what it says, when it ends and with what status, and what it leaves.

Its rack is a made-up one: real machines, which tests/e2e runs, do not fail on demand.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from racksalt.lab.processes import LabError
from racksalt.lab.qemu import lab
from racksalt.model.errors import InvalidInputError

HOLDER = """
import sys, tempfile, time
from racksalt.lab.qemu.lab import folder
tempfile.tempdir = sys.argv[1]
with folder() as root:
    print(root, flush=True)
    sys.stdin.read()
"""


def _holder(parent):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_a_killed_lab_left_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    """The next lab takes away the folders of dead ones only."""
    with _holder(tmp_path) as dead, _holder(tmp_path) as living:
        left, kept = dead.stdout.readline().strip(), living.stdout.readline().strip()
        dead.kill()
        dead.wait()
        assert [str(path) for path in lab.remove_dead(tmp_path)] == [left]
        assert [str(path) for path in tmp_path.iterdir()] == [kept]
        living.stdin.close()
        living.wait()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_labs_are_left_alone(tmp_path):
    """Only what has a lab's name and a lab's lock is a lab's."""
    (tmp_path / "racksalt-qemu-mine").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "lock").touch()
    (tmp_path / "racksalt-qemu-link").symlink_to(other)
    assert lab.remove_dead(tmp_path) == []
    assert (other / "lock").exists()


@pytest.mark.parametrize("nodes", [0, lab.MOST + 1])
def test_too_few_or_too_many_machines_are_refused(tmp_path, nodes):
    """A number that cannot run is refused before anything starts."""
    with pytest.raises(InvalidInputError, match=f"{nodes} machines"):
        lab.run(nodes, tmp_path)


def test_without_images_the_remedy_is_told(tmp_path):
    """Nothing is started that would wait for a kernel for ever."""
    with pytest.raises(InvalidInputError, match="no images") as refused:
        lab.run(3, tmp_path)
    assert "racksalt image build" in refused.value.hint


REASON = "disk vda is failing"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class FakeRack:
    """A rack whose machines are settled as soon as they start; ``checks`` is what each look at its parts does."""

    def __init__(self, **states):
        self.states = states
        self.checks = []
        self.stopped = False
        self.root = Path()
        self.master = SimpleNamespace(config_file=Path("m/master"))
        self.machines_file = Path("machines.json")

    def take(self, root, *, images):
        """Begin below ``root``, in place of the class that the lab calls; every machine has a console."""
        assert (images / "x86_64/vmlinuz").is_file()
        self.root = root
        self.installation = SimpleNamespace(
            lab=root / "lab", site=root / "site", settings_file=root / "racksalt.yaml"
        )
        for name in self.states:
            (root / "lab" / name).mkdir(parents=True)
            (root / "lab" / name / "console.log").write_text("login:")
        return self

    def use_machines(self, specs):
        """Take the machines as they are."""
        return specs

    def start(self, *_):
        """Start nothing."""

    def open(self):
        """Return what answers for the database."""
        operations = SimpleNamespace(
            list_nodes=lambda: [
                {"id": name, "state": state, "stage": ""} for name, state in self.states.items()
            ],
            why=lambda _name: {"reason": REASON},
        )
        return SimpleNamespace(operations=operations, close=lambda: None)

    def check(self):
        """Let the next thing happen: a part that died, or Ctrl-C."""
        happens = self.checks.pop(0)
        if happens is not None:
            raise happens

    def stop(self):
        """Note that the lab cleans up."""
        self.stopped = True


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a lab on a made-up rack to its end; returns the status."""
    (tmp_path / "images/x86_64").mkdir(parents=True)
    (tmp_path / "images/x86_64/vmlinuz").touch()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(lab, "enter_namespace", lambda: None)
    monkeypatch.setattr(lab, "accel", SimpleNamespace(choose=lambda _: "tcg"))
    monkeypatch.setattr(lab, "PAUSE_S", 0)
    before = [signal.getsignal(number) for number in SIGNALS]
    level = logging.getLogger("salt").level

    def run(rack, **options):
        monkeypatch.setattr(lab, "QemuRack", rack.take)
        status = lab.run(len(rack.states), tmp_path / "images", **options)
        assert rack.stopped
        return status

    yield run
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    logging.getLogger("salt").setLevel(level)


def test_with_exit_it_ends_by_itself_when_all_are_ready(run, capsys):
    """Nothing is left of a lab in which all went well."""
    rack = FakeRack(q1="ready", q2="ready")
    assert run(rack, exit_when_done=True) == 0
    assert not rack.root.exists()
    assert "problem" not in capsys.readouterr().out


def test_with_exit_a_machine_in_problem_is_a_failure_whose_consoles_stay(run, capsys):
    """Who comes back to a failed lab finds machine, reason and consoles; the next lab takes these away."""
    rack = FakeRack(q1="ready", q2="problem")
    assert run(rack, exit_when_done=True) == 1
    out = capsys.readouterr().out
    assert f"in problem: q2: {REASON}" in out
    assert f"kept in {rack.root} " in out
    assert "1 of 2 machines are not ready: q2" in out
    assert (rack.root / "lab/q2/console.log").read_text() == "login:"
    assert lab.remove_dead(rack.root.parent) == [rack.root]
    assert not rack.root.exists()


@pytest.mark.parametrize(("state", "status"), [("ready", 0), ("problem", 1)])
def test_it_stays_until_ctrl_c_however_they_settled(run, capsys, state, status):
    """What went wrong can be looked at; only where all got to ready is Ctrl-C a good end."""
    rack = FakeRack(q1="ready", q2=state)
    rack.checks = [None, None, KeyboardInterrupt()]
    assert run(rack) == status
    assert rack.checks == []
    out = capsys.readouterr().out
    assert "Ctrl-C ends it" in out
    assert (f"in problem: q2: {REASON}" in out) == bool(status)
    assert not rack.root.exists()


@pytest.mark.parametrize("exit_when_done", [True, False])
def test_ctrl_c_before_all_are_settled_is_a_failure(run, capsys, exit_when_done):
    """Nobody may take what was cut short for what went well."""
    rack = FakeRack(q1="ready", q2="installing")
    rack.checks = [None, KeyboardInterrupt()]
    assert run(rack, exit_when_done=exit_when_done) == 1
    assert "stopped" in capsys.readouterr().out
    assert not rack.root.exists()


def test_a_part_that_dies_while_it_stays_is_a_failure(run, capsys):
    """It does not sit there as if all were well, and its logs stay."""
    rack = FakeRack(q1="ready")
    rack.checks = [None, LabError("serve-dhcp died")]
    assert run(rack) == 1
    out = capsys.readouterr().out
    assert "failed: serve-dhcp died" in out
    assert f"kept in {rack.root} " in out
    assert rack.root.is_dir()
