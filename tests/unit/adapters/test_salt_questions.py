"""Late answers of minions are found by who remembers the questions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from racksalt.adapters.salt_jobs import FRESH_S, SaltJobs
from racksalt.adapters.salt_questions import LATE_S, Question, Questions

JOB = "20261128170850000234"


@pytest.fixture
def now():
    """The time, as one number in a list."""
    return [100.0]


@pytest.fixture
def questions(now):
    """What is under test."""
    return Questions(lambda: now[0])


def test_open_questions_are_kept_in_order_until_they_are_answered(questions, now):
    """Each is about one thing, and only those from a given time on may count."""
    questions.note(["n1", "n2"], "a")
    now[0] = 101
    questions.note(["n1"], "b")
    assert questions.about("n1") == [Question(100, "a"), Question(101, "b")]
    assert questions.about("n1", since=101) == [Question(101, "b")]
    questions.answered(["n1", "n3"])
    assert questions.about("n1") == []
    assert "n2" in questions
    assert "n1" not in questions


def test_old_questions_are_forgotten(questions, now):
    """They neither count nor pile up."""
    questions.note(["n1"], "a")
    now[0] += LATE_S + 1
    assert questions.about("n1") == []
    questions.note(["n2"], "b")
    assert "n1" not in questions


class Client:
    """Minions that answer only after the questioner has left."""

    def __init__(self):
        self.asked, self.stored = [], {}
        self.returns = SimpleNamespace(of=self.of, there=lambda _jid, _nodes: set())

    def of(self, jid, nodes):
        """Return what is stored."""
        return {node: self.stored[jid, node] for node in nodes if (jid, node) in self.stored}

    def ask(self, nodes, fun, arg, timeout_s, begun):
        """Take a question down; nobody answers in time."""
        self.asked.append(sorted(nodes))
        begun(f"question{len(self.asked)}")
        return {}

    def answer(self, number, node, status, retcode=0):
        """Let a minion answer a question."""
        self.stored[f"question{number}", node] = {"return": {"status": status}, "retcode": retcode}


@pytest.fixture
def jobs(now):
    """Jobs over such minions."""
    jobs = SaltJobs({})
    jobs._client, jobs._open.clock = Client(), lambda: now[0]
    return jobs


def test_what_a_minion_said_of_its_job_too_late_is_found(jobs, now):
    """One that does not know the job has lost it; the others are asked again, but not at once."""
    wanted = [(JOB, "n1"), (JOB, "n2")]
    assert jobs.outcomes(wanted, 5) == {}
    jobs._client.answer(1, "n1", "unknown")
    assert jobs.outcomes(wanted, 5) == {(JOB, "n1"): "lost"}
    assert jobs._client.asked == [["n1", "n2"]]
    now[0] += FRESH_S + 0.1
    assert jobs.outcomes(wanted[1:], 5) == {}
    assert jobs._client.asked == [["n1", "n2"], ["n2"]]


def test_a_late_answer_counts_once(jobs, now):
    """The next question is a new one; a failed answer is none."""
    jobs.outcomes([(JOB, "n1")], 5)
    jobs._client.answer(1, "n1", "running")
    assert jobs.outcomes([(JOB, "n1")], 5) == {(JOB, "n1"): "running"}
    assert jobs.outcomes([(JOB, "n1")], 5) == {}
    jobs._client.answer(2, "n1", "running", retcode=1)
    now[0] += FRESH_S + 0.1
    assert jobs.outcomes([(JOB, "n1")], 5) == {}
    assert len(jobs._client.asked) == 3


def test_a_minion_that_connected_anew_is_asked_at_once(jobs):
    """It may have missed the question; of others nothing is remembered."""
    jobs.outcomes([(JOB, "n1")], 5)
    jobs.connected(["n1", "n2"])
    assert jobs._anew == {"n1"}
    for _ in range(2):
        jobs.outcomes([(JOB, "n1")], 5)
    assert jobs._client.asked == [["n1"], ["n1"]]
