"""The shape of reports."""

from __future__ import annotations

import json

import pytest

from racksalt.boot_api import reports
from racksalt.model.errors import InvalidInputError

NIC = {"name": "eth0", "mac": "52-54-00-AA-00-01"}


def data_of(event, data, agent="light"):
    """Decode a whole report and return its data."""
    body = json.dumps({"id": "r1", "event": event, "data": data}).encode()
    return reports.data_of(reports.decode(body), agent)


def test_an_inventory_comes_through_with_its_macs_in_one_form():
    """The conductor gets the inventory under one key, MACs in lower-case colon form."""
    found = data_of("inventory_reported", {"serial": "S", "memory_mib": 1024, "nics": [NIC]})
    assert found["inventory"]["nics"][0]["mac"] == "52:54:00:aa:00:01"
    assert found["inventory"]["memory_mib"] == 1024
    assert "vendor" not in found["inventory"]


def test_a_whole_inventory_comes_through():
    """Every field of docs/reference/inventory.md is taken, and arrives under the name that it came with."""
    told = {
        "firmware_mode": "uefi",
        "cpu_threads": 8,
        "cpu_sockets": 1,
        "nics": [{**NIC, "carrier": True, "driver": "ice", "firmware": "4.2", "lldp": {"vlan": 1}}],
        "disks": [{"name": "sda", "wwn": "0x5", "model": "M", "rotational": False}],
        "memory": [{"slot": "A1", "size_mib": 1024}],
        "pci": [{"address": "0000:00:00.0", "class": "Host bridge", "vendor": "", "device": "d"}],
        "firmware": {"bios": "1", "disk:sda": "2"},
        "bmc": {"firmware": "6.10"},
        "chassis": {"serial": "C"},
        "unknown": ["serial"],
    }
    found = data_of("inventory_reported", told)["inventory"]
    nic = {**told["nics"][0], "mac": "52:54:00:aa:00:01"}
    assert found == {**told, "nics": [nic]}


def test_an_inventory_stage_brings_its_inventory_along():
    """The outcome of a stage may hold what it found."""
    told = {"stage": "inventory", "jid": "1" * 20, "inventory": {"nics": [NIC]}}
    assert data_of("stage_succeeded", told)["inventory"]["nics"][0]["mac"] == "52:54:00:aa:00:01"


@pytest.mark.parametrize(
    ("event", "data", "told"),
    [
        ("inventory_reported", {"nics": [NIC], "memory_mb": 1}, "memory_mb"),
        ("inventory_reported", {"nics": [NIC], "memory_mib": "1"}, "memory_mib"),
        ("inventory_reported", {"nics": [NIC], "memory_mib": -1}, "memory_mib"),
        ("inventory_reported", {"nics": [NIC], "cpu_cores": 0}, "cpu_cores"),
        ("inventory_reported", {"nics": [NIC], "vendor": "a\nb"}, "vendor"),
        ("inventory_reported", {"nics": [NIC], "vendor": "a" * 129}, "vendor"),
        ("inventory_reported", {"nics": [NIC, NIC]}, "two NICs have the MAC"),
        ("inventory_reported", {"nics": [NIC, {**NIC, "mac": "52:54:00:aa:00:02"}]}, "name eth0"),
        ("inventory_reported", {"nics": [{**NIC, "mac": "nonsense"}]}, "no MAC address"),
        ("inventory_reported", {"nics": [NIC] * 129}, "nics"),
        ("inventory_reported", {"nics": [NIC], "disks": [{"name": "a", "media": "tape"}]}, "tape"),
        ("inventory_reported", {"nics": [NIC] * 10_000}, "nics"),
        ("inventory_reported", {"nics": [NIC], "memory": [{"size_mib": 1}] * 513}, "memory"),
        ("inventory_reported", {"nics": [NIC], "pci": [{"address": "a"}] * 1025}, "pci"),
        ("inventory_reported", {"nics": [NIC], "bmc": {"firmware": "a" * 129}}, "bmc"),
        ("inventory_reported", {"nics": [{**NIC, "lldp": {"vlan": 4096}}]}, "vlan"),
        ("stage_failed", {"stage": "raid", "jid": "1"}, "jid"),
        ("stage_failed", {"jid": "1" * 20}, "stage"),
        ("progress", {"percent": 1.5}, "percent"),
        ("agent_answered", {"x": 1}, "x"),
        ("progress", [], "object"),
    ],
)
def test_data_that_do_not_fit_are_refused_by_name(event, data, told):
    """The error names the field, so that who writes an agent can mend it."""
    with pytest.raises(InvalidInputError, match=told):
        data_of(event, data)


@pytest.mark.parametrize("agent", ["salt", "light"])
def test_an_agent_reports_only_its_own_events(agent):
    """An event that nobody may report over HTTP is refused, with those that may be."""
    with pytest.raises(InvalidInputError, match="reports no event 'key_proven'"):
        data_of("key_proven", {}, agent)


def test_progress_becomes_a_sentence():
    """Whatever of it is there makes one line for the journal."""
    assert data_of("progress", {}) == {"noted": "alive"}
    assert data_of("progress", {"percent": 0, "message": "x"}) == {"noted": "0 %, x"}


def test_event_ids_are_unique_and_fit_the_journal():
    """Node, boot and report id make the event id; very long ones are hashed."""
    assert reports.event_id("n1", 3, "r1") == "boot:n1:3:r1"
    long = reports.event_id("n" * 250, 3, "r1")
    assert len(long) <= reports.MAX_EVENT_ID
    assert long != reports.event_id("n" * 250, 3, "r2")
