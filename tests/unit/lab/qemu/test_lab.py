from __future__ import annotations

import subprocess
import sys

import pytest

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
