"""Three machines with blank disks, from power-on over IPMI to ready; then a rack's ordinary troubles.

The tests of this file share one rack and run in their order: what one leaves is where the next begins. While one node
is installed again, others have their own troubles.
"""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from racksalt.lab.qemu.site import DOMAIN, MASTER_V4, STORAGE_VLAN, make_specs
from racksalt.lab.qemu.spec import Spec
from racksalt.model.hardware import BurnResult
from tests.support.trial import Trial

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.daemons,
    pytest.mark.timeout(3000),
    # What Salt's client leaves open when a master that is just starting does not answer.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BIOS, RAID, UEFI = "q1", "q2", "q3"
ALL = (BIOS, RAID, UEFI)
VICTIM = "q4"
INSTALL_S, REBOOT_S = 2400, 600


DATA = {
    "name": "data",
    "level": "raid1",
    "devices": 2,
    "disks": [f"{RAID}-d2", f"{RAID}-d3"],
}
MIRROR = {"disks": {"count": 2, "match": {"min_gb": 5}}, "raid": "raid1"}
SITE = {
    f"node/{RAID}.sls": {"racksalt": {"stages": {"partition": MIRROR, "raid": {"arrays": [DATA]}}}}
}


def _specs() -> list[Spec]:
    """Return two machines with BIOS and one with UEFI; one of them has two system disks and two data disks."""
    made = make_specs(3)
    return [replace(one, disks_gb=(6, 6, 1, 1)) if one.id == RAID else one for one in made]


def _imposter() -> tuple[Spec, Spec]:
    """Return a node that the site expects, and a machine that has its MACs and nothing else of it."""
    victim = make_specs(4)[3]
    other = {"serial": "STOLEN1", "system_uuid": "66666666-0000-4000-8000-000000000006"}
    return victim, replace(victim, id="imposter", **other)


@pytest.fixture(scope="module")
def trial(root):
    """The rack, on its way: racksalt has been given the site and nothing else."""
    victim, imposter = _imposter()
    made = Trial(root, _specs(), undeclared=[imposter], also_declared=[victim], site=SITE)
    try:
        made.start()
        yield made
    finally:
        made.say("three machines")
        made.stop()


@pytest.fixture(scope="module")
def before():
    """What the reinstalled node was before, from one test to another."""
    return {}


def test_three_blank_machines_become_ready_untouched(trial):
    """Two with BIOS and one with UEFI are powered on over IPMI by racksalt and get to ready by themselves."""
    trial.wait_ready(BIOS, timeout_s=INSTALL_S)
    trial.say("one ready")
    trial.wait_ready(*ALL, timeout_s=INSTALL_S)
    trial.say("all ready")
    starts = {name: one["starts"] for name, one in trial.rack.power().items()}
    assert all(starts[name] >= 1 for name in ALL)
    for name in ALL:
        visited = [to for _, to in trial.moves(name)]
        assert visited == ["commissioning", "installing", "enrolling", "ready"], visited


LOOKS = {
    "root": "findmnt -no SOURCE /",
    "kernel": "cat /proc/cmdline",
    "firmware": "test -d /sys/firmware/efi && echo uefi || echo bios",
    "mdstat": "cat /proc/mdstat",
    "arrays": "for it in /dev/md[0-9]*; do echo $it; mdadm --detail --export $it; done",
    "addresses": "ip -brief address",
    "links": "ip -details -brief link; ip -details link show type vlan",
    "bonds": "cat /sys/class/net/bonding_masters",
    "slaves": "cat /sys/class/net/*/bonding/slaves",
    "key": "sha256sum /etc/salt/pki/minion/minion.pub",
}
"""What the tests below want to know of a ready machine: one job asks it, for each costs such a machine seconds."""


@pytest.fixture(scope="module")
def seen(trial):
    """What each machine says of itself, by machine and question."""
    answers = trial.salt(
        "q*", "cmd.run", "; ".join(f"echo '== {name}'; {look}" for name, look in LOOKS.items())
    )
    assert set(answers) == set(ALL), answers
    told = {
        node: re.split(r"^== (\w+)$", text, flags=re.MULTILINE) for node, text in answers.items()
    }
    parts = {node: dict(zip(it[1::2], it[2::2], strict=True)) for node, it in told.items()}
    return {node: {name: text.strip() for name, text in it.items()} for node, it in parts.items()}


def test_all_answer_and_run_from_their_own_disks(trial, seen):
    """A ready node is an accepted minion whose root is on its own disk, or its own array."""
    assert trial.salt("q*", "test.ping") == dict.fromkeys(ALL, True)
    for name in ALL:
        assert seen[name]["root"].startswith("/dev/md" if name == RAID else "/dev/vda"), seen[name]
        assert "root=" in seen[name]["kernel"]
        assert "racksalt.token" not in seen[name]["kernel"]
    assert [seen[name]["firmware"] for name in ALL] == ["bios", "bios", "uefi"]


def test_the_asked_for_raids_are_there_and_whole(seen):
    """Two data disks are one RAID 1, which the install left alone, and the system is on another; no half is missing."""
    told = seen[RAID]["mdstat"]
    arrays = re.findall(r"(md\S+) : active (?:\(auto-read-only\) )?raid1 (.+)\n.+ \[UU\]", told)
    devices = {" ".join(sorted(re.findall(r"vd\w+", members))): name for name, members in arrays}
    assert set(devices) == {"vda3 vdb3", "vdc vdd"}, told
    named = (
        seen[RAID]["arrays"].partition(f"/dev/{devices['vdc vdd']}\n")[2].partition("/dev/md")[0]
    )
    assert "MD_NAME=any:data" in named.split(), seen[RAID]["arrays"]


def test_each_has_its_reserved_addresses(trial, seen):
    """The v4 and the v6 address that the store reserves are those that the system has."""
    for name in ALL:
        reserved = trial.reserved(name)
        assert set(reserved) == {4, 6}
        has = seen[name]["addresses"].replace("/", " ").split()
        assert set(reserved.values()) <= set(has), has


def test_names_and_addresses_lead_to_one_another(trial):
    """Forward and reverse DNS, v4 and v6, agree with the store, as dig sees it."""
    for name in ALL:
        reserved, fqdn = trial.reserved(name), f"{name}.{DOMAIN}"
        assert trial.dig(MASTER_V4, fqdn, "A") == [reserved[4]]
        assert trial.dig(MASTER_V4, fqdn, "AAAA") == [reserved[6]]
        for address in reserved.values():
            assert trial.dig(MASTER_V4, "-x", address) == [f"{fqdn}."]


def test_storage_is_a_vlan_on_a_bond_and_carries_packets(trial, seen):
    """Both cards are in one bond, the VLAN is on it, and two nodes reach one another over it."""
    for name in ALL:
        assert f"id {STORAGE_VLAN}" in seen[name]["links"], seen[name]
        assert seen[name]["bonds"]
        assert len(seen[name]["slaves"].split()) == 2, seen[name]
    there = trial.reserved(UEFI, "storage")
    pings = (f"ping -{family} -c 1 -w 10 {address}" for family, address in there.items())
    assert trial.inside(BIOS, "; ".join(pings)).count("1 received") == 2


def test_each_has_a_passing_burn_in_record(trial):
    """What was tested before the install is kept per node, and passed."""
    for name in ALL:
        record = {(one.part, one.measure): one for one in trial.app.store.parts(BurnResult, name)}
        assert {"cpu", "memory", "network"} <= {part for part, _ in record}, record
        assert any(part.startswith("disk:") for part, _ in record), record
        assert all(one.ok for one in record.values()), record


def test_power_is_cut_in_the_middle_of_a_reinstall(trial, seen, before):
    """`salt-run racksalt.reinstall` sets out; the machine dies while its image is being written."""
    before["key"] = seen[BIOS]["key"]
    before["certificates"] = len(trial.app.operations.erase_certificates(BIOS))
    trial.runner("reinstall", BIOS)
    running = "image"
    trial.wait(
        lambda: trial.app.store.node(BIOS).stage == running and trial.app.store.node(BIOS).job,
        f"stage {running}",
        INSTALL_S,
    )
    trial.cut_power(BIOS)
    trial.wait(
        lambda: any(e.event == "power_lost" for e in trial.journal(BIOS)), "power loss seen", 120
    )


def test_a_reboot_of_a_ready_node_is_seen_answered_and_logged(trial):
    """The machine sees the reboot by its boot request, answers with the own disk, and has it ready again."""
    before = len(trial.moves(UEFI))
    trial.salt(UEFI, "cmd.run", "systemd-run --on-active=2 systemctl reboot")
    trial.wait(lambda: len(trial.moves(UEFI)) > before, "the boot request", REBOOT_S)
    trial.wait_ready(UEFI, timeout_s=REBOOT_S)
    assert trial.moves(UEFI)[before:] == [("ready", "booting"), ("booting", "ready")]
    seen = [e for e in trial.journal(UEFI) if e.event == "boot_requested"][-1]
    assert seen.actor in trial.reserved(UEFI).values()


def test_an_imposter_is_parked(trial):
    """A machine with a known node's MACs, but another UUID and serial, gets no token and no system."""
    before = trial.states()[VICTIM]
    trial.switch_on("imposter")
    trial.wait(lambda: "may not be" in trial.console("imposter"), "being held", REBOOT_S)
    disk = trial.rack.installation.lab / "imposter" / "disk0.raw"
    assert disk.stat().st_blocks == 0
    assert "racksalt.token" not in trial.console("imposter")
    assert any(e.kind == "refused" and e.event == "boot_requested" for e in trial.journal(VICTIM))
    assert trial.states()[VICTIM] == before


def test_the_reinstall_has_survived_the_power_cut(trial, before):
    """It cost only time: erased with a certificate, installed, and in again with a key of its own."""
    trial.wait_ready(BIOS, timeout_s=INSTALL_S)
    assert trial.salt(BIOS, "test.ping") == {BIOS: True}
    assert trial.inside(BIOS, LOOKS["key"]) != before["key"]
    certificates = trial.app.operations.erase_certificates(BIOS)
    assert len(certificates) > before["certificates"]
    assert all(one["good"] for one in certificates)
