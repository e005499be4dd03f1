"""Late answers count, for as long as they can mean the present."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from racksalt.adapters.salt_pings import AT_WILL, MOST_PATIENCE_S, Pings
from racksalt.adapters.salt_questions import LATE_S
from racksalt.model.errors import AgentUnreachableError, NotFoundError


class Client:
    """Publishes into the air: ``stored`` holds what minions returned, as {(jid, node): return}."""

    def __init__(self):
        self.count, self.stored, self.prompt, self.error = 0, {}, set(), None
        self.returns = SimpleNamespace(of=self.of)

    def of(self, jid, nodes):
        """Return what is stored."""
        return {node: self.stored[jid, node] for node in nodes if (jid, node) in self.stored}

    def ask(self, nodes, fun, arg, timeout_s, begun):
        """Tell the id; only the prompt ones answer in time."""
        assert (fun, arg) == ("test.ping", [])
        if self.error:
            raise self.error
        self.count += 1
        begun(f"jid{self.count}")
        return dict.fromkeys(nodes & self.prompt, True)

    def answer(self, number, node, value=True, retcode=0):
        """Let a minion return a question."""
        self.stored[f"jid{number}", node] = {"return": value, "retcode": retcode}


@pytest.fixture
def client():
    """Minions that say nothing."""
    return Client()


@pytest.fixture
def now():
    """The time, as one number in a list."""
    return [100.0]


@pytest.fixture
def pings(client, now):
    """What is under test."""
    return Pings(client, lambda: now[0])


def test_who_answers_in_time_answers(pings, client):
    """The others do not."""
    client.prompt = {"n1"}
    assert pings.answering({"n1": 90, "n2": 90}, 2) == {"n1"}


def test_an_answer_that_came_late_counts_and_saves_a_question(pings, client):
    """The return is in the job cache by the next call."""
    assert pings.answering({"n1": 90}, 2) == set()
    client.answer(1, "n1")
    assert pings.answering({"n1": 90}, 2) == {"n1"}
    assert client.count == 1


def test_an_answer_counts_once(pings, client):
    """It says nothing about a later time."""
    pings.answering({"n1": 90}, 2)
    client.answer(1, "n1")
    assert pings.answering({"n1": 90}, 2) == {"n1"}
    assert pings.answering({"n1": 90}, 2) == set()


def test_a_question_of_an_earlier_boot_counts_for_nothing(pings, client):
    """Who was asked before the machine started again may have answered before it did."""
    pings.answering({"n1": 90}, 2)
    client.answer(1, "n1")
    assert pings.answering({"n1": 100.5}, 2) == set()


@pytest.mark.parametrize(("value", "retcode"), [(False, 0), ("yes", 0), (True, 1), (None, 0)])
def test_only_yes_is_an_answer(pings, client, value, retcode):
    """What a minion returns is its own choice."""
    pings.answering({"n1": 90}, 2)
    client.answer(1, "n1", value, retcode)
    assert pings.answering({"n1": 90}, 2) == set()


def asked_at(pings, client, now, steps):
    """Return when the minion was asked while somebody wanted to know each half second."""
    asked = []
    for _ in range(steps):
        before = client.count
        pings.answering({"n1": 90}, 2)
        asked += [now[0]] if client.count > before else []
        now[0] += 0.5
    return asked


def test_a_minion_is_not_kept_busy_with_questions(pings, client, now):
    """The more questions are open, the longer until the next, up to half a minute."""
    asked = asked_at(pings, client, now, 600)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[: AT_WILL + 4] == [*[0.5] * (AT_WILL - 1), 2, 4, 8, 16, MOST_PATIENCE_S]
    assert set(pauses[AT_WILL + 4 :]) == {MOST_PATIENCE_S}


def test_who_answered_is_asked_at_once_when_next_it_matters(pings, client, now):
    """The answer closes all that was open."""
    asked_at(pings, client, now, 60)
    client.answer(2, "n1")
    assert pings.answering({"n1": 90}, 2) == {"n1"}
    assert asked_at(pings, client, now, 1) == [now[0] - 0.5]


def test_who_connected_anew_is_asked_once_more_at_once(pings, client, now):
    """What was asked while it was away is lost; but the same hint again and again asks no more than once each."""
    asked_at(pings, client, now, 60)
    pings.connected(["n1", "n2"])
    pings.connected(["n1"])
    assert len(asked_at(pings, client, now, 20)) == 1
    assert pings._connected == set()


def test_questions_are_forgotten(pings, client, now):
    """An answer after ten minutes is none, and what is remembered does not grow."""
    for _ in range(100):
        pings.answering({"n1": 90}, 2)
        now[0] += MOST_PATIENCE_S
    assert len(pings._open._open["n1"]) == LATE_S / MOST_PATIENCE_S
    client.answer(1, "n1")
    assert pings.answering({"n1": 90}, 2) == set()


def test_minions_without_a_key_answer_nothing(pings, client):
    """A master that is away is an error, though: silence must not be mistaken."""
    client.error = NotFoundError("no key")
    assert pings.answering({"n1": 90}, 2) == set()
    client.error = AgentUnreachableError("no master")
    with pytest.raises(AgentUnreachableError):
        pings.answering({"n1": 90}, 2)
    assert pings.answering({}, 2) == set()
