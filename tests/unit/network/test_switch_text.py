from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.network.switch_text import listed, one_line, ranges, read, written
from racksalt.network.switches import PortState

PLATFORMS = ("eos", "ios", "nxos", "junos")
PORT = "Ethernet1"
FRESH = PortState(name=PORT)
SWP = replace(FRESH, untagged=110, tagged=(120, 121, 130), edge=True, description="n1")
VLANS = st.sets(st.integers(1, 4094), max_size=6)


@st.composite
def ports(draw) -> PortState:
    """Return any port that a site can declare: it carries something."""
    untagged = draw(st.none() | st.integers(1, 4094))
    tagged = draw(VLANS) - {untagged}
    return replace(
        FRESH,
        untagged=untagged if untagged or tagged else 1,
        tagged=tuple(sorted(tagged)),
        edge=draw(st.booleans()),
        description=draw(st.sampled_from(["", "n1", "r1 U2"])),
    )


@pytest.mark.parametrize("platform", PLATFORMS)
@given(port=ports())
def test_what_is_written_is_read_back(platform, port):
    """The text of a port, merged into a switch out of its box, means that port to who reads it."""
    assert read(platform, written(platform, [(FRESH, port)]), [PORT]) == {PORT: port}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_port_that_is_right_is_not_written(platform):
    """Nothing is said of what does not change."""
    assert "thernet" not in written(platform, [(SWP, SWP)])


def test_eos_words():
    """Arista EOS: VLANs first, then one block for each port."""
    assert written("eos", [(FRESH, SWP)]).splitlines() == [
        "vlan 110",
        "vlan 120",
        "vlan 121",
        "vlan 130",
        "interface Ethernet1",
        "   description n1",
        "   switchport",
        "   switchport mode trunk",
        "   switchport trunk native vlan 110",
        "   switchport trunk allowed vlan 110,120-121,130",
        "   spanning-tree portfast",
        "   spanning-tree bpduguard enable",
    ]


def test_an_edge_port_that_becomes_a_trunk_is_told_anew():
    """IOS and NX-OS have other words for an edge port that carries tags."""
    access = replace(SWP, tagged=())
    assert "spanning-tree portfast trunk" in written("ios", [(access, SWP)])
    assert "spanning-tree port type edge trunk" in written("nxos", [(access, SWP)])
    assert "no spanning-tree port type" in written("nxos", [(SWP, replace(SWP, edge=False))])


def test_junos_deletes_only_what_is_there():
    """Junos refuses a text that deletes what does not exist, all of it."""
    assert "delete" not in written("junos", [(FRESH, SWP)])
    back = written("junos", [(SWP, FRESH)]).splitlines()
    assert [line for line in back if line.startswith("delete")] == [
        "delete interfaces Ethernet1 description",
        "delete interfaces Ethernet1 unit 0 family ethernet-switching vlan",
        "delete interfaces Ethernet1 native-vlan-id",
        "delete protocols rstp interface Ethernet1 edge",
    ]


def test_what_people_wrote_is_understood():
    """Long lists that go on, names of VLANs, a disabled portfast, and a trunk that allows everything."""
    text = """
interface Ethernet1
   switchport mode trunk
   switchport trunk allowed vlan 10,12-14
   switchport trunk allowed vlan add 20
   spanning-tree portfast disable
!
interface Ethernet2
   switchport mode trunk
"""
    found = read("ios", text, ["Ethernet1", "Ethernet2", "Ethernet3"])
    assert found["Ethernet1"] == replace(FRESH, untagged=None, tagged=(10, 12, 13, 14, 20))
    assert len(found["Ethernet2"].tagged) == 4093
    assert found["Ethernet3"] == PortState(name="Ethernet3")
    junos = """
set vlans storage vlan-id 120
set interfaces xe-0/0/1 unit 0 family ethernet-switching interface-mode trunk
set interfaces xe-0/0/1 unit 0 family ethernet-switching vlan members storage
set protocols rstp interface xe-0/0/1.0 edge
"""
    assert read("junos", junos, ["xe-0/0/1"])["xe-0/0/1"] == PortState(
        name="xe-0/0/1", untagged=None, tagged=(120,), edge=True
    )


@pytest.mark.parametrize(
    ("platform", "name", "line"),
    [
        ("eos", "Ethernet9", "interface Ethernet9\n   no switchport"),
        ("eos", "Ethernet9", "interface Ethernet9\n   channel-group 3 mode active"),
        ("eos", "Management1", ""),
        ("nxos", "mgmt0", ""),
        ("ios", "Vlan110", "interface Vlan110\n   ip address 10.0.0.1 255.255.255.0"),
        ("junos", "ge-0/0/9", "set interfaces ge-0/0/9 unit 0 family inet address 10.0.0.1/24"),
        ("junos", "ge-0/0/9", "set interfaces ge-0/0/9 ether-options 802.3ad ae0"),
        ("junos", "irb", ""),
    ],
)
def test_routed_bonded_and_management_ports_are_no_switch_ports(platform, name, line):
    """What is not switched is told apart, so that nobody clears it."""
    assert not read(platform, line, [name])[name].member


def test_lists_of_vlans_are_short_and_exact():
    """Ranges are written and read alike."""
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"
    assert listed("1-3,7,9-10") == {1, 2, 3, 7, 9, 10}


def test_a_description_cannot_become_a_command():
    """Line breaks, quotes and banners' signs do not reach a switch."""
    assert one_line('a"\nno switchport; !') == "a__no switchport_ _"
