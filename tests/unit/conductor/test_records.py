"""What inventory found out is written, whatever a node says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.conductor.records import write_inventory
from racksalt.model.node import Disk, Hardware, Nic
from tests.support.builders import a_node

MAC = "02:00:00:00:00:01"


@pytest.fixture
def site(store):
    """A store with n1 and n2."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1"), a_node("n2")])
    return store


def written(store, found, node="n1", approved=True):
    """Write an inventory; return hardware, NICs and disks."""
    with store.write() as tx:
        write_inventory(tx, node, found, approved=approved)
    return store.parts(Hardware, node)[0], store.parts(Nic, node), store.parts(Disk, node)


def test_what_is_known_is_kept_with_its_units(site):
    """Sizes and speeds are numbers in the units of their names."""
    found = {
        "serial": "S1",
        "vendor": "Acme",
        "cpu_cores": 32,
        "memory_mib": 262144,
        "nics": [{"name": "eth0", "mac": MAC, "speed_mbps": 10000, "pxe": True}],
        "disks": [
            {"name": "sda", "serial": "D1", "size_gb": 480.1, "media": "ssd", "health": "ok"}
        ],
    }
    hardware, (nic,), (disk,) = written(site, found)
    assert (hardware.serial, hardware.cpu_cores, hardware.memory_mib) == ("S1", 32, 262144)
    assert (nic.mac, nic.speed_mbps, nic.pxe) == (MAC, 10000, True)
    assert (disk.size_gb, disk.media, disk.health) == (480, "ssd", "ok")


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"nics": "eth0", "disks": {"a": 1}},
        {"nics": [None, 5, "x", {"mac": None}, {"mac": "zz"}], "disks": [[], "sda"]},
        {"serial": ["a"], "vendor": {"a": 1}, "cpu_cores": "many", "memory_mib": -1},
        {"cpu_cores": 2**40, "memory_mib": 2**60, "nics": [{"mac": MAC, "speed_mbps": 2**40}]},
        {"cpu_cores": float("nan"), "memory_mib": float("inf")},
        {"serial": "s" * 5000, "system_uuid": "u" * 5000, "vendor": "a\x00\x1b[2Jb\n"},
        {
            "nics": [{"mac": MAC, "name": "n" * 500}],
            "disks": [{"name": "d" * 500, "serial": "x" * 500}],
        },
        {"disks": [{"name": "sda", "media": "punched cards", "health": "?"}]},
    ],
)
def test_nonsense_is_left_out_or_cut(site, found):
    """No report makes an inventory that a database does not take."""
    hardware, nics, disks = written(site, found)
    assert all(len(nic.name) <= 64 for nic in nics)
    assert all(disk.media == "unknown" for disk in disks)
    assert hardware.vendor in (None, "a[2Jb")


def test_a_mac_stays_with_its_owner(site):
    """A node cannot take another's NIC by naming its MAC; the same MAC twice is one NIC."""
    nics = [{"name": "a", "mac": MAC}, {"name": "b", "mac": MAC.upper()}]
    assert len(written(site, {"nics": nics})[1]) == 1
    assert written(site, {"nics": nics}, "n2")[1] == []
    assert [nic.mac for nic in site.parts(Nic, "n1")] == [MAC]


def test_nobody_claims_a_mac_before_approval(site):
    """An unapproved node's NICs stay those that it owns, whatever it says; the rest of its report counts."""
    with site.write() as tx:
        tx.put([Nic(id=f"n1/{MAC}", node="n1", name="pxe", mac=MAC, pxe=True)])
    free = "02:00:00:00:00:99"
    nics = [{"name": "eth0", "mac": MAC, "speed_mbps": 1000}, {"name": "eth1", "mac": free}]
    hardware, found, _ = written(site, {"serial": "S1", "nics": nics}, approved=False)
    assert hardware.serial == "S1"
    assert [(nic.mac, nic.name, nic.speed_mbps) for nic in found] == [(MAC, "eth0", 1000)]
    assert written(site, {"nics": nics}, "n2", approved=False)[1] == []
    # Leaving its own out would make it a node whose MACs nobody knows, which any one mark finds.
    assert [nic.mac for nic in written(site, {"nics": []}, approved=False)[1]] == [MAC]
    assert {nic.mac for nic in written(site, {"nics": nics}, approved=True)[1]} == {MAC, free}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["serial", "system_uuid", "cpu_cores", "memory_mib", "nics", "disks"])


class Kept:
    """Takes what would be written."""

    def mac_owners(self, macs):
        """Say that they are all its own."""
        return dict.fromkeys(macs, "n1")

    def nics(self, node):
        """Say that it owns one."""
        return [Nic(id=f"{node}/{MAC}", node=node, name="pxe", mac=MAC, pxe=True)]

    def replace_parts(self, *parts):
        """Keep it."""
        self.parts = parts


@given(st.dictionaries(KEYS, JSON, max_size=6), st.booleans())
def test_no_report_breaks_it(found, approved):
    """Whatever JSON comes, hardware of the right types comes out."""
    kept = Kept()
    write_inventory(kept, "n1", found, approved=approved)
    _, hardware, nics, disks = kept.parts
    assert isinstance(hardware.serial, str | None)
    assert isinstance(hardware.memory_mib, int | None)
    assert len(nics) + len(disks) <= 1024
