"""A stored return of ``state.apply`` becomes good or bad, with words for a table."""

from __future__ import annotations

import pytest

from racksalt.adapters.salt_jobs import MESSAGE_CHARS, SaltJobs, result_of
from racksalt.conductor.ports import JobRequest
from racksalt.model.errors import InvalidInputError

JID = "20261123000102000007"


def state(result, comment="", run=0, **more):
    """Return one state's return."""
    return {"result": result, "comment": comment, "changes": {}, "__run_num__": run, **more}


def judged(states, **more):
    """Return what a stored return is taken for."""
    return result_of(JID, "n1", {"return": states, "retcode": 0, **more})


def test_all_states_true_is_good():
    """Good is every state True and return code 0."""
    found = judged({"a_|-b_|-b_|-run": state(True), "c_|-d_|-d_|-run": state(True)})
    assert (found.ok, found.jid, found.node) == (True, JID, "n1")


@pytest.mark.parametrize("result", [False, None, "True", 1])
def test_anything_but_true_is_bad(result):
    """Test mode's None and a sloppy state's text are no success."""
    assert judged({"a_|-b_|-b_|-run": state(result)}).ok is False


@pytest.mark.parametrize("states", [{}, [], "text", None, ["Rendering SLS failed"], {"a": "text"}])
def test_a_return_that_is_no_set_of_states_is_bad(states):
    """A failed rendering is a list, an exception is text, an SLS without states is empty."""
    assert judged(states).ok is False


def test_a_return_code_is_bad_even_where_all_states_are_true():
    """Salt found something wrong beside the states."""
    found = result_of(JID, "n1", {"return": {"a_|-b_|-b_|-run": state(True)}, "retcode": 2})
    assert found.ok is False
    assert "2" in found.message


def test_the_first_failing_state_is_told():
    """Those that fail because of it come later and are not told."""
    found = judged(
        {
            "a_|-late_|-late_|-run": state(False, "One or more requisite failed", 2),
            "a_|-first_|-first_|-run": state(False, "disk is\n  failing", 1, __id__="burn_in"),
        }
    )
    assert found.message == "burn_in: disk is failing"


def test_messages_are_cut_to_fit():
    """A page of text is cut at a length that fits a table."""
    found = judged({"a_|-b_|-b_|-run": state(False, "x" * 5000)})
    assert len(found.message) == MESSAGE_CHARS


def test_what_states_hand_back_is_merged():
    """A state's ``data`` reaches the conductor, also from a stage that failed."""
    inventory = {"inventory": {"serial": "S1"}}
    found = judged(
        {"a_|-b_|-b_|-run": state(True, data=inventory), "c_|-d_|-d_|-run": state(False)}
    )
    assert found.data == inventory


@pytest.mark.parametrize(
    "jid", ["", "1", "x" * 20, "2026112300010200000_", "20261123000102000007\n"]
)
def test_only_a_job_id_of_twenty_digits_is_published(jid):
    """Salt would make up an id of its own for others, and nobody would find the result."""
    with pytest.raises(InvalidInputError, match="20 digits"):
        SaltJobs({}).submit([JobRequest(jid=jid, node="n1", stage="bios", sls="stages.bios")])
