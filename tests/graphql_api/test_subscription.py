from __future__ import annotations

import asyncio
import threading
import weakref
from contextlib import ExitStack

import anyio
import orjson
import pytest
from starlette.websockets import WebSocketDisconnect

from graphql_api import feed as feeds
from graphql_api import live
from graphql_api.feed import Feed, SlowConsumerError
from graphql_api.http import socket as sockets
from graphql_api.http import sse
from racksalt.model.event import Entry

FOLLOW = "subscription($s:BigInt,$f:TransitionFilter){transitions(since:$s,filter:$f){seq event nodeId node{id state}}}"


@pytest.fixture
def connect():
    """Return a function that opens a WebSocket; all are closed before the application is."""
    with ExitStack() as stack:

        def opened(rig, *, token=None, init=True):
            session = stack.enter_context(
                rig.client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"])
            )
            if init:
                payload = {"Authorization": f"Bearer {token or rig.token()}"}
                session.send_json({"type": "connection_init", "payload": payload})
                assert session.receive_json() == {"type": "connection_ack"}
            return session

        yield opened


def subscribe(session, query=FOLLOW, name="1", **variables):
    """Start an operation."""
    payload = {"query": query, "variables": variables}
    session.send_json({"id": name, "type": "subscribe", "payload": payload})


def receive(session):
    """Return the next message that is not a heartbeat."""
    while True:
        message = session.receive_json()
        if message["type"] != "ping":
            return message


def entries(session, count):
    """Return the transitions of the next ``count`` messages."""
    return [receive(session)["payload"]["data"]["transitions"] for _ in range(count)]


def approve(rig, *nodes):
    """Make something happen."""
    rig.site.operations.run("approve", list(nodes), "tester")


def test_what_is_committed_is_sent_at_once_and_shows_the_new_state(fresh, connect):
    """A live transition comes with its node as it is now."""
    session = connect(fresh)
    subscribe(session)
    session.send_json({"type": "ping"})
    assert receive(session) == {"type": "pong"}
    wait_for_subscriber(fresh)
    fresh.site.operations.run("commission", ["n1"], "tester")
    found = entries(session, 1)[0]
    assert (found["event"], found["nodeId"]) == ("commission", "n1")
    assert found["node"]["state"] == fresh.store.node("n1").state.upper()


def wait_for_subscriber(rig, count=1):
    """Wait until the server has taken the subscription up."""
    rig.until(lambda: len(rig.services.feed._subscribers) >= count)


def test_since_replays_and_goes_on_without_gap_or_repetition(fresh, connect):
    """Every journal entry after ``since`` comes once and in order, whenever it was committed."""
    for _ in range(5):
        approve(fresh, "n1", "n2")
    first = fresh.store.head()
    session = connect(fresh)
    subscribe(session, s=0)
    busy = threading.Thread(target=lambda: [approve(fresh, "n3") for _ in range(30)])
    busy.start()
    seen = [one["seq"] for one in entries(session, first)]
    busy.join()
    last = fresh.store.head()
    seen += [one["seq"] for one in entries(session, last - first)]
    assert seen == [entry.seq for entry in fresh.store.journal(0, 1000)]
    assert last >= first + 30


def test_a_since_ahead_of_the_journal_is_refused(fresh, connect):
    """After a restore the journal begins again lower: whoever kept a seq is told to read anew, and not left waiting."""
    approve(fresh, "n1")
    head = fresh.store.head()
    session = connect(fresh)
    subscribe(session, s=head + 500)
    found = receive(session)
    assert found["type"] == "error"
    assert found["payload"][0]["extensions"] == {"code": "SINCE_AHEAD", "head": head}
    headers = {**fresh.headers(), "accept": "text/event-stream", "last-event-id": str(head + 1)}
    answer = fresh.client.post("/graphql", json={"query": FOLLOW}, headers=headers)
    assert "SINCE_AHEAD" in answer.text
    assert not fresh.services.feed._subscribers


def test_a_since_that_only_this_process_has_not_reached_is_taken(fresh, monkeypatch, connect):
    """What another process answered may be ahead of this one's tailer: the client waits for what is newer."""
    held = threading.Event()
    true = fresh.services.source.journal
    monkeypatch.setattr(
        fresh.services.source, "journal", lambda *asked: (held.wait(10), true(*asked))[1]
    )
    approve(fresh, "n1")
    head = fresh.store.head()
    session = connect(fresh)
    subscribe(session, s=head)
    wait_for_subscriber(fresh)
    approve(fresh, "n2")
    held.set()
    assert entries(session, 1)[0]["seq"] == head + 1


def test_replay_in_pages_loses_nothing(fresh, monkeypatch, connect):
    """More entries than one page of the journal: the pages join."""
    monkeypatch.setattr("graphql_api.follow.CHUNK", 3)
    for _ in range(8):
        approve(fresh, "n1")
    head = fresh.store.head()
    session = connect(fresh)
    subscribe(session, s=0)
    assert [one["seq"] for one in entries(session, head)] == list(range(1, head + 1))
    approve(fresh, "n2")
    assert entries(session, 1)[0]["seq"] == head + 1


def test_a_filter_lets_only_its_own_through(fresh, connect):
    """Node, event and state filters hold for the replay and for what is live."""
    session = connect(fresh)
    subscribe(session, s=0, f={"node": {"eq": "n2"}, "event": ["approve"]})
    approve(fresh, "n1")
    approve(fresh, "n2")
    found = entries(session, 1)[0]
    assert (found["nodeId"], found["event"]) == ("n2", "approve")


def test_the_same_subscription_is_encoded_once(fresh, monkeypatch, connect):
    """Ten who ask the same get the same bytes, made once."""
    made = []
    true = live._encoded
    monkeypatch.setattr(live, "_encoded", lambda result: made.append(1) or true(result))
    all_of_them = [connect(fresh) for _ in range(10)]
    for session in all_of_them:
        subscribe(session)
    wait_for_subscriber(fresh, 10)
    approve(fresh, "n1")
    found = [entries(session, 1)[0] for session in all_of_them]
    assert all(one == found[0] for one in found)
    assert len(made) == 1


def test_completing_a_subscription_ends_it_on_the_server(fresh, connect):
    """After complete nothing more is kept for the client, and the id can be used again."""
    session = connect(fresh)
    subscribe(session)
    wait_for_subscriber(fresh)
    session.send_json({"id": "1", "type": "complete"})
    session.send_json({"type": "ping"})
    receive(session)

    fresh.until(lambda: not fresh.services.feed._subscribers)
    subscribe(session)
    wait_for_subscriber(fresh)


def test_queries_and_mutations_go_over_the_socket_too(fresh, connect):
    """One answer, then complete; the scope is needed here as well."""
    session = connect(fresh, token=fresh.token("topology:read"))
    subscribe(session, "{revision}")
    assert receive(session)["payload"]["data"]["revision"] == fresh.services.snapshot.seq
    assert receive(session) == {"id": "1", "type": "complete"}
    subscribe(
        session,
        'mutation{nodeCommand(input:{command:RETIRE,nodes:["n1"]}){__typename}}',
        name="2",
    )
    assert receive(session)["payload"]["data"]["nodeCommand"] == {"__typename": "Forbidden"}


def test_a_bad_operation_is_an_error_of_its_own(fresh, connect):
    """The socket stays; the error names the id."""
    session = connect(fresh)
    subscribe(session, "subscription{nothing}", name="bad")
    found = receive(session)
    assert (found["type"], found["id"]) == ("error", "bad")
    subscribe(session, "{racks{nodes" + "{nodes{rack" * 9 + "{name}" + "}}" * 9 + "}}", name="deep")
    assert receive(session)["payload"][0]["extensions"]["code"] == "LIMIT"
    subscribe(session, "{revision}", name="good")
    assert receive(session)["type"] == "next"


def closed_with(session):
    """Return the code that the server closes with."""
    try:
        while True:
            session.receive_json()
    except WebSocketDisconnect as closed:
        return closed.code


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], 4401),
        ([{"type": "connection_init", "payload": {"Authorization": "Bearer rsk_a.b"}}], 4401),
        ([{"id": "1", "type": "subscribe", "payload": {"query": "{revision}"}}], 4401),
    ],
)
def test_a_socket_needs_a_token_before_anything_else(rig, messages, code, connect):
    """connection_init with a good token, or the socket is closed."""
    session = connect(rig, init=False)
    for message in messages:
        session.send_json(message)
    assert closed_with(session) == code


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], 4429),
        ([{"type": "nonsense", "id": "1"}], 4400),
        ([{"type": "subscribe", "id": "", "payload": {}}], 4400),
        (
            [
                {"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}},
                {"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}},
            ],
            4409,
        ),
    ],
)
def test_a_socket_that_breaks_the_protocol_is_closed(rig, messages, code, connect):
    """The codes are those of graphql-transport-ws."""
    session = connect(rig)
    for message in messages:
        session.send_json(message)
    assert closed_with(session) == code


def test_a_binary_message_breaks_the_protocol(rig, caplog, connect):
    """Messages are text: whoever sends bytes, even before the token, is told so and fills no log."""
    for first in (False, True):
        session = connect(rig, init=first)
        session.send_bytes(b'{"type":"connection_init"}')
        assert closed_with(session) == 4400
    assert not caplog.records


def test_a_socket_must_speak_the_protocol(rig):
    """The old graphql-ws protocol and none at all are refused."""
    with rig.client.websocket_connect("/graphql", subprotocols=["graphql-ws"]) as session:
        assert closed_with(session) == 4406


def test_a_client_that_sends_nothing_is_closed(rig, monkeypatch, connect):
    """connection_init has its time."""
    monkeypatch.setattr(sockets, "INIT_TIMEOUT_S", 0.05)
    assert closed_with(connect(rig, init=False)) == 4408


def test_the_server_sends_heartbeats(rig, monkeypatch, connect):
    """A silent line is kept open, and a dead one is noticed."""
    monkeypatch.setattr(sockets, "HEARTBEAT_S", 0.02)
    session = connect(rig)
    assert session.receive_json() == {"type": "ping"}
    session.send_json({"type": "pong"})


def test_a_subscription_ends_with_its_token(fresh, monkeypatch, connect):
    """A token that is revoked while its subscription lasts closes the socket."""
    monkeypatch.setattr(live, "RECHECK_S", 0.05)
    monkeypatch.setattr("graphql_api.auth.TTL_S", 0.01)
    made = fresh.site.operations.token_create("short", ["topology:read"], 3600)
    session = connect(fresh, token=made["secret"])
    subscribe(session)
    wait_for_subscriber(fresh)
    fresh.site.operations.token_revoke(made["id"])
    assert closed_with(session) == 4401


def test_an_event_stream_ends_with_its_token(fresh, monkeypatch):
    """As a socket does: the last event says that the token is no longer good, and is no fault of ours."""
    monkeypatch.setattr(live, "RECHECK_S", 0.05)
    monkeypatch.setattr("graphql_api.auth.TTL_S", 0.01)
    made = fresh.site.operations.token_create("short", ["topology:read"], 3600)

    async def revoke():
        with anyio.fail_after(10):
            while not fresh.services.feed._subscribers:  # noqa: ASYNC110  it has no event
                await anyio.sleep(0.005)
        fresh.site.operations.token_revoke(made["id"])

    fresh.client.portal.start_task_soon(revoke)
    headers = {"authorization": f"Bearer {made['secret']}", "accept": "text/event-stream"}
    text = fresh.client.post("/graphql", json={"query": FOLLOW}, headers=headers).text
    assert '"code":"UNAUTHENTICATED"' in text
    assert "INTERNAL" not in text
    assert text.endswith("event: complete\ndata:\n\n")


NESTED = (
    'subscription{transitions(filter:{node:{eq:"n1"}}){seq node{state zone{nodes{id state}}'
    " history(first:1){nodes{toState node{state}}}}}}"
)


def test_an_answer_is_of_the_snapshot_of_its_moment(fresh, connect):
    """Where everything was read anew, what is below an event is new as well, and the old snapshot is let go."""
    session = connect(fresh)
    subscribe(session, NESTED)
    wait_for_subscriber(fresh)
    services = fresh.services

    async def renew():
        old = weakref.ref(services.snapshot)
        services._renew(services._load())
        return old

    old = fresh.client.portal.call(renew)
    assert old() is None
    fresh.site.operations.run("commission", ["n1"], "tester")
    node = entries(session, 1)[0]["node"]
    state = fresh.store.node("n1").state.upper()
    assert node["state"] == state != "DECLARED"
    assert node["history"]["nodes"] == [{"toState": state, "node": {"state": state}}]
    assert {"id": "n1", "state": state} in node["zone"]["nodes"]
    old = fresh.client.portal.call(renew)
    assert old() is None


def test_an_entry_that_waits_holds_no_node(rig):
    """A slow subscriber's backlog would keep the snapshot that it was published under."""

    async def scene():
        feed = Feed()
        subscriber = feed.join(audit=True)
        feed.publish([an_entry(1)])
        return await subscriber.get()

    assert rig.client.portal.call(scene).node is None


def an_entry(seq):
    """Return a journal entry."""
    return Entry(
        seq=seq,
        at=0.0,
        node="n1",
        kind="transition",
        event="e",
        event_id=str(seq),
        from_state="ready",
        to_state="ready",
        stage=None,
        source="clock",
        actor="",
        message="",
    )


def test_a_subscriber_that_does_not_read_is_cut_and_others_are_not(rig, monkeypatch):
    """Its backlog is bounded; the feed never waits for it."""
    monkeypatch.setattr(feeds, "BACKLOG", 10)

    async def scene():
        feed = Feed()
        slow, quick = feed.join(audit=True), feed.join(audit=True)
        got = []
        for seq in range(1, 21):
            feed.publish([an_entry(seq)])
            got.append((await quick.get()).seq)
        with pytest.raises(SlowConsumerError):
            await slow.get()
        return got

    assert rig.client.portal.call(scene) == list(range(1, 21))


def test_a_cut_subscriber_is_told_where_to_go_on(fresh, monkeypatch, connect):
    """The error has code SLOW_CONSUMER and the last seq, from which nothing is missing."""
    monkeypatch.setattr(feeds, "BACKLOG", 2)
    session = connect(fresh)
    subscribe(session)
    wait_for_subscriber(fresh)
    head = fresh.store.head()

    async def flood():
        entries_ = [an_entry(head + n) for n in range(1, 6)]
        fresh.services.feed.publish(entries_)

    fresh.client.portal.call(flood)
    found = receive(session)
    assert found["type"] == "error"
    assert found["payload"][0]["extensions"] == {"code": "SLOW_CONSUMER", "since": head}


def test_server_sent_events_carry_the_same(fresh):
    """Curl can follow: next events with the seq as id, replay by Last-Event-ID."""
    approve(fresh, "n1", "n2")
    head = fresh.store.head()
    fresh.client.portal.start_task_soon(end_soon, fresh, head)
    headers = {**fresh.headers(), "accept": "text/event-stream", "last-event-id": str(head - 2)}
    with fresh.client.stream("POST", "/graphql", json={"query": FOLLOW}, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    events = [event for event in text.split("\n\n") if event.startswith("event: next")]
    marks = [int(event.split("id: ")[1].split("\n")[0]) for event in events[:2]]
    assert marks == [head - 1, head]
    data = orjson.loads(events[0].split("data: ")[1])
    assert data["data"]["transitions"]["seq"] == head - 1
    assert "GOING_AWAY" in events[-1]
    assert text.endswith("event: complete\ndata:\n\n")


async def end_soon(rig, head):
    """End the feed once the subscriber has had its replay, as a stopping server does."""
    with anyio.fail_after(10):
        while not rig.services.feed._subscribers:  # noqa: ASYNC110  it has no event
            await anyio.sleep(0.005)
    await rig.services.reached(head, 5)
    await anyio.sleep(0.2)
    rig.services.feed.close()


def test_a_query_can_be_an_event_stream_of_one(rig):
    """Whoever accepts only events gets next and complete."""
    headers = {**rig.headers(), "accept": "text/event-stream"}
    text = rig.client.post("/graphql", json={"query": "{revision}"}, headers=headers).text
    assert '"revision":' in text
    assert text.endswith("event: complete\ndata:\n\n")


def test_a_subscription_without_a_stream_is_told_how(rig):
    """Plain HTTP cannot follow."""
    answer = rig.client.post("/graphql", json={"query": FOLLOW}, headers=rig.headers())
    assert answer.status_code == 405
    assert "text/event-stream" in answer.json()["errors"][0]["message"]


def test_silence_on_an_event_stream_is_filled_with_comments(fresh, monkeypatch):
    """Proxies drop silent connections."""
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.02)
    fresh.client.portal.start_task_soon(end_soon, fresh, 0)
    headers = {**fresh.headers(), "accept": "text/event-stream"}
    answer = fresh.client.post("/graphql", json={"query": FOLLOW}, headers=headers)
    assert answer.text.count("\n:\n") >= 2


def test_ending_an_operation_while_its_answer_is_sent_ends_it():
    """A cancellation that comes in the moment in which the sending ends is not lost: the server would wait for ever."""

    class Client:
        """A far end that takes the message when it is told to."""

        def __init__(self):
            self.taken = asyncio.get_running_loop().create_future()

        async def send_text(self, _text):
            await self.taken

    async def run():
        client = Client()
        sending = asyncio.create_task(sockets.Socket(None, client)._raw(b"{}"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        client.taken.set_result(None)
        sending.cancel()
        await asyncio.wait({sending})
        return sending.cancelled()

    assert asyncio.run(run())
