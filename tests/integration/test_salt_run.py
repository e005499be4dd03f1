"""An operator's questions through the real ``salt-run``: what there is, why it waits, and what it went through."""

from __future__ import annotations

import getpass
import shutil
import tempfile
from pathlib import Path

import pytest

from racksalt.lab.rack import Rack, states_of
from tests.support.salt_run import run, salt_run
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.timeout(240),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
GOOD, BAD = "o1", "o2-bad-disk"


@pytest.fixture(scope="module")
def rack():
    """A rack of two, sent on their way by salt-run: one gets to ready, the other has a bad disk."""
    root = Path(tempfile.mkdtemp(prefix="ro-", dir="/tmp"))
    with Rack(root) as rack:
        rack.use_nodes([GOOD, BAD])
        rack.start()
        answer = salt_run(rack, "commission", GOOD, BAD, "goal=ready")
        assert answer["refused"] == []
        app = rack.open()
        try:
            rest = {GOOD: "ready", BAD: "problem"}
            assert wait_for(lambda: states_of(app) == rest, 120, every_s=0.5), states_of(app)
        finally:
            app.close()
        yield rack
    shutil.rmtree(root, ignore_errors=True)


def test_list_tells_states_and_narrows(rack):
    """All nodes with what matters of each; and those of one state."""
    found = salt_run(rack, "list")
    assert {name: node["state"] for name, node in found.items()} == {GOOD: "ready", BAD: "problem"}
    assert found[GOOD]["power"] == "on"
    assert list(salt_run(rack, "list", "state=problem")) == [BAD]


def test_why_tells_the_reason_and_what_to_do(rack):
    """What is wrong, since when, and what a person can do about it; nothing of the kind for a node that is well."""
    why = salt_run(rack, "why", BAD)
    assert why["state"] == "problem"
    assert "failing" in why["reason"]
    assert "recover" in why["what_to_do"]
    assert salt_run(rack, "why", GOOD)["state"] == "ready"
    ran = run(rack, "why", "nobody")
    assert ran.returncode != 0
    assert "'nobody' is unknown" in ran.stdout + ran.stderr


def test_history_tells_who_did_what(rack):
    """The way to ready, newest first, begun by the person who typed the command."""
    entries = salt_run(rack, "history", GOOD)["entries"]
    seqs = [entry["seq"] for entry in entries]
    assert seqs == sorted(seqs, reverse=True)
    moves = [
        (it["from_state"], it["to_state"]) for it in entries[::-1] if it["kind"] == "transition"
    ]
    states = [to for at, to in moves if at != to]
    assert states == ["commissioning", "installing", "enrolling", "ready"]
    (begun,) = [entry for entry in entries if entry["event"] == "commission"]
    assert (begun["source"], getpass.getuser() in begun["actor"]) == ("operator", True)
    assert len(salt_run(rack, "history", GOOD, "limit=3")["entries"]) == 3


def test_a_reinstall_is_planned_and_nothing_is_done(rack):
    """Transitions, reboots and disks, and the node stays as it is."""
    answer = salt_run(rack, "reinstall", GOOD, "dry_run=True")
    (plan,) = answer["plan"]["nodes"]
    assert plan["transitions"][0]["to"] == "installing"
    assert plan["reboots"] == 2
    assert plan["disks_wiped"]
    assert salt_run(rack, "list")[GOOD]["state"] == "ready"
