"""Made-up hardware."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racksalt.boot.identity import claim
from racksalt.boot_api import reports
from racksalt.lab.hardware import boot_mac, make_hardware

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)


@given(NAMES)
def test_the_same_name_has_the_same_hardware(name):
    """Nothing is left to chance."""
    assert make_hardware(name) == make_hardware(name)


@given(NAMES, NAMES)
def test_different_machines_share_no_identity(one, other):
    """UUID, serial and all MACs differ between any two names."""
    if one == other:
        return
    a, b = make_hardware(one), make_hardware(other)
    assert a["system_uuid"] != b["system_uuid"]
    assert a["serial"] != b["serial"]
    assert not {n["mac"] for n in a["nics"]} & {n["mac"] for n in b["nics"]}


@given(NAMES)
def test_the_boot_api_takes_the_inventory(name):
    """The inventory fits the schema of reports, and its identity is one that counts."""
    hardware = make_hardware(name)
    reports.msgspec.convert(hardware, reports.Inventory)
    claimed = claim(boot_mac(hardware), hardware["system_uuid"], hardware["serial"])
    assert claimed.uuid is not None
    assert claimed.serial is not None


def test_what_the_site_declares_wins():
    """Declared serial and MACs are those of the machine; the other NICs keep theirs."""
    macs = ["02:00:00:00:00:01"]
    hardware = make_hardware("n1", declared={"serial": "S1", "macs": macs})
    assert hardware["serial"] == "S1"
    assert hardware["nics"][0]["mac"] == macs[0] == boot_mac(hardware)
    assert hardware["nics"][1] == make_hardware("n1")["nics"][1]


def test_a_bad_disk_is_seen_in_the_inventory():
    """The fate's first disk is failing, the others are well."""
    health = [disk["health"] for disk in make_hardware("n1-bad-disk")["disks"]]
    assert health[0] == "failing"
    assert set(health[1:]) <= {"ok"}
