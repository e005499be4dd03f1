from __future__ import annotations

import secrets
import socket
import threading
import time
from dataclasses import replace

import httpx
import orjson
import pytest
import uvicorn
from starlette.testclient import TestClient
from websockets.sync.client import connect

from graphql_api import services as following
from graphql_api.app import create_app
from graphql_api.http import socket as sockets
from racksalt.bootstrap import open_app
from racksalt.model.errors import StoreError
from racksalt.model.event import Entry
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Rack, Zone
from tests.graphql_api.rig import Rig
from tests.support.builders import a_node
from tests.support.waiting import wait_for

STATE = "query($n:ID){node(by:{id:$n}){state rack{name zone{name}}}}".replace("$n:ID", "$n:ID!")


def caught_up(rig, seconds=5):
    """Wait until the snapshot has what the store has."""
    assert rig.client.portal.call(rig.services.reached, rig.store.head(), seconds)


def test_what_another_process_commits_is_seen_here(fresh):
    """Each process follows the journal by itself; nobody tells anybody."""
    other = open_app(fresh.site.settings)
    try:
        other.operations.run("commission", ["n1"], "elsewhere")
    finally:
        other.close()
    caught_up(fresh)
    assert fresh.ask(STATE, {"n": "n1"})["node"]["state"] != "DECLARED"


def test_two_applications_over_one_database_agree(fresh):
    """A command through one is seen through the other."""
    web = create_app(fresh.site)
    with TestClient(web) as client:
        fresh.site.operations.run("commission", ["n2"], "tester")
        head = fresh.store.head()
        assert client.portal.call(web.state.services.reached, head, 5)
        caught_up(fresh)
        body = {"query": STATE, "variables": {"n": "n2"}}
        there = client.post("/graphql", json=body, headers=fresh.headers()).json()
    assert there["data"] == fresh.ask(STATE, {"n": "n2"})


def test_a_node_in_a_rack_that_is_new_is_shown_there(fresh):
    """A journal entry that leads to an unknown place makes the snapshot load anew."""
    with fresh.store.write() as tx:
        tx.put_places([Zone(name="z3")])
        tx.put_places([Rack(name="r9", zone="z3")])
        row = Node(
            id="new",
            state="declared",
            version=0,
            state_since=1.0,
            rack="r9",
            zone="z3",
            goal="ready",
        )
        tx.add_nodes([row])
    fresh.site.operations.run("approve", ["new"], "tester")
    caught_up(fresh)
    assert fresh.ask(STATE, {"n": "new"})["node"]["rack"] == {"name": "r9", "zone": {"name": "z3"}}
    assert len(fresh.ask("{zones{name}}")["zones"]) == 3


def test_what_changes_without_a_journal_entry_is_found_by_and_by(tmp_path, monkeypatch):
    """A new network has no journal entry; reading everything again finds it and changes the revision."""
    monkeypatch.setattr(following, "RELOAD_S", 0.1)
    rig = Rig(tmp_path)
    try:
        with rig.client:
            before = rig.services.snapshot.revision
            with rig.store.write() as tx:
                tx.put_places([Network(name="storage", purpose="storage")])

            rig.until(lambda: "storage" in rig.services.snapshot.networks)
            assert rig.services.snapshot.revision != before
            assert "storage" in str(rig.ask("{networks{name}}"))
    finally:
        rig.site.close()


def test_a_busy_journal_hides_no_new_network(tmp_path, monkeypatch):
    """Reading everything again counts while entries come faster than it is read, and loses none of them."""
    monkeypatch.setattr(following, "RELOAD_S", 0.05)
    monkeypatch.setattr(following, "RELOAD_SHARE", 1.0)
    rig = Rig(tmp_path)

    def busy():
        """Move the journal on while the topology is read: another process's command, each time."""
        rig.site.operations.run("approve", ["n1", "n2"], "tester")
        found = true()
        rig.site.operations.run("approve", ["n3"], "tester")
        return found

    try:
        with rig.client:
            true = rig.services.source.load
            published = []
            publish = rig.services.feed.publish
            monkeypatch.setattr(
                rig.services.feed,
                "publish",
                lambda entries: published.extend(one.seq for one in entries) or publish(entries),
            )
            first = rig.services.feed.seq
            monkeypatch.setattr(rig.services.source, "load", busy)
            with rig.store.write() as tx:
                tx.put_places([Network(name="storage", purpose="storage")])
            rig.until(lambda: "storage" in rig.services.snapshot.networks)
            monkeypatch.setattr(rig.services.source, "load", true)
            rig.until(lambda: rig.services.feed.seq >= rig.store.head())
            assert published == list(range(first + 1, rig.store.head() + 1))
            assert "storage" in str(rig.ask("{networks{name}}"))
    finally:
        rig.site.close()


def test_what_is_read_from_a_server_that_is_behind_is_left(fresh):
    """A snapshot never goes back to an older topology."""
    services = fresh.services
    old = services.source.load()
    fresh.site.operations.run("commission", ["n1"], "tester")
    caught_up(fresh)
    shown = services.snapshot
    true, services.source.load = services.source.load, lambda: old
    fresh.client.portal.call(services._reload)
    services.source.load = true
    assert services.snapshot is shown
    assert fresh.ask(STATE, {"n": "n1"})["node"]["state"] != "DECLARED"


def test_a_database_that_is_away_for_a_while_stops_nothing(fresh, monkeypatch, caplog):
    """The snapshot goes on answering, and catches up once the database is back."""
    monkeypatch.setattr(following, "RETRY_S", 0.02)
    source = fresh.services.source
    gone = threading.Event()
    true = source.head

    def away():
        gone.set()
        raise StoreError("no connection")

    monkeypatch.setattr(source, "head", away)
    assert gone.wait(5)
    assert fresh.ask(STATE, {"n": "n1"})["node"]["state"] == "DECLARED"
    assert wait_for(lambda: fresh.client.get("/healthz").status_code == 503, 5) is not None
    health = fresh.client.get("/healthz")
    told = health.json()
    assert told["status"] == "behind"
    assert told["revision"] == fresh.services.snapshot.revision
    assert 0 <= time.time() - told["since"] < 60
    fresh.site.operations.run("commission", ["n1"], "tester")
    monkeypatch.setattr(source, "head", true)
    caught_up(fresh)
    assert fresh.ask(STATE, {"n": "n1"})["node"]["state"] != "DECLARED"
    assert "could not be followed" in caplog.text
    assert wait_for(lambda: fresh.client.get("/healthz").status_code == 200, 5) is not None


def test_a_load_that_fails_does_not_stop_the_journal(tmp_path, monkeypatch):
    """Whatever is wrong with reading everything again, what is new is followed."""
    monkeypatch.setattr(following, "RELOAD_S", 0.1)
    monkeypatch.setattr(following, "RETRY_S", 0.02)
    rig = Rig(tmp_path)
    tried = threading.Event()

    def broken():
        tried.set()
        raise StoreError("no topology")

    try:
        with rig.client:
            monkeypatch.setattr(rig.services.source, "load", broken)
            assert tried.wait(5)
            rig.site.operations.run("commission", ["n1"], "tester")
            caught_up(rig)
            assert rig.ask(STATE, {"n": "n1"})["node"]["state"] != "DECLARED"
    finally:
        rig.site.close()


def test_an_address_on_a_network_that_is_gone_blinds_nobody(tmp_path, monkeypatch, caplog):
    """Neither while the API runs nor when it starts; the log says what is missing."""
    monkeypatch.setattr(following, "RELOAD_S", 0.1)
    rig = Rig(tmp_path)
    try:
        rig.equip()
        with rig.store.write() as tx:
            row = {"network": "gone", "address": "10.8.0.1", "family": 4}
            tx.put([Address(id="odd", node="n2", nic=None, **row)])
        with rig.client:
            rig.site.operations.run("commission", ["n1"], "tester")
            caught_up(rig)
            assert rig.ask(STATE, {"n": "n1"})["node"]["state"] != "DECLARED"
            asked = '{node(by:{id:"n2"}){addresses{address network{name}}}}'
            found = rig.ask(asked)["node"]["addresses"]
            assert {"address": "10.8.0.1", "network": None} in found
        assert "network 'gone' is named and not there" in caplog.text
    finally:
        rig.site.close()


def populate(store, count):
    """Write ``count`` nodes with four NICs and an address each."""
    names = [f"n{n:04}" for n in range(count)]
    pairs = [(n, name, k) for n, name in enumerate(names) for k in range(4)]
    with store.write() as tx:
        tx.put_places([Zone(name=f"z{n}") for n in range(5)])
        tx.put_places([Rack(name=f"r{n:02}", zone=f"z{n % 5}") for n in range(50)])
        tx.put_places([Network(name="admin", cidr_v4="10.0.0.0/8")])
        tx.add_nodes([a_node(name, "ready", rack=f"r{n % 50:02}") for n, name in enumerate(names)])
        tx.put([a_nic(n, name, k) for n, name, k in pairs])
        tx.put([an_address(n, name, k) for n, name, k in pairs])


def a_nic(number, name, nic):
    """Return the row of one of a node's NICs."""
    mac = f"02:00:{number // 256:02x}:{number % 256:02x}:00:{nic:02x}"
    return Nic(id=f"{name}/{nic}", node=name, name=f"eth{nic}", mac=mac)


def an_address(number, name, nic):
    """Return the row of a NIC's address."""
    text = f"10.{nic}.{number // 256}.{number % 256}"
    key = f"{name}/{nic}"
    return Address(id=key, node=name, nic=key, network="admin", address=text, family=4)


@pytest.fixture
def served(tmp_path):
    """A real server with 1,000 nodes on a port of its own; gives rig, address and seconds to the first answer."""
    rig = Rig(tmp_path)
    populate(rig.store, 1000)
    server = uvicorn.Server(uvicorn.Config(rig.web, log_level="warning"))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    began = time.monotonic()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    took = None
    while took is None and time.monotonic() - began < 30:
        try:
            assert httpx.get(f"http://{address}/healthz").status_code == 200
            took = time.monotonic() - began
        except httpx.TransportError:
            assert thread.is_alive()
    yield rig, address, took
    server.should_exit = True
    thread.join(20)
    listener.close()
    rig.site.close()
    assert not thread.is_alive()


AN_ENTRY = Entry(
    seq=0,
    at=0.0,
    node="n0001",
    kind="transition",
    event="e",
    event_id="e",
    from_state="ready",
    to_state="ready",
    stage=None,
    source="clock",
    actor="",
    message="",
)


def greet(line, rig):
    """Begin the protocol."""
    payload = {"authorization": f"Bearer {rig.token()}"}
    line.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
    assert orjson.loads(line.recv())["type"] == "connection_ack"


def test_a_real_server_answers_soon_and_streams(served):
    """1,000 nodes are loaded within 3 s of the start; HTTP, WebSocket and events work over real sockets."""
    rig, address, took = served
    assert took < 3
    query = "{zones{racks{nodes{id nics{mac addresses{address}}}}}}"
    answer = httpx.post(
        f"http://{address}/graphql", json={"query": query}, headers=rig.headers()
    ).json()
    nodes = [
        node for zone in answer["data"]["zones"] for rack in zone["racks"] for node in rack["nodes"]
    ]
    assert len([node for node in nodes if node["nics"]]) == 1000 + 4
    follow = "subscription{transitions{seq nodeId}}"
    with connect(
        f"ws://{address}/graphql", subprotocols=["graphql-transport-ws"], close_timeout=2
    ) as line:
        greet(line, rig)
        line.send(
            orjson.dumps({"id": "1", "type": "subscribe", "payload": {"query": follow}}).decode()
        )
        line.send('{"type":"ping"}')
        assert orjson.loads(line.recv())["type"] == "pong"
        with httpx.stream(
            "POST",
            f"http://{address}/graphql",
            json={"query": follow},
            headers={**rig.headers(), "accept": "text/event-stream"},
        ) as events:
            lines = events.iter_lines()
            assert next(lines) == ":"
            assert wait_for(lambda: len(rig.services.feed._subscribers) == 2, 10) is not None
            rig.site.operations.run("reinstall", ["n0001"], "tester")
            assert orjson.loads(line.recv())["payload"]["data"]["transitions"]["nodeId"] == "n0001"
            found = next(one for one in lines if one.startswith("data: "))
            assert '"nodeId":"n0001"' in found
        gone = wait_for(lambda: len(rig.services.feed._subscribers) == 1, 10)
        assert gone is not None, "a client that went away is still subscribed"
    assert wait_for(lambda: not rig.services.feed._subscribers, 10) is not None


def test_a_client_that_does_not_read_is_cut_over_a_real_socket(served, monkeypatch):
    """Neither memory nor the event loop is held up: the socket is closed when a message cannot be sent in time."""
    rig, address, _took = served
    monkeypatch.setattr(sockets, "SEND_TIMEOUT_S", 0.3)
    follow = "subscription{transitions{seq message}}"
    with connect(
        f"ws://{address}/graphql",
        subprotocols=["graphql-transport-ws"],
        max_queue=1,
        close_timeout=0.2,
        ping_interval=None,
    ) as line:
        greet(line, rig)
        subscribing = {"id": "1", "type": "subscribe", "payload": {"query": follow}}
        line.send(orjson.dumps(subscribing).decode())
        feed = rig.services.feed
        assert wait_for(lambda: len(feed._subscribers) == 1, 10) is not None
        many = [
            replace(AN_ENTRY, seq=feed.seq + n, message=secrets.token_hex(2048))
            for n in range(1, 4000)
        ]
        loop = rig.services._tailer.get_loop()
        loop.call_soon_threadsafe(feed.publish, many)
        assert wait_for(lambda: not feed._subscribers, 15) is not None
    health = httpx.get(f"http://{address}/healthz")
    assert health.status_code == 200
