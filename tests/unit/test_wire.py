"""Tags and payloads on the event bus."""

from __future__ import annotations

import pytest
import salt.utils.yaml
from hypothesis import example, given
from hypothesis import strategies as st

from racksalt import wire
from racksalt.model.event import Entry

NODE_IDS = st.from_regex(wire.NODE_ID, fullmatch=True)
ODD = st.from_regex(wire.NO_TEXT, fullmatch=True) | st.from_regex(
    r"^[0-9oxbe.-]{1,6}\Z", fullmatch=True
)
EVENTS = st.from_regex(wire.EVENT_NAME, fullmatch=True)


@given(node=NODE_IDS, event=EVENTS)
def test_an_event_tag_parses_to_what_made_it(node, event):
    """Whoever builds a tag with ``event_tag`` is understood."""
    assert wire.parse(wire.event_tag(node, event)) == wire.Inbound(node, event)


@given(node=NODE_IDS | ODD.filter(wire.NODE_ID.match))
@example("1.10")
@example("1.0e-5")
@example("010")
@example("0x1f")
@example("on")
def test_ids_that_salt_reads_as_something_else_are_known(node):
    """Whatever its YAML makes another text of is refused, and every float, even where it is spelt alike."""
    found = salt.utils.yaml.safe_load(node)
    assert wire.NO_TEXT.match(node) or (str(found) == node and not isinstance(found, float))


@pytest.mark.parametrize(
    "node", ["1001", "2026-11-29", "1.2.3", "0.n1", "on-1", "0xy", "n1", "1e5"]
)
def test_other_ids_of_digits_are_names(node):
    """They are read as what is written."""
    assert not wire.NO_TEXT.match(node)


@given(node=NODE_IDS, state=EVENTS)
def test_our_own_announcements_are_not_taken_in_again(node, state):
    """A published transition never comes back as an event: that would be a loop."""
    assert wire.parse(wire.state_tag(node, state)) is None


@pytest.mark.parametrize(
    "tag",
    [
        "racksalt/node//event/x",
        "racksalt/node/n1/event/",
        "racksalt/node/n1/event/Up",
        "racksalt/node/../event/up",
        "racksalt/node/n 1/event/up",
        "racksalt/node/n1/event/up/more",
        "x/racksalt/node/n1/event/up",
        f"racksalt/node/{'n' * 300}/event/up",
        "racksalt/node/n1/event/up\n",
        "racksalt/node/n1\n/event/up",
    ],
)
def test_malformed_tags_are_not_ours(tag):
    """A tag that is not exactly of our form, or names an impossible node or event, is ignored."""
    assert wire.parse(tag) is None


@given(st.text())
def test_no_tag_can_break_the_reader(tag):
    """The reader of the bus never raises, whatever anybody fires."""
    assert wire.parse(tag) is None or tag.startswith(wire.ROOT)
    assert wire.minion_started(tag) is None or tag.endswith("/start")
    assert wire.job_returned(tag) is None or tag.startswith("salt/job/")


def test_salts_own_tags_are_understood():
    """A minion's start and a job's return are hints that the conductor uses."""
    assert wire.minion_started("salt/minion/n1.example/start") == "n1.example"
    assert wire.minion_started("salt/minion/n1/stop") is None
    jid = "20261122000000000001"
    assert wire.job_returned(f"salt/job/{jid}/ret/n1") == (jid, "n1")
    assert wire.job_returned("salt/job/123/ret/n1") is None
    assert wire.minion_started("salt/minion/n1\n/start") is None
    assert wire.job_returned(f"salt/job/{jid}/ret/n1\n") is None


def test_what_is_published_holds_no_detail():
    """The journal's detail and message stay at home: a secret that slipped in there is not published."""
    entry = Entry(
        seq=7,
        at=1.0,
        node="n1",
        kind="transition",
        event="agent_answered",
        event_id="e1",
        from_state="enrolling",
        to_state="ready",
        stage=None,
        source="keys",
        actor="somebody",
        message="hunter2",
        detail={"password": "hunter2"},
    )
    payload = wire.state_payload(entry)
    assert "hunter2" not in str(payload)
    assert payload["from"] == "enrolling"
    assert payload["to"] == "ready"
    assert payload["seq"] == 7
