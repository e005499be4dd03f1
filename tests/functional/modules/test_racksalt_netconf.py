"""The network configuration of a node as files of systemd-networkd, and the state that keeps them so."""

from __future__ import annotations

import json

import pytest
from salt.exceptions import CommandExecutionError

from racksalt.model.conduit import Alternative, Bond, Conduit
from racksalt.model.node import Address, Nic
from racksalt.model.place import Network
from racksalt.network.conduits import node_network
from tests.support.salt_node import SaltNode

FAST = Conduit(
    name="fast", alternatives=(Alternative(nics=("10g1", "10g2"), bond=Bond(mode="802.3ad")),)
)
NETWORKS = [
    Network(
        name="prov",
        purpose="provisioning",
        domain="z1.example.net",
        cidr_v4="10.1.0.0/22",
        gateway_v4="10.1.3.254",
        cidr_v6="fd01::/64",
    ),
    Network(
        name="store", purpose="storage", vlan=300, mtu=9000, conduit="fast", cidr_v4="10.3.0.0/24"
    ),
    Network(
        name="public",
        purpose="public",
        vlan=400,
        conduit="fast",
        bridge="br-pub",
        cidr_v4="198.51.100.0/24",
        cidr_v6="2001:db8::/64",
        gateway_v6="fe80::1",
    ),
]
HELD = {
    "prov": ["10.1.0.5", "fd01::5"],
    "store": ["10.3.0.7"],
    "public": ["198.51.100.9", "2001:db8::9"],
}

FILES = {
    *("eno0.link", "eno0.network", "eno1.link", "eno1.network", "fast.netdev", "fast.network"),
    *(
        f"{name}.{kind}"
        for name in ("vlan300", "vlan400", "br-pub")
        for kind in ("netdev", "network")
    ),
}


def configured(*speeds):
    """Return what the pillar gives a node with NICs of these speeds: the planner's own outcome, as JSON carries it."""
    nics = [
        Nic(id=f"n1/{n}", node="n1", name=f"eno{n}", mac=f"02:00:00:00:00:0{n}", speed_mbps=mbps, pxe=n == 0)
        for n, mbps in enumerate(speeds)
    ]  # fmt: skip
    held = [
        Address(id=text, node="n1", nic=None, network=name, address=text, family=6 if ":" in text else 4)
        for name, texts in HELD.items()
        for text in texts
    ]  # fmt: skip
    plan = node_network(nics, NETWORKS, {"fast": FAST}, held, {"servers": ["10.1.0.53"]})
    return json.loads(json.dumps(plan))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A real machine with the pillar that racksalt serves."""
    node = SaltNode(tmp_path_factory.mktemp("node"), virtual=False)
    node.loaders.opts["pillar"] = {"racksalt": {"network": configured(10_000, 10_000)}}
    return node


@pytest.fixture
def node(loaded):
    """The machine; it has no virtual hardware to be described."""
    return loaded


def section(text, name):
    """Return the lines of the first section of this name."""
    return text.partition(f"[{name}]\n")[2].partition("\n[")[0].split()


def test_a_vlan_on_a_bond_of_the_nics_with_these_macs(node):
    """NICs are found by MAC and named; the bond has them, the VLAN is on the bond, the bridge on the VLAN."""
    files = node.modules.racksalt_netconf.render()
    assert set(files) == {f"05-racksalt-{name}" for name in FILES}
    files = {name.removeprefix("05-racksalt-"): text for name, text in files.items()}
    assert section(files["eno1.link"], "Match") == ["PermanentMACAddress=02:00:00:00:00:01"]
    assert section(files["eno1.link"], "Link") == ["Name=eno1"]
    assert "Bond=fast" in section(files["eno1.network"], "Network")
    assert {"Kind=bond", "MACAddress=02:00:00:00:00:00"} <= set(
        section(files["fast.netdev"], "NetDev")
    )
    assert {"Mode=802.3ad", "LACPTransmitRate=fast"} <= set(section(files["fast.netdev"], "Bond"))
    assert {"VLAN=vlan300", "VLAN=vlan400"} <= set(section(files["fast.network"], "Network"))
    assert section(files["vlan300.netdev"], "VLAN") == ["Id=300"]
    assert "Bridge=br-pub" in section(files["vlan400.network"], "Network")
    assert "Address=198.51.100.9/24" in files["br-pub.network"]
    assert "Gateway=fe80::1\nMetric=100" in files["br-pub.network"]


def test_large_frames_below_do_not_leave_by_a_network_of_small_ones(node):
    """The bond takes 9000 bytes for storage; on the provisioning network routes keep to 1500."""
    text = node.modules.racksalt_netconf.render()["05-racksalt-fast.network"]
    assert section(text, "Link") == ["MTUBytes=9000"]
    assert section(text, "Address") == ["Address=10.1.0.5/22", "AddPrefixRoute=no"]
    assert section(text, "Route")[:3] == ["Destination=10.1.0.0/22", "Scope=link", "MTUBytes=1500"]
    assert "Gateway=10.1.3.254\nMetric=300\nMTUBytes=1500" in text
    assert "IPv6MTUBytes=1500" in section(text, "Network")


def test_a_node_whose_addresses_others_give_asks_by_its_mac(node):
    """As firmware and installer did."""
    plan = node_network(
        [Nic(id="n1/0", node="n1", name="eno0", mac="02:00:00:00:00:00")], [], {}, []
    )
    text = node.modules.racksalt_netconf.render(plan)["05-racksalt-eno0.network"]
    assert {"DHCP=yes", "IPv6AcceptRA=yes"} <= set(section(text, "Network"))
    assert "ClientIdentifier=mac" in section(text, "DHCPv4")


def test_files_are_written_once_and_stale_ones_go(node, tmp_path):
    """Only racksalt's own; a second time changes nothing; systemd-networkd is switched on in an installed root."""
    folder = tmp_path / "etc/systemd/network"
    folder.mkdir(parents=True)
    (folder / "05-racksalt-old.network").write_text("[Match]\n")
    (folder / "20-mine.network").write_text("[Match]\n")
    unit = tmp_path / "lib/systemd/system/systemd-networkd.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    written = node.modules.racksalt_netconf.write(str(tmp_path))
    assert "05-racksalt-old.network" in written
    assert "multi-user.target.wants/systemd-networkd.service" in written
    assert {path.name for path in folder.iterdir()} == {
        *node.modules.racksalt_netconf.render(),
        "20-mine.network",
    }
    assert (folder / "05-racksalt-fast.netdev").stat().st_mode & 0o777 == 0o644
    assert node.modules.racksalt_netconf.write(str(tmp_path)) == []


def test_the_state_tells_before_it_changes_and_is_idempotent(node, tmp_path):
    """Test mode shows each file line by line and writes none; the second run changes nothing."""
    manage = node.states.racksalt_netconf.managed
    trial = manage(name="network", root=str(tmp_path), test=True)
    assert trial.result is None
    assert "+Mode=802.3ad" in trial.changes["05-racksalt-fast.netdev"]
    assert not (tmp_path / "etc").exists()
    done = manage(name="network", root=str(tmp_path))
    assert (done.result, done.changes) == (True, trial.changes)
    again = manage(name="network", root=str(tmp_path))
    assert (again.result, again.changes, again.comment) == (True, {}, "is as declared")
    file = tmp_path / "etc/systemd/network/05-racksalt-vlan300.netdev"
    file.write_text(file.read_text().replace("Id=300", "Id=301"))
    (changed,) = manage(name="network", root=str(tmp_path)).changes.items()
    assert changed[0] == "05-racksalt-vlan300.netdev"
    assert "-Id=301\n+Id=300" in changed[1]


def test_what_a_node_cannot_have_is_told(tmp_path_factory, tmp_path):
    """A conduit that its NICs do not fit is in the comment of the state; the rest is configured."""
    slow = SaltNode(tmp_path_factory.mktemp("slow"), virtual=False)
    slow.loaders.opts["pillar"] = {"racksalt": {"network": configured(1000)}}
    done = slow.states.racksalt_netconf.managed(name="network", root=str(tmp_path))
    assert done.result is True
    assert "not possible here: conduit fast: 10g1: no NIC fits (eno0 1g)" in done.comment


def test_without_facts_nothing_is_written(tmp_path_factory, tmp_path):
    """A pillar without the network is an error in words, not an empty configuration."""
    bare = SaltNode(tmp_path_factory.mktemp("bare"), virtual=False)
    with pytest.raises(CommandExecutionError, match="has no racksalt:network"):
        bare.modules.racksalt_netconf.write(str(tmp_path))
    done = bare.states.racksalt_netconf.managed(name="network", root=str(tmp_path))
    assert (done.result, list(tmp_path.iterdir())) == (False, [])


def test_a_virtual_machine_of_the_lab_has_neither(tmp_path_factory):
    """It shares the network of its host, which is not racksalt's to configure."""
    virtual = SaltNode(tmp_path_factory.mktemp("virtual"))
    assert "racksalt_netconf.write" not in virtual.loaders.modules
    assert "racksalt_netconf.managed" not in virtual.loaders.states
