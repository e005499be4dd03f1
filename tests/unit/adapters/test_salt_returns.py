"""What minions returned is read one file at a time, and whatever is in it ends a stage at the worst."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
import salt.payload

from racksalt.adapters import salt_returns
from racksalt.adapters.salt_client import master_opts
from racksalt.adapters.salt_jobs import SaltJobs
from racksalt.adapters.salt_returns import Returns, bounded
from racksalt.model.errors import AgentUnreachableError
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture

JID = "20261123000102000007"
GOOD = {"return": {"a_|-b_|-b_|-run": {"result": True, "__run_num__": 0}}, "retcode": 0}
# A minion returns a time in the year 5; the master stores it such that Salt cannot read it again.
YEAR_5 = salt.payload.dumps({"return": dt.datetime(5, 1, 1)}, use_bin_type=True)  # noqa: DTZ001
DEEP = b"\x91" * 100_000 + b"\xc0"


@pytest.fixture
def opts(tmp_path):
    """The options of a master with an empty job cache in files."""
    opts = master_opts(tmp_path / "master")
    opts["cachedir"] = str(tmp_path)
    return opts


@pytest.fixture
def returns(opts):
    """The reader under test; no returner of Salt's is called."""
    return Returns(opts, dict)


@pytest.fixture
def put(returns):
    """Store a node's return as the master does."""

    def put(node, raw, jid=JID):
        path = returns.path(jid, node)
        path.parent.mkdir(parents=True)
        path.write_bytes(raw if isinstance(raw, bytes) else salt.payload.dumps(raw))

    return put


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "raw", [YEAR_5, DEEP, b"", b"\xc1", b"\xdd\xff\xff\xff\xff", {"retcode": 0}]
)
def test_a_return_that_nobody_can_read_is_a_failed_one_and_hides_no_other(opts, put, raw):
    """Salt's own reader tries such a file for ever; the stage of that one node fails."""
    put("bad", raw)
    put("good", GOOD)
    jobs = SaltJobs(opts)
    found = {one.node: one for one in jobs.results([(JID, "bad"), (JID, "good"), (JID, "none")])}
    assert {node: one.ok for node, one in found.items()} == {"bad": False, "good": True}
    assert "cannot be used" in found["bad"].message
    assert jobs.stored(JID, "bad") is True
    assert jobs.stored(JID, "none") is False


@pytest.mark.parametrize(
    "states",
    [
        {1: {"result": False}},
        {"a_|-b_|-b_|-run": {"result": True, "__run_num__": "x"}, "b": {"result": True}},
    ],
)
def test_a_return_that_makes_no_sense_is_a_failed_one_and_hides_no_other(opts, put, states):
    """Names and numbers of states are a minion's choice too."""
    put("bad", {"return": states})
    put("good", GOOD)
    found = {one.node: one for one in SaltJobs(opts).results([(JID, "bad"), (JID, "good")])}
    assert {node: one.ok for node, one in found.items()} == {"bad": False, "good": True}


def test_a_return_that_is_too_large_is_not_read_to_its_end(returns, put, monkeypatch):
    """Memory is bounded, whatever a minion returns."""
    monkeypatch.setattr(salt_returns, "RETURN_BYTES", 100)
    put("n1", {"return": "x" * 200})
    assert "more than 100 bytes" in returns.of(JID, ["n1"])["n1"]["return"]


def test_no_other_nodes_return_is_opened(returns, put, monkeypatch):
    """A rack's job costs one file for each node, not all files for each."""
    opened = []
    for number in range(50):
        put(f"n{number}", GOOD)
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *a, **k: opened.append(path) or real(path, *a, **k)
    )
    assert set(returns.of(JID, ["n7", "n9"])) == {"n7", "n9"}
    assert returns.there(JID, ["n7", "n99"]) == {"n7"}
    assert len(opened) == 2


@pytest.mark.parametrize("name", ["../n1", "a/b", "..", ""])
def test_names_that_are_paths_reach_nothing(returns, name):
    """A node id never leads out of the job's folder."""
    assert returns.of(JID, [name]) == {}
    assert returns.there(JID, [name]) == set()


def test_another_job_cache_is_asked_through_salt(opts):
    """Only the wanted nodes are handed on, and nonsense is a failed return."""
    stored = {"n1": GOOD, "n2": "nonsense", "n3": GOOD}
    opts["master_job_cache"] = "elsewhere"
    returns = Returns(opts, lambda: {"elsewhere.get_jid": lambda jid: stored if jid == JID else {}})
    found = returns.of(JID, ["n1", "n2", "n9"])
    assert found["n1"] == GOOD
    assert found["n2"]["retcode"] == 1
    assert set(found) == {"n1", "n2"}
    assert returns.there(JID, ["n3", "n9"]) == {"n3"}


def test_a_job_cache_that_hangs_is_given_up_after_a_while():
    """A conductor's thread is not lost to it; a failing one is told as unreachable as well."""
    end = threading.Event()
    try:
        with pytest.raises(AgentUnreachableError, match="no answer"):
            bounded(end.wait, 0.05)
    finally:
        end.set()
    with pytest.raises(AgentUnreachableError):
        bounded(lambda: 1 / 0, 5)
    assert bounded(lambda: 7, 5) == 7


def test_one_kept_result_that_cannot_be_stored_hides_no_other(opts, returns, monkeypatch):
    """What a minion says it kept may be anything; the other minions' results are taken over."""

    class Stored:
        returners = salt_loader(opts)

    jobs = SaltJobs(opts)
    monkeypatch.setattr(jobs._client, "local", Stored)
    said = {
        "bad": {"status": "finished", "return": {"return": {1: object()}}},
        "odd": {"status": ["finished"], "return": {}},
        "good": {"status": "finished", "return": GOOD},
    }
    monkeypatch.setattr(jobs._client, "ask", lambda *_: said)
    assert jobs.outcomes([(JID, node) for node in said], 1) == {(JID, "good"): "finished"}
    assert [one.ok for one in jobs.results([(JID, node) for node in said])] == [True]


def salt_loader(opts):
    """Return Salt's returners for these options."""
    import salt.loader

    return salt.loader.returners(opts, {})
