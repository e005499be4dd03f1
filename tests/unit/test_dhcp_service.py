"""The service brings a server to what the store says."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from graphql_api.records import record
from racksalt.dhcp_service import Service, open_server, open_store
from racksalt.model.errors import DhcpError
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network
from racksalt.network.dhcp import Note, full, unserved
from racksalt.network.dhcp_notes import MOST_UNSERVED, TOLD_S
from racksalt.settings import Dhcp, Settings
from tests.support.databases import *  # noqa: F403  fixtures


class _Server:
    """Keeps what it is told to serve; ``error`` is raised, ``notes`` are handed out once."""

    def __init__(self):
        self.applied, self.notes, self.error = [], [], None

    def apply(self, wanted):
        if self.error:
            raise self.error
        self.applied.append(wanted)

    def tend(self):
        notes, self.notes = self.notes, []
        return notes

    def leases(self):
        return []

    def close(self):
        """Nothing to end."""


class _Rig:
    def __init__(self, store, folder):
        self.now = 1000.0
        self.store, self.server = store, _Server()
        settings = Settings(dhcp=Dhcp(folder=str(folder), resync_s=3600))
        self.service = Service(settings, store, self.server, lambda: self.now)
        with store.write() as tx:
            net = Network(name="prov", purpose="provisioning", cidr_v4="10.0.0.0/24")
            tx.put_places([net])

    def add(self, number):
        node, mac = f"n{number}", f"52:54:00:00:00:{number:02x}"
        with self.store.write() as tx:
            tx.add_nodes([Node(id=node, state="declared", version=0, state_since=0.0)])
            tx.put([Nic(id=f"{node}/{mac}", node=node, name="nic0", mac=mac)])
            address = {"network": "prov", "address": f"10.0.0.{number}", "family": 4}
            tx.put([Address(id=node, node=node, nic=f"{node}/{mac}", **address)])

    def step(self):
        self.service._not_before = 0.0
        self.service.step()

    def noted(self):
        return [entry.message for entry in reversed(self.store.history(""))]


@pytest.fixture
def rig(sqlite_store, tmp_path):
    """A service over a store with one network."""
    return _Rig(sqlite_store, tmp_path)


def test_what_is_committed_is_served_at_the_next_look(rig):
    """And nothing is written anew when nothing that matters has changed."""
    rig.service.start()
    rig.add(1)
    rig.step()
    assert list(rig.server.applied[-1].hosts) == ["n1"]
    count = len(rig.server.applied)
    rig.store.set_mark("other", 1)
    rig.step()
    rig.step()
    assert len(rig.server.applied) == count


def test_what_could_not_be_applied_is_tried_again(rig):
    """Until it could; the service goes on meanwhile."""
    rig.service.start()
    rig.server.error = DhcpError("disk full")
    rig.add(1)
    rig.step()
    rig.step()
    rig.server.error = None
    rig.step()
    assert list(rig.server.applied[-1].hosts) == ["n1"]


def test_a_server_that_cannot_start_is_an_error(rig):
    """At the start; later it is told and tried again."""
    rig.server.error = DhcpError("port taken")
    with pytest.raises(DhcpError, match="port taken"):
        rig.service.start()


def test_a_server_that_serves_in_spite_of_an_error_is_let_serve(rig):
    """Ending it at the start would leave everybody without an address; it is told and tried again."""
    rig.server.error = DhcpError("its database refuses", serving=True)
    rig.service.start()
    rig.step()
    assert rig.service._problem == "its database refuses"
    rig.server.error = None
    rig.step()
    assert (rig.service._problem, len(rig.server.applied)) == ("", 1)


def test_notes_are_journalled_once_a_minute_for_each_key(rig):
    """A rack that asks again and again does not fill the journal."""
    full = Note("prov/4", "dhcp_exhausted", "no free address", {"network": "prov"})
    other = Note("stor/4", "dhcp_exhausted", "nor here", {"network": "stor"})
    for _ in range(5):
        rig.server.notes = [full, other]
        rig.step()
    assert rig.noted() == ["no free address", "nor here"]
    rig.now += TOLD_S
    rig.server.notes = [full]
    rig.step()
    assert rig.noted() == ["no free address", "nor here", "no free address"]
    entry = rig.store.history("")[0]
    assert (entry.kind, entry.source, entry.detail["network"]) == ("noted", "dhcp", "prov")
    shown = record(entry, {}, audit=True)
    assert (shown.node_id, shown.node, shown.message) == ("", None, "no free address")


def test_the_doctor_is_told_who_got_no_address(rig):
    """For want of a free one in the network, or of room for one more lease."""
    rig.server.notes = [Note("prov/4", "dhcp_exhausted", "no free address", {}), full(7, "02:00")]
    rig.step()
    found = json.loads((Path(rig.service._settings.dhcp.folder) / "status.json").read_text())
    told = {it["event"]: it["message"] for it in found["exhausted"].values()}
    assert set(told) == {"dhcp_exhausted", "dhcp_full"}
    assert "keeps 7" in told["dhcp_full"]


def test_one_machine_that_asks_in_many_names_does_not_fill_the_journal(rig):
    """Where a request came from is what its sender writes: ten a minute, and one entry that counts all others."""
    for number in range(200):
        rig.server.notes = [unserved(f"10.9.{number}.{host}") for host in range(50)]
        rig.step()
    assert len(rig.noted()) == MOST_UNSERVED
    rig.now += TOLD_S
    rig.step()
    rig.step()
    assert len(rig.noted()) == MOST_UNSERVED + 1
    last = rig.store.history("")[0]
    assert (last.event, last.detail["more"]) == ("dhcp_unserved", 200 * 50 - MOST_UNSERVED)
    rig.server.notes = [unserved("10.8.0.1"), Note("prov/4", "dhcp_exhausted", "full", {})]
    rig.step()
    assert len(rig.noted()) == MOST_UNSERVED + 3


def test_what_is_left_out_is_journalled(rig):
    """So that a bad name is seen where people look."""
    rig.service.start()
    rig.add(1)
    with rig.store.write() as tx:
        tx.put([Address(id="x", node="n1", nic=None, network="no", address="10.0.0.9", family=4)])
    rig.step()
    assert any("is left out" in message for message in rig.noted())


def test_a_database_that_is_not_there_is_waited_for_and_never_made(tmp_path):
    """The service runs as root: what it made, the conductor could not write."""
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    assert open_store(Settings(database=f"sqlite:///{tmp_path}/none.db"), stop) is None
    assert list(tmp_path.iterdir()) == []


def test_without_a_chosen_server_nothing_is_served():
    """The setting is named."""
    with pytest.raises(DhcpError, match=r"dhcp\.server"):
        open_server(Settings(dhcp=Dhcp(server="none")))


def test_what_goes_wrong_is_told_once_and_ends_with_its_cause(rig, caplog):
    """Not at every look, also of what no error of ours stands for."""
    rig.service.start()
    rig.server.error = OSError(28, "No space left on device")
    rig.add(1)
    for _ in range(3):
        rig.step()
        rig.service.step()
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == [
        "[Errno 28] No space left on device"
    ]
    rig.server.error = None
    rig.step()
    assert rig.service._problem == ""
    assert list(rig.server.applied[-1].hosts) == ["n1"]
