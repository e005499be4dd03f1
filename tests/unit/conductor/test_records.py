"""What inventory found out is written, whatever a node says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.conductor.records import write_inventories
from racksalt.model.hardware import Facts
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
        write_inventories(tx, {node: found}, {node} if approved else ())
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


def test_the_lists_of_an_inventory_are_kept(site):
    """Memory by module, PCI, firmware, BMC, chassis, what is unknown; and what the switch said of a NIC."""
    lldp = {"chassis": "02:d0:00:00:00:01", "port": "Ethernet1/7", "system": "tor-r1", "vlan": 110}
    nic = {"name": "eth0", "mac": MAC, "driver": "ice", "carrier": True, "lldp": lldp}
    found = {
        "firmware_mode": "uefi",
        "cpu_threads": 64,
        "nics": [nic],
        "disks": [{"name": "sda", "wwn": "0x5000c500a1b2c3d4", "model": "MAKER 1"}],
        "memory": [{"slot": "A1", "size_mib": 32768, "speed_mts": 3200, "colour": "green"}],
        "pci": [{"address": "0000:3b:00.0", "class": "Ethernet controller"}],
        "firmware": {"bios": "2.4", "disk:sda": "HXT7"},
        "bmc": {"firmware": "6.10", "password": "secret"},
        "chassis": {"serial": "CH-1"},
        "unknown": ["serial"],
    }
    hardware, (nic,), (disk,) = written(site, found)
    assert (hardware.firmware_mode, hardware.cpu_threads) == ("uefi", 64)
    assert (nic.lldp_system, nic.lldp_port, nic.lldp_vlan) == ("tor-r1", "Ethernet1/7", 110)
    assert (nic.carrier, nic.driver) == (True, "ice")
    assert (disk.wwn, disk.model) == ("0x5000c500a1b2c3d4", "MAKER 1")
    (facts,) = site.parts(Facts, "n1")
    assert facts.memory == [{"slot": "A1", "size_mib": 32768, "speed_mts": 3200}]
    assert facts.pci == [{"address": "0000:3b:00.0", "class": "Ethernet controller"}]
    assert facts.firmware == {"bios": "2.4", "disk:sda": "HXT7"}
    assert facts.bmc == {"firmware": "6.10"}
    assert (facts.chassis, facts.unknown) == ({"serial": "CH-1"}, ["serial"])


def test_ten_thousand_of_a_kind_are_cut(site):
    """A node describes itself: what no machine has is not kept."""
    macs = [f"02:00:00:00:{n // 256:02x}:{n % 256:02x}" for n in range(10_000)]
    found = {
        "nics": [{"name": f"eth{n}", "mac": mac} for n, mac in enumerate(macs)],
        "memory": [{"slot": str(n), "size_mib": 1} for n in range(10_000)],
        "pci": [{"address": "x" * 5000}] * 10_000,
        "firmware": {str(n): "1" for n in range(10_000)},
        "unknown": ["x" * 5000] * 10_000,
    }
    _, nics, _ = written(site, found)
    (facts,) = site.parts(Facts, "n1")
    assert len(nics) == len(facts.memory) == len(facts.pci) == len(facts.firmware) == 512
    assert len(facts.pci[0]["address"]) == 128
    assert len(facts.unknown) == 64
    assert max(map(len, facts.unknown)) == 64


def test_a_mac_stays_with_its_owner(site):
    """A node cannot take another's NIC by naming its MAC; the same MAC twice is one NIC."""
    nics = [{"name": "a", "mac": MAC}, {"name": "b", "mac": MAC.upper()}]
    assert len(written(site, {"nics": nics})[1]) == 1
    assert written(site, {"nics": nics}, "n2")[1] == []
    assert [nic.mac for nic in site.parts(Nic, "n1")] == [MAC]


def test_many_inventories_at_once_are_as_one_after_another(site):
    """Of two that name a MAC the first has it; what the first gives up, a later one of the same batch may have."""
    moved = "02:00:00:00:00:02"
    written(site, {"nics": [{"name": "a", "mac": moved}]})
    told = {
        "n1": {"serial": "S1", "nics": [{"name": "a", "mac": MAC}]},
        "n2": {"serial": "S2", "nics": [{"name": "a", "mac": MAC}, {"name": "b", "mac": moved}]},
    }
    with site.write() as tx:
        write_inventories(tx, told, {"n1", "n2"})
    macs = {node: [nic.mac for nic in site.parts(Nic, node)] for node in told}
    assert macs == {"n1": [MAC], "n2": [moved]}
    assert [site.parts(Hardware, node)[0].serial for node in told] == ["S1", "S2"]


def test_a_batch_of_liars_fits_into_statements(site):
    """As many MACs as a node may name, of many nodes at once: more than one statement may name."""
    nodes = [f"m{n}" for n in range(70)]
    with site.write() as tx:
        tx.add_nodes([a_node(name) for name in nodes])
    macs = [f"02:00:00:00:{n // 256:02x}:{n % 256:02x}" for n in range(512)]
    found = {"nics": [{"name": "a", "mac": mac} for mac in macs]}
    with site.write() as tx:
        write_inventories(tx, dict.fromkeys(nodes, found), nodes)
    assert len(site.parts(Nic, "m0")) == 512
    assert site.parts(Nic, "m69") == []


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
WORDS = ("serial", "system_uuid", "cpu_cores", "memory_mib", "nics", "disks")
LISTS = ("memory", "pci", "firmware", "bmc", "chassis", "unknown", "firmware_mode")
KEYS = st.sampled_from([*WORDS, *LISTS])


class Kept:
    """Takes what would be written."""

    def mac_owners(self, macs):
        """Say that they are all its own."""
        return dict.fromkeys(macs, "n1")

    def nics(self, nodes):
        """Say that each owns one."""
        return {n: [Nic(id=f"{n}/{MAC}", node=n, name="pxe", mac=MAC, pxe=True)] for n in nodes}

    def replace_parts(self, *parts):
        """Keep it."""
        self.parts = parts

    def replace_disks(self, nodes, disks):
        """Keep them."""
        self.disks = disks

    def put(self, nouns):
        """Keep the lists."""
        (self.facts,) = nouns


@given(st.dictionaries(KEYS, JSON, max_size=6), st.booleans())
def test_no_report_breaks_it(found, approved):
    """Whatever JSON comes, hardware of the right types comes out."""
    kept = Kept()
    write_inventories(kept, {"n1": found}, {"n1"} if approved else ())
    _, (hardware,), nics = kept.parts
    assert isinstance(hardware.serial, str | None)
    assert isinstance(hardware.memory_mib, int | None)
    assert len(nics) + len(kept.disks) <= 1024
    assert all(isinstance(version, str) for version in kept.facts.firmware.values())
    assert len(kept.facts.memory) <= 512
