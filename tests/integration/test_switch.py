"""The Linux driver against a Linux switch: a guest whose bridge keeps VLANs apart, over SSH, by the command line."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from racksalt.model.errors import ConflictError, SwitchError
from tests.support.salt_node import SaltNode
from tests.support.switch_guest import SwitchGuest, require_guest
from tests.support.switch_site import PORTS, SwitchSite
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    # Salt's loaders leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FEW = {name: PORTS[name] for name in ("swp1", "swp3")}
HOSTS = {1: "10.9.0.1", 2: "10.9.0.2", 3: "10.9.0.3"}
BLANK = {"untagged": 1, "tagged": []}


@pytest.fixture(scope="module")
def guest(tmp_path_factory):
    """A switch, booted once for this file; three machines behind it have an address without a tag."""
    require_guest()
    guest = SwitchGuest(tmp_path_factory.mktemp("guest"))
    try:
        guest.start()
        for number, address in HOSTS.items():
            guest.run(f"ip -n h{number} addr add {address}/24 dev eth0")
        yield guest
    finally:
        guest.stop()


@pytest.fixture
def site(guest, tmp_path):
    """A site that declares the switch."""
    return SwitchSite(tmp_path, guest)


@pytest.fixture
def switches(site):
    """The operations on it; the switch is cleared first."""
    with site.operations() as found:
        found.apply("tor", "test", clear=True)
        yield found


def vlans(guest: SwitchGuest, port: str) -> dict:
    """Return a port's VLANs as the switch's own program tells them."""
    (told,) = json.loads(guest.run(f"bridge -json vlan show dev {port}").stdout)
    untagged = [it["vlan"] for it in told["vlans"] if "PVID" in it.get("flags", [])]
    return {
        "untagged": untagged[0] if untagged else None,
        "tagged": [it["vlan"] for it in told["vlans"] if not it.get("flags")],
    }


def reaches(guest: SwitchGuest, source: str, address: str) -> bool:
    """Return whether a frame goes from a machine's namespace to an address and another one comes back."""
    line = f"ip netns exec {source} ping -c 1 -W 2 {address} >/dev/null"
    return guest.run(line, check=False).returncode == 0


def test_declared_vlans_come_about_and_frames_keep_to_them(site, switches, guest):
    """Machines of one VLAN reach each other, with and without a tag; those of two VLANs do not."""
    assert reaches(guest, "h1", HOSTS[3])  # out of the box all are in one
    plan = switches.plan("tor")
    assert switches.apply("tor", "test", plan=plan["hash"])["applied"]
    assert vlans(guest, "swp1") == {"untagged": 110, "tagged": []}
    assert vlans(guest, "swp3") == {"untagged": 120, "tagged": []}
    assert vlans(guest, "swp4") == {"untagged": 110, "tagged": [120]}
    assert vlans(guest, "swp5") == BLANK
    assert reaches(guest, "h1", HOSTS[2])
    assert not reaches(guest, "h1", HOSTS[3])
    guest.run("ip -n h4 link add link eth0 name eth0.120 type vlan id 120")
    guest.run("ip -n h4 addr add 10.9.0.4/24 dev eth0.120; ip -n h4 link set eth0.120 up")
    assert reaches(guest, "h4", HOSTS[3])
    assert not reaches(guest, "h4", HOSTS[1])
    again = switches.apply("tor", "test")
    assert (again["steps"], again["applied"]) == ([], False)


def test_drift_is_seen_after_somebody_changed_a_port_by_hand(site, switches, guest):
    """A VLAN, an edge port and a description that were changed on the switch itself are all told."""
    site.declare(FEW)
    switches.apply("tor", "test")
    assert switches.drift("tor")["differences"] == []
    guest.run("bridge vlan add dev swp1 vid 99; bridge link set dev swp1 guard off")
    guest.run("ip link set dev swp3 alias mine; bridge vlan add dev swp3 vid 1 untagged")
    found = switches.drift("tor")["differences"]
    assert {(it["port"], it["setting"]) for it in found} == {
        ("swp1", "edge"),
        ("swp1", "vlans"),
        ("swp3", "description"),
        ("swp3", "vlans"),
    }
    switches.apply("tor", "test")
    assert switches.drift("tor")["differences"] == []


def test_a_plan_is_void_once_the_switch_has_changed(site, switches, guest):
    """The reviewed hash is refused, and no port was touched."""
    site.declare(FEW)
    plan = switches.plan("tor")["hash"]
    guest.run("bridge vlan add dev swp3 vid 77")
    with pytest.raises(ConflictError, match="is now"):
        switches.apply("tor", "test", plan=plan)
    assert vlans(guest, "swp1") == BLANK


def test_clearing_leads_back_to_the_box(site, switches, guest):
    """All VLANs but the default one are gone from all ports, declared or not; settings too."""
    site.declare(FEW)
    switches.apply("tor", "test")
    guest.run("bridge vlan add dev swp6 vid 66 pvid untagged")
    switches.apply("tor", "test", clear=True)
    assert all(vlans(guest, f"swp{n}") == BLANK for n in range(1, 7))
    (port,) = json.loads(guest.run("bridge -json -details link show dev swp1").stdout)
    assert port["guard"] is False
    assert reaches(guest, "h1", HOSTS[3])


def test_a_step_that_the_switch_refuses_takes_the_others_back(site, switches, guest):
    """The last port cannot be changed: those before it are as they were."""
    site.declare(FEW)
    switches.apply("tor", "test")
    site.declare({**FEW, "swp1": {"networks": ["storage"]}, "swp5": {"networks": ["prov"]}})
    guest.run("mv /usr/sbin/lldpcli /usr/sbin/lldpcli.real")
    guest.run(
        'printf \'#!/bin/sh\\ncase "$*" in *ports?swp5*) echo broken >&2; exit 1;; esac\\n'
        'exec /usr/sbin/lldpcli.real "$@"\\n\' > /usr/sbin/lldpcli; chmod +x /usr/sbin/lldpcli'
    )
    try:
        with pytest.raises(SwitchError, match="broken; it is as it was"):
            switches.apply("tor", "test")
    finally:
        guest.run("mv /usr/sbin/lldpcli.real /usr/sbin/lldpcli")
    assert vlans(guest, "swp1") == {"untagged": 110, "tagged": []}
    assert vlans(guest, "swp5") == BLANK
    assert switches.history("tor")[0]["event"] == "switch_change_failed"


def test_who_is_killed_in_the_middle_can_be_taken_back(site, switches, guest):
    """SIGKILL after some steps: the journal knows, and `rollback` brings back what was before."""
    doing = subprocess.Popen(site.command("apply", "tor"), stdout=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: vlans(guest, "swp1")["untagged"] == 110, 60, 0) is not None
    finally:
        doing.kill()
        doing.wait()
    (listed,) = switches.listed()
    assert listed["last_change"] == "switch_change_began"
    with pytest.raises(ConflictError, match="being changed by"):
        switches.apply("tor", "test")
    assert switches.rollback("tor", "test")["applied"]
    assert all(vlans(guest, f"swp{n}") == BLANK for n in range(1, 7))
    assert switches.apply("tor", "test")["applied"]


def test_lldp_med_is_heard_by_the_machine(site, switches, guest):
    """The machine behind an edge port hears the policy; after clearing it does not."""

    def policy() -> bool:
        told = guest.run(
            "ip netns exec h1 lldpcli -u /run/h1.socket -f json0 show neighbors details"
        )
        return '"apptype": "Voice"' in told.stdout and '"defined": true' in told.stdout

    switches.apply("tor", "test")
    assert wait_for(policy, 60, 0.5) is not None
    switches.apply("tor", "test", clear=True)
    assert wait_for(lambda: not policy(), 60, 0.5) is not None


def test_the_command_line_tells_people(site, switches, guest):
    """Plan, apply, drift, list and history in words; drift is an exit status too."""
    plan = site.run("plan", "tor")
    assert "swp1  vlans: untagged 1 -> untagged 110  (n1 is there)" in plan.stdout
    assert site.run("drift", "tor").returncode == 1
    assert "done" in site.run("apply", "tor", "--plan", plan.stdout.split()[-4]).stdout
    assert "swp4  untagged 110, tagged 120" in site.run("show", "tor").stdout
    drift = site.run("drift", "tor")
    assert (drift.returncode, drift.stdout) == (0, "tor is as it is declared\n")
    (listed,) = json.loads(site.run("list", "--json").stdout)
    assert listed["last_change"] == "switch_changed"
    wrong = site.run("plan", "torr")
    assert "did you mean tor?" in wrong.stderr


def test_a_wrong_host_key_is_refused(site):
    """Somebody else at the switch's address gets no login."""
    wrong = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0nG1Yb6k2hZ3l4Xo5pQ6r7S8t9u0v1w2x3y4z5A6B7"
    site.declare(host_key=wrong)
    with site.operations() as switches, pytest.raises(SwitchError, match=r"[Hh]ost key"):
        switches.apply("tor", "test")


def test_the_way_by_which_racksalt_comes_in_is_not_cut(site, switches, guest):
    """Management through the bridge: the plan that would move its VLAN is refused, others are not."""
    guest.run("ip link add inband type veth peer name outside; ip link set inband master bridge up")
    guest.run("ip netns add far; ip link set outside netns far; ip -n far link set outside up")
    guest.run("ip addr add 10.8.0.1/24 dev bridge; ip -n far addr add 10.8.0.9/24 dev outside")
    try:
        assert reaches(guest, "far", "10.8.0.1")
        prelude = "SSH_CONNECTION='10.8.0.9 50000 10.8.0.1 22'"
        from racksalt.adapters.switch_linux import observed, observing, sections
        from racksalt.model.switch import Switch
        from racksalt.network.switch_plan import clearing

        tor = Switch(name="tor", rack="r1")
        seen = guest.run(f"{prelude}\n{observing(tor)}").stdout
        found = observed(tor, sections(tor, seen))
        assert found.path == (("inband", 1),)
        assert "inband" not in {step.port for step in clearing(tor, found).steps}
    finally:
        guest.run("ip addr del 10.8.0.1/24 dev bridge; ip link del inband; ip netns del far")


def test_a_bridge_is_made_where_there_is_none(site, switches, guest):
    """A switch without a bridge gets one that keeps VLANs apart, and the declared ports in it."""
    guest.run("ip link add spare1 type veth peer name spare2; ip link set spare2 up")
    site.declare({"spare1": {"networks": ["prov"], "lldp_med": False}}, bridge="br9")
    try:
        plan = switches.plan("tor")
        assert plan["steps"][0]["kind"] == "bridge"
        switches.apply("tor", "test")
        assert vlans(guest, "spare1") == {"untagged": 110, "tagged": []}
        switches.rollback("tor", "test")
        assert guest.run("ip link show br9", check=False).returncode != 0
    finally:
        guest.run("ip link del br9", check=False)
        guest.run("ip link del spare1", check=False)


PORT = {"untagged": 110, "tagged": [120], "edge": True, "lldp_med": True, "description": "n1"}


@pytest.fixture
def minion(guest, switches, tmp_path, tmp_path_factory, monkeypatch):
    """The loaders of a minion whose iproute2 and lldpcli are the switch's."""
    node = SaltNode(tmp_path_factory.mktemp("m"), virtual=False)
    programs = guest.programs(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return node


def test_states_of_a_switchs_minion_compare_before_they_act(minion, switches, guest):
    """Test mode changes nothing; then the port is as declared, and a second run changes nothing."""
    would = minion.states.racksalt_switch.port(name="swp1", **PORT, test=True)
    assert (would.result, would.changes["untagged"]) == (None, {"old": 1, "new": 110})
    assert vlans(guest, "swp1") == BLANK
    did = minion.states.racksalt_switch.port(name="swp1", **PORT)
    assert did.result is True, did.comment
    assert set(did.changes) == set(PORT)
    seen = switches.show("tor")["ports"]["swp1"]
    assert (seen["untagged"], seen["tagged"], seen["edge"]) == (110, (120,), True)
    assert (seen["med"], seen["description"]) == ("untagged", "n1")
    again = minion.states.racksalt_switch.port(name="swp1", **PORT)
    assert (again.result, again.changes) == (True, {})
    guest.run("bridge vlan add dev swp1 vid 7 untagged")
    back = minion.states.racksalt_switch.port(name="swp1", **PORT)
    assert back.changes == {"stray": {"old": [7], "new": []}}
    assert minion.states.racksalt_switch.bridge(name="bridge").changes == {}


def test_a_state_makes_a_bridge_that_keeps_vlans_apart(minion, guest):
    """An absent bridge comes, one that mixes VLANs is changed, and a port that is nowhere joins."""
    guest.run("ip link add spare1 type veth peer name spare2; ip link set spare2 up")
    try:
        for old in ("absent", "plain"):
            did = minion.states.racksalt_switch.bridge(name="br8")
            assert (did.result, did.changes["bridge"]["old"]) == (True, old)
            guest.run("ip link set br8 type bridge vlan_filtering 0")
        did = minion.states.racksalt_switch.port(name="spare1", bridge="br8", untagged=120)
        assert (did.result, did.changes["member"]) == (True, {"old": False, "new": True})
        wrong = minion.states.racksalt_switch.port(name="swp99", untagged=120)
        assert wrong.result is False
        assert "swp99" in wrong.comment
    finally:
        guest.run("ip link del br8; ip link del spare1")
