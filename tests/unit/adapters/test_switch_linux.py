"""Outputs are recorded from iproute2 6.1 and lldpd 1.0.16 on Linux 6.1, cut down to what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from racksalt.adapters.switch_linux import commands, observed, observing, sections
from racksalt.model.errors import SwitchError
from racksalt.model.switch import Switch
from racksalt.network.switch_plan import Step
from racksalt.network.switches import SETTINGS, PortState

TOR = Switch(name="tor", rack="r1", bridge="bridge")


def link(name: str, **more: Any) -> dict[str, Any]:
    """Return one interface as ``ip -json -details link`` tells it."""
    return {"ifname": name, "link_type": "ether", **more}


LLDP = {
    "lldp": [
        {
            "interface": [
                {
                    "name": "swp1",
                    "lldp-med": [
                        {
                            "device-type": [{"value": "Network Connectivity Device"}],
                            "policy": [{"apptype": "Voice", "defined": True}],
                        }
                    ],
                },
                {
                    "name": "swp2",
                    "lldp-med": [
                        {"policy": [{"apptype": "Voice", "defined": True, "vlan": [{"vid": "7"}]}]}
                    ],
                },
                {"name": "swp3", "lldp-med": [{"policy": [{"apptype": "Voice"}]}]},
            ]
        }
    ]
}
TOLD: dict[str, Any] = {
    "links": [
        {"ifname": "lo", "link_type": "loopback"},
        link("eth0"),
        link("bridge", linkinfo={"info_kind": "bridge", "info_data": {"vlan_filtering": 1}}),
        link("swp1", master="bridge", ifalias="n1"),
        link("swp2", master="bridge"),
        link("swp3", master="bridge"),
        link("swp4"),
        link("bond0", master="other"),
        link(
            "bridge.9",
            link="bridge",
            linkinfo={"info_kind": "vlan", "info_data": {"id": 9}},
        ),
    ],
    "vlans": [
        {"ifname": "bridge", "vlans": [{"vlan": 1, "flags": ["PVID", "Egress Untagged"]}]},
        {
            "ifname": "swp1",
            "vlans": [
                {"vlan": 1, "flags": ["Egress Untagged"]},
                {"vlan": 110, "flags": ["PVID", "Egress Untagged"]},
                {"vlan": 200, "vlanEnd": 202, "flags": []},
            ],
        },
        {"ifname": "swp2", "vlans": [{"vlan": 5, "flags": ["PVID"]}, {"vlan": 6}]},
    ],
    "ports": [{"ifname": "swp1", "guard": True}, {"ifname": "swp2", "guard": False}],
    "lldp": LLDP,
    "neighbours": {
        "lldp": [
            {
                "interface": [
                    {"name": "swp1", "chassis": [{"id": [{"value": "02:00:00:00:00:01"}]}]},
                    {"name": "swp2", "chassis": [{"name": [{"value": "n2"}]}]},
                ]
            }
        ]
    },
}
INSIDE: dict[str, Any] = {
    "peer": "10.0.0.9 40000 10.0.0.2 22",
    "addresses": [{"ifname": "bridge.9", "addr_info": [{"local": "10.0.0.2"}]}],
    "route": [{"dst": "10.0.0.9", "gateway": "10.0.0.1", "dev": "bridge.9"}],
    "arp": [{"dst": "10.0.0.1", "lladdr": "02:00:00:00:00:09"}],
    "fdb": [
        {"mac": "02:00:00:00:00:09", "ifname": "swp2", "vlan": 9, "master": "bridge"},
        {"mac": "02:00:00:00:00:09", "ifname": "swp3", "vlan": 1, "master": "bridge"},
    ],
}


def test_ports_are_read_from_what_the_programs_print():
    """VLANs, edge, LLDP-MED and descriptions; half-set VLANs are told as what they are."""
    found = observed(TOR, TOLD)
    assert found.ports == {
        "eth0": PortState(name="eth0", member=False, untagged=None),
        "swp1": PortState(
            name="swp1",
            untagged=110,
            tagged=(200, 201, 202),
            stray=("1 out",),
            edge=True,
            med="untagged",
            description="n1",
        ),
        "swp2": PortState(name="swp2", untagged=None, tagged=(6,), stray=("5 in",), med="tagged 7"),
        "swp3": PortState(name="swp3", untagged=None),
        "swp4": PortState(name="swp4", member=False, untagged=None),
    }
    assert found.bridge == "filtering"
    assert found.settings == frozenset(SETTINGS)
    assert found.neighbours == {"swp1": "02:00:00:00:00:01", "swp2": "n2"}
    assert found.path == ()


def test_a_switch_without_lldpd_or_its_med_class_cannot_announce():
    """LLDP-MED is left out of what the switch can, instead of failing at it."""
    silent = {"lldp": [{"interface": [{"name": "swp1"}]}]}
    for told in ([], silent):
        assert "med" not in observed(TOR, {**TOLD, "lldp": told}).settings


@pytest.mark.parametrize(
    ("links", "bridge"),
    [
        ([], "absent"),
        ([link("bridge", linkinfo={"info_kind": "bridge", "info_data": {}})], "plain"),
    ],
)
def test_a_bridge_that_is_not_there_or_mixes_vlans_is_told(links, bridge):
    """The plan begins with the bridge."""
    assert observed(TOR, {**TOLD, "links": links}).bridge == bridge


def test_the_way_in_is_found_behind_the_bridge():
    """The VLAN that the switch's own address hangs in, and the port behind which the next hop was seen."""
    assert observed(TOR, {**TOLD, **INSIDE}).path == (("swp2", 9),)


def test_an_unknown_way_through_the_bridge_may_be_any_port():
    """Where the forwarding table does not tell, no port may lose the VLAN."""
    found = observed(TOR, {**TOLD, **INSIDE, "fdb": []})
    assert found.path == (("swp1", 9), ("swp2", 9), ("swp3", 9))


def test_an_address_on_a_port_of_the_bridge_makes_it_the_way_in():
    """Such a port is not touched at all."""
    inside = {**INSIDE, "addresses": [{"ifname": "swp1", "addr_info": [{"local": "10.0.0.2"}]}]}
    assert observed(TOR, {**TOLD, **inside}).path == (("swp1", None),)


def test_a_port_of_its_own_needs_no_care():
    """Management apart from the bridge is out of every plan's reach."""
    inside = {**INSIDE, "addresses": [{"ifname": "eth0", "addr_info": [{"local": "10.0.0.2"}]}]}
    assert observed(TOR, {**TOLD, **inside}).path == ()


def test_mstpd_has_a_say_in_what_an_edge_is():
    """Where mstpd runs, a port is an edge only if it thinks so too."""
    mstp = [{"port": "swp1", "admin-edge-port": "no"}]
    assert not observed(TOR, {**TOLD, "mstp": mstp}).ports["swp1"].edge


def test_what_is_no_answer_is_refused():
    """Text in place of JSON, and missing parts, are told as the switch's trouble."""
    parts = {"links": [], "vlans": [], "ports": []}
    text = "".join(f"\n@@racksalt {name}\n{json.dumps(it)}\n" for name, it in parts.items())
    assert sections(TOR, text) == parts
    with pytest.raises(SwitchError, match="vlans is no JSON"):
        sections(TOR, text.replace("vlans\n[]", "vlans\nError: argument"))
    with pytest.raises(SwitchError, match="told no links, ports, vlans"):
        sections(TOR, "Welcome to the switch!")


@pytest.mark.parametrize(
    ("kind", "before", "after", "lines"),
    [
        (
            "vlans",
            {"untagged": 1, "tagged": [5, 6]},
            {"untagged": 110, "tagged": [1, 6]},
            [
                "bridge vlan add dev swp1 vid 1",
                "bridge vlan add dev swp1 vid 110 pvid untagged",
                "bridge vlan del dev swp1 vid 5",
            ],
        ),
        (
            "vlans",
            {"untagged": 110, "tagged": [], "stray": ["1 out", "7 in"]},
            {"untagged": 110, "tagged": []},
            ["bridge vlan del dev swp1 vid 1", "bridge vlan del dev swp1 vid 7"],
        ),
        ("description", "", "it's n1", ["ip link set dev swp1 alias 'it'\"'\"'s n1'"]),
        ("med", "", "untagged", ["lldpcli configure ports swp1 med policy application voice"]),
        (
            "med",
            "untagged",
            "tagged 7",
            ["lldpcli configure ports swp1 med policy application voice tagged vlan 7"],
        ),
        (
            "med",
            "untagged",
            "",
            ["lldpcli configure ports swp1 med policy application voice unknown"],
        ),
        (
            "member",
            False,
            True,
            ["ip link set dev swp1 master bridge", "ip link set dev swp1 up"],
        ),
        ("member", True, False, ["ip link set dev swp1 nomaster"]),
    ],
)
def test_each_step_has_its_commands(kind, before, after, lines):
    """What comes is set before what goes, so that a port is never without what it keeps."""
    assert commands(TOR, Step(port="swp1", kind=kind, before=before, after=after)) == lines


def test_edge_is_told_to_mstpd_too_where_it_runs():
    """The bridge's own BPDU guard first; mstpd only if it is there."""
    step = Step(port="swp1", kind="edge", before=False, after=True)
    first, second = commands(TOR, step)
    assert first == "bridge link set dev swp1 guard on"
    assert second.startswith("if command -v mstpctl")
    assert "setportadminedge bridge swp1 yes" in second


@pytest.mark.parametrize(
    ("before", "after", "last"),
    [
        ("absent", "filtering", "ip link set dev bridge type bridge vlan_filtering 1"),
        ("filtering", "plain", "ip link set dev bridge type bridge vlan_filtering 0"),
        ("filtering", "absent", "ip link del dev bridge"),
    ],
)
def test_the_bridge_itself_comes_and_goes(before, after, last):
    """A bridge is made where there is none, and taken back as it was."""
    lines = commands(TOR, Step(port="", kind="bridge", before=before, after=after))
    assert lines[-1] == last
    assert (len(lines) == 3) == (before == "absent")


def test_asking_changes_nothing():
    """No program in the script of observations is told to set, add or delete."""
    words = set(observing(TOR).split())
    assert not words & {"set", "add", "del", "delete", "configure", "setportadminedge"} - {"set"}
    assert observing(TOR).count("set ") == 1  # of the shell: end at the first error
