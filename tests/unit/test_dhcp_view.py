"""What `racksalt doctor` and `racksalt dhcp` say of the service."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from racksalt import dhcp_view
from racksalt.dhcp_view import findings, leases, render
from racksalt.model.errors import DhcpError, NotFoundError
from racksalt.model.node import Address, Nic, Node
from racksalt.model.place import Network, Range
from racksalt.network.kea import socket_of
from racksalt.settings import Dhcp, Settings
from tests.support.databases import *  # noqa: F403  fixtures

MAC = "52:54:00:00:00:01"
POOL = Range(name="d", first="10.0.0.128", last="10.0.0.175", use="discovery")
NET = Network(name="prov", purpose="provisioning", cidr_v4="10.0.0.0/24", ranges=(POOL,))


@pytest.fixture
def settings(sqlite_store, tmp_path):
    """Settings over a store with one network and one node."""
    with sqlite_store.write() as tx:
        tx.put_places([NET])
        tx.add_nodes([Node(id="n1", state="declared", version=0, state_since=0.0)])
        tx.put([Nic(id="m", node="n1", name="nic0", mac=MAC)])
        address = {"nic": "m", "network": "prov", "address": "10.0.0.20", "family": 4}
        tx.put([Address(id="a", node="n1", **address)])
    (tmp_path / "dhcp").mkdir()
    return Settings(database=sqlite_store.url, dhcp=Dhcp(folder=str(tmp_path / "dhcp")))


def _status(settings, **fields):
    known = {"at": time.time(), "server": "dnsmasq", "hosts": 1, "problem": "", "exhausted": {}}
    with open(f"{settings.dhcp.folder}/status.json", "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump({**known, **fields}, file)


def _bad(settings, store):
    return [(seen, remedy) for _, ok, seen, remedy in findings(settings, store) if not ok]


def test_a_service_that_does_not_run_is_found(settings, sqlite_store):
    """Never started, or silent for a while."""
    assert "does not run" in _bad(settings, sqlite_store)[0][0]
    _status(settings, at=time.time() - 60)
    assert "racksalt serve-dhcp" in _bad(settings, sqlite_store)[0][1]
    _status(settings)
    assert _bad(settings, sqlite_store) == []


def test_what_the_service_could_not_do_is_found(settings, sqlite_store):
    """Its present problem, and pools that were exhausted within the hour."""
    old = {"at": time.time() - 7200, "message": "long ago"}
    new = {"at": time.time() - 60, "message": "no free IPv4 address"}
    _status(settings, problem="disk full", exhausted={"a": old, "b": new})
    assert [seen for seen, _ in _bad(settings, sqlite_store)] == [
        "disk full",
        "no free IPv4 address",
    ]


def test_a_server_without_room_needs_no_wider_range(settings, sqlite_store):
    """Something asks with many names: more addresses would not help."""
    full = {"at": time.time(), "event": "dhcp_full", "message": "no room"}
    _status(settings, exhausted={"full": full})
    assert _bad(settings, sqlite_store) == [("no room", dhcp_view.LOOK)]


def test_many_nodes_are_too_many_for_dnsmasq(settings, sqlite_store, monkeypatch):
    """The doctor says to change to Kea, and says nothing once that is done."""
    _status(settings)
    monkeypatch.setattr(dhcp_view, "MANY", 1)
    assert "dhcp.server to kea" in _bad(settings, sqlite_store)[0][1]
    kea = Settings(dhcp=Dhcp(server="kea", folder=settings.dhcp.folder))
    assert _bad(kea, sqlite_store) == []


def test_a_site_that_serves_no_dhcp_is_not_asked_for_it(sqlite_store, settings):
    """By its settings, or for want of a network with ranges."""
    assert list(findings(Settings(dhcp=Dhcp(server="none")), sqlite_store)) == []
    elsewhere = Settings(dhcp=Dhcp(networks=()))
    with sqlite_store.write() as tx:
        tx.put_places([Network(name="prov", purpose="admin", cidr_v4="10.0.0.0/24")])
    assert not any("does not run" in seen for seen, _ in _bad(elsewhere, sqlite_store))


def test_leases_have_their_networks_and_nodes(settings):
    """Those that are over are left out."""
    lines = f"2000 {MAC} 10.0.0.20 n1 *\n1500 {MAC} 10.0.0.130 * *\n0 {MAC} 192.0.2.1 * *\n"
    with open(f"{settings.dhcp.folder}/leases", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(lines)
    assert leases(settings, 1600.0) == [
        {
            "address": "10.0.0.20",
            "client": MAC,
            "network": "prov",
            "node": "n1",
            "ends_in_s": 400,
        },
        {"address": "192.0.2.1", "client": MAC, "network": None, "node": None, "ends_in_s": None},
    ]


def test_a_kea_that_answers_root_alone_is_no_kea_without_leases(
    settings, sqlite_store, monkeypatch
):
    """Whoever asks without the right to is told so; a server that does not run has no leases."""
    kea = replace(settings, dhcp=replace(settings.dhcp, server="kea"))
    assert leases(kea, time.time()) == []
    Path(socket_of(kea.dhcp.folder, 6)).touch()
    monkeypatch.setattr(os, "access", lambda _, how: how != os.W_OK)  # tests run as root, too
    with pytest.raises(DhcpError, match="answers its owner alone"):
        leases(kea, time.time())


def test_a_node_without_a_reservation_has_nothing_to_show(settings):
    """And the error says where to look."""
    with pytest.raises(NotFoundError, match="no reservation"):
        render(settings, "n9", check=False)
