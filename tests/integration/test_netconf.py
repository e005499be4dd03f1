"""The real systemd-networkd, in a network namespace of its own, takes what the node's module writes.

The kernel here has neither bonds nor VLANs, and a virtual Ethernet device no permanent MAC: bonds and VLANs are parsed
and refused by the kernel alone, and NICs are matched by the MAC that they have now.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.functional.modules.test_racksalt_netconf import configured
from tests.support.needs import need
from tests.support.salt_loop import salts_event_loop  # noqa: F401 - a fixture
from tests.support.salt_node import SaltNode

NETWORKD = "/lib/systemd/systemd-networkd"
MAC = "02:00:00:00:00:00"
SCRIPT = r"""
set -e
ip link add nic0 type veth peer name far0
ip link set nic0 address {mac} addrgenmode none
ip link set far0 up addrgenmode none
ip link set lo up
mount -t sysfs -o ro sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /etc/systemd/network
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases
chown -R systemd-network: /run/systemd/netif 2>/dev/null || true
cp {folder}/* /run/systemd/network/
{networkd} >{log} 2>&1 &
for _ in $(seq 100); do
    if ip -6 route show default | grep -q via && ip -4 route | grep -q mtu; then break; fi
    sleep 0.2
done
ip -o addr; echo ==; ip route; ip -6 route; echo ==; ip -o link
kill $!; wait || true
"""
"""``ip -o`` of what systemd-networkd made of the files, within 20 seconds."""
EXPECTED_REFUSALS = re.compile(r"(fast|vlan\d+): (netdev could not be created|Failed to create)")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A real machine's loaders."""
    need("ip", "systemd-networkd", "unshare", root=True)
    return SaltNode(tmp_path_factory.mktemp("node"), virtual=False)


def run(folder: Path, log: Path) -> tuple[str, list[str]]:
    """Let systemd-networkd take the files; return what `ip` then shows and what it complained about."""
    script = SCRIPT.format(mac=MAC, folder=folder, log=log, networkd=NETWORKD)
    told = subprocess.run(
        ["unshare", "--mount", "--net", "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 0, told.stderr + log.read_text()
    complaints = [
        line
        for line in log.read_text().splitlines()
        if re.search(r"unknown|invalid|ignoring|failed|could not", line, re.IGNORECASE)
        and "state file" not in line
    ]
    return told.stdout, complaints


@pytest.mark.daemons
def test_networkd_brings_up_what_was_written(node, tmp_path):
    """Addresses, routers, a bridge and sizes of frames as the plan says, and not one line that it does not know."""
    plan = configured(1000)
    nic = plan["interfaces"][0]
    # Without VLANs in this kernel: the bridge directly on the NIC, in large frames, with the public addresses.
    public = configured(10_000, 10_000)["interfaces"]
    bridge = {**next(it for it in public if it["name"] == "br-pub"), "on": nic["name"]}
    bridge |= {"mtu": 9000, "network_mtu": 1500}
    plan["interfaces"] = [{**nic, "mtu": 9000, "addresses": [], "routes": []}, bridge]
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in node.modules.racksalt_netconf.render(plan).items():
        if not name.endswith(".link"):
            now = text.replace("PermanentMACAddress=", "Name=nic0\nMACAddress=")
            (folder / name).write_text(now)
    shown, complaints = run(folder, tmp_path / "log")
    addresses, routes, links = shown.split("==")
    assert complaints == []
    assert "br-pub    inet 198.51.100.9/24" in addresses
    assert "inet6 2001:db8::9/64" in addresses
    assert "198.51.100.0/24 dev br-pub" in routes
    assert re.search(r"198\.51\.100\.0/24 dev br-pub .*mtu 1500", routes)
    assert re.search(r"default via fe80::1 dev br-pub .*metric 100", routes)
    assert re.search(r"br-pub: .* mtu 9000 ", links)
    assert re.search(r"nic0@.* mtu 9000 .* master br-pub", links)


@pytest.mark.daemons
def test_networkd_knows_every_line_of_bonds_and_vlans(node, tmp_path):
    """It parses all files; what the kernel here cannot make is the only thing that it may refuse."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, text in node.modules.racksalt_netconf.render(configured(10_000, 10_000)).items():
        (folder / name).write_text(text)
    plain = node.modules.racksalt_netconf.render(configured(1000))["05-racksalt-eno0.network"]
    now = plain.replace("PermanentMACAddress=", "Name=nic0\nMACAddress=")
    # What is up in the end, so that the wait has an end.
    extra = (
        "\n[Route]\nDestination=10.9.0.0/24\nScope=link\nMTUBytes=1400\n[Route]\nGateway=fe80::1\n"
    )
    (folder / "01-nic.network").write_text(now + extra)
    shown, complaints = run(folder, tmp_path / "log")
    assert "inet 10.1.0.5/22" in shown
    assert [it for it in complaints if not EXPECTED_REFUSALS.search(it)] == []
