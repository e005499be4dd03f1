"""The commissioning states: each compares, says what it would do, does it, and then changes nothing."""

from __future__ import annotations

import sys

import pytest


def test_inventoried_hands_the_hardware_back(node):
    """The conductor finds the inventory in the state's result, and nothing counts as a change."""
    ret = node.states.racksalt_hardware.inventoried(name="inventory")
    assert ret.result is True
    assert ret.changes == {}
    assert ret["data"]["inventory"] == node.describe()


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize(
    ("baseline", "result"), [({}, True), ({"bios": "1.0.0"}, True), ({"bios": "1.10.0"}, False)]
)
def test_firmware_is_compared_as_versions(node, test, baseline, result):
    """1.9 is older than 1.10; what is too old is named with both versions."""
    node.describe(bios_version="1.9.0")
    ret = node.states.racksalt_hardware.firmware_at_least(name="f", baseline=baseline, test=test)
    assert ret.result is result
    assert ("1.9.0" in ret.comment) is not result


@pytest.mark.parametrize("test", [True, False])
@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("inventoried", {"lldp_s": "5"}),
        ("firmware_at_least", {"baseline": {"bios": 1.10}}),
        ("bios_set", {"settings": ["Boot"]}),
        ("burned_in", {"cpu": 60}),
        ("burned_in", {"load": ["cpu_s"]}),
        ("secure", {"checks": ["secureboot"]}),
        ("secure", {"allowed": {"bios": [1.10]}}),
    ],
)
def test_what_a_users_own_state_says_is_checked_too(node, function, said, test):
    """An unquoted 1.10 is 1.1: older firmware would pass."""
    ret = getattr(node.states.racksalt_hardware, function)(name="x", test=test, **said)
    assert (ret.result, ret.changes) == (False, {})
    assert ret.comment.startswith("racksalt:stages:")


def test_all_that_the_pillar_says_stands_for_the_other_arguments(node):
    """A stage hands over all of it, so that a misspelt key is seen."""
    node.describe(bios_version="1.9.0", secure_boot=False)
    states = node.states.racksalt_hardware
    new = states.firmware_at_least(name="f", wanted={"baseline": {"bios": "1.10.0"}})
    safe = states.secure(name="s", checks=[], wanted={"require": "secure_boot"})
    assert (new.result, safe.result) == (False, False)
    assert "1.9.0" in new.comment
    assert "secure_boot: NOT SAFE" in safe.comment


def test_firmware_that_cannot_be_read_is_not_new_enough(node):
    """A part without a readable version fails by name."""
    ret = node.states.racksalt_hardware.firmware_at_least(name="f", baseline={"nic": "1"})
    assert ret.result is False
    assert "nic" in ret.comment


@pytest.mark.parametrize("test", [True, False])
def test_bios_settings_that_cannot_be_written_fail_or_would_be_set(node, test):
    """Test mode tells the difference; for real a setting that does not read back fails by name."""
    node.describe(bios_settings={"Boot": "Legacy", "Turbo": "On"})
    ret = node.states.racksalt_hardware.bios_set(
        name="b", settings={"Boot": "UEFI", "Turbo": "On"}, test=test
    )
    assert ret.result is (None if test else False)
    assert "Boot" in ret.comment
    assert "Turbo" not in ret.comment


def test_bios_settings_as_asked_change_nothing(node):
    """Nothing is written where all is as asked."""
    node.describe(bios_settings={"Boot": "UEFI"})
    ret = node.states.racksalt_hardware.bios_set(name="b", settings={"Boot": "UEFI"})
    assert (ret.result, ret.changes) == (True, {})


@pytest.mark.parametrize("test", [True, False])
def test_burn_in_loads_the_machine_or_says_how_it_would(node, test):
    """Results are kept as data; a test run is no change."""
    ret = node.states.racksalt_hardware.burned_in(
        name="b", cpu_s=0.01, memory_mib=1, disk_mib=1, test=test
    )
    assert ret.result is (None if test else True)
    assert ret.changes == {}
    if not test:
        assert set(ret["data"]["burn_in"]) == {"cpu", "memory", "disk"}
    assert list(node.disk.iterdir()) == []


@pytest.mark.parametrize("test", [True, False])
def test_a_failing_disk_fails_burn_in_by_name_and_serial(node, test):
    """The person who goes to the rack needs both; no load is put on such a machine."""
    disks = node.describe()["disks"]
    disks[0]["health"] = "failing"
    node.describe(disks=disks)
    ret = node.states.racksalt_hardware.burned_in(name="b", cpu_s=100, test=test)
    assert ret.result is False
    assert disks[0]["name"] in ret.comment
    assert disks[0]["serial"] in ret.comment


@pytest.mark.parametrize(
    ("known", "require", "result"),
    [
        ({}, [], True),
        ({}, ["bmc_password"], False),
        ({"bmc_default_password": True}, ["bmc_password"], False),
        ({"bmc_default_password": False}, ["bmc_password"], True),
        ({"secure_boot": True}, ["secure_boot"], True),
        ({"secure_boot": False}, ["bmc_password", "secure_boot"], False),
    ],
)
def test_safety_that_is_required_must_be_known_and_true(node, known, require, result):
    """Unknown is not safe, where it is required; all findings are told in any case."""
    node.describe(**known)
    ret = node.states.racksalt_hardware.secure(name="s", checks=require)
    assert ret.result is result
    assert "secure_boot" in ret.comment
    assert "bmc_password" in ret.comment


def test_firmware_is_held_against_the_baseline_by_driver_and_model(node):
    """One old card of a kind is named with its version."""
    node.describe(
        bios_version="2.0",
        firmware={"bmc": "6.10"},
        nics=[
            {"name": "eth0", "driver": "ice", "firmware": "4.20"},
            {"name": "eth1", "driver": "ice", "firmware": "3.1"},
        ],
        disks=[{"name": "sda", "model": "MAKER 1", "firmware": "HXT7"}],
    )
    baseline = {"bios": "2.0", "bmc": "6.9", "nic:ice": "4.0", "disk:MAKER 1": "HXT7"}
    ret = node.states.racksalt_hardware.firmware_at_least(name="f", baseline=baseline)
    assert ret.result is False
    assert ret.comment == "nic:ice has 3.1, wanted 4.0 or newer"


def test_unexpected_firmware_and_foreign_disks_are_told_and_refused_where_required(node):
    """Somebody else's data, and a version that nobody allowed."""
    node.describe(bios_version="6.6.6", foreign_disks=["sdb: ext4 backup"])
    allowed = {"bios": ["2.0", "2.1"]}
    told = node.states.racksalt_hardware.secure(name="s", allowed=allowed)
    assert told.result is True
    assert "unexpected firmware: bios 6.6.6" in told.comment
    assert "foreign data: sdb: ext4 backup" in told.comment
    for check in ("firmware", "foreign_disks"):
        ret = node.states.racksalt_hardware.secure(name="s", allowed=allowed, checks=[check])
        assert ret.result is False
    node.describe(bios_version="2.1", foreign_disks=[])
    ret = node.states.racksalt_hardware.secure(
        name="s", allowed=allowed, checks=["firmware", "foreign_disks"]
    )
    assert ret.result is True


ICE = {"name": "eth0", "driver": "ice", "firmware": "4.20"}


@pytest.mark.parametrize(
    ("allowed", "machine", "safe"),
    [
        ({"bios": ["2.0"]}, {"bios_version": None}, False),
        ({"bmc": ["6.10"]}, {"firmware": {}}, False),
        ({"nic:ice": ["4.20"]}, {"nics": [ICE]}, True),
        ({"nic:ice": ["4.20"]}, {"nics": [ICE, {**ICE, "name": "eth1", "firmware": None}]}, False),
        ({"nic:eth0": ["4.20"]}, {"nics": [{**ICE, "firmware": None}]}, False),
        ({"nic:mlx5_core": ["1"]}, {"nics": [ICE]}, True),
        ({"nic:mlx5_core": ["1"]}, {"nics": [ICE, {"name": "eth1"}]}, False),
        ({"nic:mlx5_core": ["1"]}, {"nics": []}, False),
        ({"disk:MAKER 2": ["1"]}, {"disks": [{"name": "sda", "model": "MAKER 1"}]}, True),
    ],
)
def test_firmware_that_cannot_be_read_is_unexpected(node, allowed, machine, safe):
    """Only a kind of NIC or disk that the machine certainly has not is spared: others could be anything."""
    node.describe(**{"firmware": {}, **machine})
    ret = node.states.racksalt_hardware.secure(name="s", allowed=allowed, checks=["firmware"])
    assert ret.result is safe
    assert ("unexpected firmware" in ret.comment) is not safe


def test_what_did_not_run_is_not_said_to_have_held_up(node):
    """A part that is let pass without a test is told by itself, with the reason."""
    node.states.racksalt_hardware.burned_in(name="b", test=True)
    module = next(
        found
        for name, found in list(sys.modules.items())
        if name.endswith(".racksalt_hardware") and hasattr(found, "_held_up")
    )
    results = {
        "cpu": {"ok": True, "message": ""},
        "self_test:sda": {"ok": True, "message": "not tested: it has none"},
        "disk": {"ok": True},
    }
    assert module._held_up(results) == [
        "cpu, disk held up",
        "self_test:sda: not tested: it has none",
    ]
