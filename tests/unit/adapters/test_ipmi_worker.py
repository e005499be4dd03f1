from __future__ import annotations

import json
import subprocess
import sys

import pytest

from racksalt.adapters import ipmi_worker
from racksalt.adapters.ipmi_worker import Worker
from racksalt.model.errors import BmcUnreachableError


class ScriptedClient:
    """A session that fails where its script says so; the tests of the real ones are beside this file."""

    def __init__(self, made: list, script: list[str]) -> None:
        self.script = script
        self.calls: list[str] = []
        self.idle, self.fresh = 0.0, True
        made.append(self)

    def _do(self, what: str) -> str:
        self.calls.append(what)
        if self.script and self.script[0] == what:
            self.script.pop(0)
            raise BmcUnreachableError("silence")
        return "off"

    def idle_s(self):
        """Return what the test has set."""
        return self.idle

    def is_fresh(self):
        """Return what the test has set."""
        return self.fresh

    def probe(self):
        """Fail or not."""
        self._do("probe")

    def observe(self):
        """Fail or not."""
        return self._do("observe")

    def power(self, action):
        """Fail or not."""
        self._do(action)

    def boot_next(self, device, *, uefi):
        """Fail or not."""
        self._do(f"boot {device}")

    def close(self, *, polite=True):
        """Note how it was closed."""
        self.calls.append("bye" if polite else "gone")


def _job(op: str, **extra):
    return {
        "key": "k", "protocol": "ipmi", "op": op, "address": "::1", "port": 1, "username": "u",
        "password": "p", "certificate_sha256": None, "ca_file": None,
        "args": {"device": "disk", "uefi": True} if op == "boot_next" else {}, **extra,
    }  # fmt: skip


@pytest.fixture
def made(monkeypatch):
    """The sessions that a worker opens, in order; ``script`` of the module holds what is to fail."""
    sessions: list[ScriptedClient] = []
    script: list[str] = []
    monkeypatch.setattr(
        ipmi_worker, "_open", lambda protocol, login: ScriptedClient(sessions, script)
    )
    return (sessions, script)


@pytest.mark.parametrize("op", ["observe", "boot_next"])
def test_what_may_be_repeated_is_repeated_once_in_a_new_session(made, op):
    """A kept session that does not answer is replaced, and the second silence counts."""
    sessions, script = made
    worker, what = Worker(), {"observe": "observe", "boot_next": "boot disk"}[op]
    worker._do(_job(op))
    script[:] = [what]
    worker._do(_job(op))
    assert [one.calls for one in sessions] == [[what, what, "gone"], [what]]
    script[:] = [what, what]
    with pytest.raises(BmcUnreachableError):
        worker._do(_job(op))
    assert len(sessions) == 3


def test_a_new_session_that_fails_is_not_tried_again(made):
    """A dead BMC costs its time once."""
    sessions, script = made
    script[:] = ["observe"]
    with pytest.raises(BmcUnreachableError):
        Worker()._do(_job("observe"))
    assert len(sessions) == 1


@pytest.mark.parametrize("op", ["on", "off"])
def test_an_action_is_never_repeated(made, op):
    """Whatever the session's past, there is one transmission."""
    sessions, script = made
    worker = Worker()
    worker._do(_job("observe"))
    script[:] = [op]
    with pytest.raises(BmcUnreachableError):
        worker._do(_job(op))
    assert [one.calls for one in sessions] == [["observe", op]]


def test_before_an_action_an_idle_session_is_tried(made):
    """With a harmless command; when it is lost, the action goes into a new session."""
    sessions, script = made
    worker = Worker()
    worker._do(_job("observe"))
    sessions[0].idle = 6.0
    worker._do(_job("on"))
    assert sessions[0].calls == ["observe", "probe", "on"]
    script[:] = ["probe"]
    worker._do(_job("off"))
    assert [one.calls[-1] for one in sessions] == ["gone", "off"]


def test_a_session_is_not_used_when_it_is_stale_or_not_ours(made):
    """Idle for too long, another password: a new one, and the old one is given back."""
    sessions, _ = made
    worker = Worker()
    worker._do(_job("observe"))
    sessions[0].fresh = False
    worker._do(_job("observe"))
    worker._do(_job("observe", password="other"))
    assert [one.calls for one in sessions] == [["observe", "bye"], ["observe", "bye"], ["observe"]]


def test_the_number_of_kept_sessions_is_bounded(made):
    """The one that was not used for longest is given back."""
    sessions, _ = made
    worker = Worker(max_sessions=5)
    for number in range(6):
        worker._do(_job("observe", key=number))
    assert [one.calls[-1] for one in sessions[:2]] == ["bye", "observe"]


def test_an_orphan_does_not_act(made, monkeypatch):
    """When the parent has died, a new one may already be at work: looking is harmless, acting is not."""
    sessions, _ = made
    worker = Worker()
    monkeypatch.setattr(worker, "is_orphan", lambda: True)
    with pytest.raises(SystemExit):
        worker._do(_job("on"))
    assert sessions[0].calls == []


def test_the_process_answers_line_by_line_and_ends_with_its_input():
    """What a library prints cannot get in between; a broken job costs no more than itself."""
    jobs = [
        {**_job("observe", address="no-such-host.invalid"), "budget_s": 5.0, "forget": []},
        {**_job("observe", protocol="redfish", address="no-such-host.invalid"), "budget_s": 5.0, "forget": ["k"]},
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "racksalt.adapters.ipmi_worker"],
        input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["error"] for answer in answers] == ["bmc_unreachable", "bmc_unreachable"]
