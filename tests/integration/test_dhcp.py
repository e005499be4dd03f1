"""The DHCP service with the real dnsmasq, real clients and a real resolver, in network namespaces."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from racksalt.adapters.settings_file import write_settings
from racksalt.model.node import Address, Nic
from racksalt.model.place import Network, Range
from tests.support.dhcp_lab import (
    DOMAIN,
    LOADERS_6,
    PROGRAMS,
    PROV,
    DhcpLab,
    mac_of,
    run,
    text,
    told,
    until,
)
from tests.support.needs import need

pytestmark = pytest.mark.daemons
STRANGER = "52:54:00:ff:00:01"


@pytest.fixture(scope="module")
def lab():
    """A service that serves node n10, for tests that leave it as it is."""
    need(*PROGRAMS, root=True)
    found = DhcpLab()
    try:
        (found.images / "x86_64").mkdir(parents=True)
        (found.images / "x86_64/ipxe.efi").write_bytes(b"loader")
        found.add(10)
        yield found.start()
    finally:
        found.close()


@pytest.fixture
def fresh():
    """A lab of the test's own, not started."""
    need(*PROGRAMS, root=True)
    found = DhcpLab()
    try:
        yield found
    finally:
        found.close()


def test_a_node_gets_its_reservation_and_its_parameters(lab):
    """Address, name, domain, router and the private options are those of the store."""
    got = lab.ask(mac_of(10))
    assert (got["ip"], got["hostname"], got["domain"]) == ("10.77.0.10", "n10", DOMAIN)
    assert (got["router"], got["dns"], got["lease"]) == ("10.77.0.254", "10.77.0.1", "3600")
    assert text(got["opt224"]) == "n10"
    assert text(got["opt225"]) == "http://10.77.0.1:8800"
    assert text(got["opt226"]) == "live"


def test_who_asks_for_none_of_the_private_options_is_told_the_boot_apis_address(lab):
    """That one is forced; dnsmasq can force nothing that it reads live, so 224 and 226 are for who asks."""
    got = lab.ask(mac_of(10), asked=())
    assert text(got["opt225"]) == "http://10.77.0.1:8800"
    assert not {"opt224", "opt226"} & set(got)


@pytest.mark.parametrize(("arch", "url"), LOADERS_6)
def test_firmware_boots_over_ipv6(lab, arch, url):
    """Over TFTP from our address in the network, over HTTP from where the images are, with its class echoed."""
    found, echoed = lab.load_v6(STRANGER, arch)
    assert found == url
    assert echoed[4:] == (b"" if arch == 7 else b"\0\x0aHTTPClient")


def test_every_image_of_a_machine_gets_one_address(lab):
    """Whatever client id it shows (firmware, iPXE, installer, system), the MAC decides."""
    ids = ("00:04:" + "ab:" * 15 + "ab", "01:" + mac_of(10), "ff:00:00:00:01:00:02:00:00:ab:11")
    options = [("-x", f"0x3d:{one.replace(':', '')}") for one in ids] + [("-C",)]
    assert [lab.ask(mac_of(10), *one)["ip"] for one in options] == ["10.77.0.10"] * 4


def test_every_image_of_a_machine_gets_one_ipv6_address(lab):
    """A second DUID gets the reserved address too, though the first one's lease still runs."""
    first = lab.ask_v6(mac_of(10))
    second = lab.ask_v6(mac_of(10), duid="0004" + "0102030405060708090a0b0c0d0e0f10")
    assert [one.get("new_ip6_address") for one in (first, second)] == ["fd77::10"] * 2
    assert lab.noted("dhcp_exhausted") == []


def test_a_strange_machine_gets_a_short_lease_and_no_secret(lab):
    """It gets an address of the discovery range for minutes, no node's id, and nothing that looks like a token."""
    got = lab.ask(STRANGER, "-x", "hostname:salt", "-x", f"0x3d:01{mac_of(10).replace(':', '')}")
    assert 128 <= int(got["ip"].rpartition(".")[2]) <= 175
    assert got["lease"] == "120"
    assert "opt224" not in got
    assert "opt226" not in got
    assert text(got["opt225"]) == "http://10.77.0.1:8800"
    told_it = {k: v for k, v in got.items() if k.startswith("opt") or k in ("boot_file", "sname")}
    assert not any("token" in value.lower() for value in told_it.values())
    assert lab.dig(f"salt.{DOMAIN}") == []


@pytest.mark.parametrize(
    ("arch", "file"),
    [
        ("0000", "x86_64/undionly.kpxe"),
        ("0007", "x86_64/ipxe.efi"),
        ("0009", "x86_64/ipxe.efi"),
        ("000b", "arm64/ipxe.efi"),
        ("0010", "http://10.77.0.1:8800/images/x86_64/ipxe.efi"),
        ("0013", "http://10.77.0.1:8800/images/arm64/ipxe.efi"),
    ],
)
def test_firmware_gets_the_boot_file_of_its_architecture(lab, arch, file):
    """Option 93 decides; who comes over HTTP has its class echoed."""
    got = lab.ask(STRANGER, "-x", f"0x5d:{arch}", "-O", "60", "-V", "HTTPClient:Arch:00016")
    assert (got["boot_file"], got["siaddr"]) == (file, "10.77.0.1")
    assert (got.get("vendor") == "HTTPClient" or text(got.get("opt60", "")) == "HTTPClient") == (
        file.startswith("http")
    )


def test_ipxe_gets_the_boot_apis_script(lab):
    """Option 175 says that iPXE asks; it must not get iPXE again."""
    got = lab.ask(STRANGER, "-x", "0x5d:0000", "-x", "0xaf:0101")
    assert got["boot_file"] == "http://10.77.0.1:8800/v1/boot/script"


def test_loaders_come_over_tftp(lab):
    """From the images' folder."""
    got = run(*lab.at(lab.server), "curl", "-s", "tftp://10.77.0.1/x86_64/ipxe.efi")
    assert got == "loader"


def test_names_and_addresses_answer_both_ways(lab):
    """Forward and reverse, IPv4 and IPv6; a name that nobody has does not exist."""
    assert lab.dig(f"n10.{DOMAIN}") == ["10.77.0.10"]
    assert lab.dig("AAAA", f"n10.{DOMAIN}", server="fd77::1") == ["fd77::10"]
    assert lab.dig("-x", "10.77.0.10") == lab.dig("-x", "fd77::10") == [f"n10.{DOMAIN}."]
    assert lab.dig(f"n11.{DOMAIN}") == lab.dig("-x", "10.77.0.99") == []


def test_one_more_reservation_is_live_within_a_second(lab):
    """From its commit to the answers of DHCP and DNS, without a restart."""
    before = lab.pids()
    lab.add(20)
    begun = time.monotonic()
    until(lambda: lab.dig(f"n20.{DOMAIN}") == ["10.77.0.20"], 20)
    took = time.monotonic() - begun
    assert lab.ask(mac_of(20))["ip"] == "10.77.0.20"
    assert lab.pids() == before
    assert took < 1.5 + os.getloadavg()[0]


def test_the_boot_environment_follows_the_node(lab):
    """Option 226 says what the node boots next, without a restart."""
    before = lab.pids()
    lab.add(21, environment="live")
    lab.change(21, boot_environment="local")
    until(lambda: text(lab.ask(mac_of(21)).get("opt226", "")) == "local", 20)
    assert lab.pids() == before


def test_leases_are_listed_with_their_nodes(lab):
    """`racksalt dhcp leases` says who has which address, where and for how long."""
    lab.ask(mac_of(10))
    status, printed = lab.run("dhcp", "leases", "--json")
    assert status == 0
    found = {one["address"]: one for one in json.loads(printed)}
    assert (found["10.77.0.10"]["node"], found["10.77.0.10"]["network"]) == ("n10", "prov-z1")
    assert 3000 < found["10.77.0.10"]["ends_in_s"] <= 3600


def test_what_is_written_can_be_looked_at(lab):
    """`racksalt dhcp render --check` prints it, and dnsmasq can read it."""
    status, printed = lab.run("dhcp", "render", "--check", "--node", "n10")
    assert status == 0
    assert "52:54:00:00:00:0a,set:n-n10,10.77.0.10,[fd77::10],n10" in printed


def test_the_doctor_finds_a_running_service_well(lab):
    """And says how many nodes it serves."""
    until((lab.root / "dhcp/status.json").exists, 20)
    _, printed = lab.run("doctor", "--json")
    found = [one for one in json.loads(printed) if one["check"] == "DHCP"]
    assert found
    assert all(one["ok"] for one in found)


def test_a_rack_at_once_gets_leases_and_one_more_is_reported(fresh):
    """48 machines that start together all get addresses; the 49th is told in the journal, with network and figures."""
    fresh.start()
    for number in range(49):
        fresh.link(f"m{number}", f"52:54:00:aa:00:{number:02x}")
    begun = [fresh.begin(f"m{number}", tries=10) for number in range(48)]
    for client, _ in begun:
        client.wait(120)
    addresses = {told(result).get("ip") for _, result in begun}
    assert len(addresses - {None}) == 48
    client, result = fresh.begin("m48", tries=3)
    client.wait(60)
    assert told(result) == {}
    until(lambda: fresh.noted("dhcp_exhausted"), 20)
    (entry,) = fresh.noted("dhcp_exhausted")
    assert (entry.detail["network"], entry.detail["leases"]) == ("prov-z1", 48)
    assert "48 of the 48" in entry.message
    until(lambda: fresh.status()["exhausted"], 20)
    _, printed = fresh.run("doctor", "--json")
    assert any("48 of the 48" in one["seen"] for one in json.loads(printed) if not one["ok"])


def test_a_large_ipv6_range_leaves_room_for_everybody():
    """The number of its addresses would be 0 leases for dnsmasq, of both families."""
    need(*PROGRAMS, root=True)
    large = Range(name="six", first="fd77::1:0:0", last="fd77::2:0:0", use="discovery")
    network = dataclasses.replace(PROV, ranges=(PROV.ranges[0], large))
    lab = DhcpLab(network)
    try:
        lab.start()
        client, result = lab.begin("c0", tries=3)
        until(lambda: told(result) or client.poll() is not None, 20)
        client.kill()
        client.wait()
        assert told(result)["ip"].startswith("10.77.0.")
        assert lab.noted("dhcp_full") == []
    finally:
        lab.close()


def test_a_network_that_dnsmasq_refuses_keeps_nobody_else_from_being_served(fresh):
    """It alone is left out, and told."""
    wide = Network(name="wide", purpose="provisioning", cidr_v6="fd99::/48")
    with fresh.store.write() as tx:
        tx.put_places([wide])
    mac = fresh.add(10)
    fresh.start()
    assert fresh.ask(mac)["ip"] == "10.77.0.10"
    (entry,) = fresh.noted("dhcp_left_out")
    assert "'wide' is left out of DHCP" in entry.message


def test_a_removed_reservation_is_gone_and_leases_survive(fresh):
    """The next machine that asks with the MAC is a stranger; another one keeps its lease over the restart."""
    fresh.add(10)
    fresh.add(11)
    fresh.start()
    fresh.ask(mac_of(10))
    fresh.ask(mac_of(11))
    fresh.forget(10)
    until(lambda: fresh.dig(f"n10.{DOMAIN}") == [], 20)
    until(lambda: int(fresh.ask(mac_of(10)).get("ip", "0").rpartition(".")[2]) >= 128, 30)
    assert "10.77.0.11 n11" in (fresh.root / "dhcp/leases").read_text()
    assert fresh.ask(mac_of(11))["ip"] == "10.77.0.11"


def test_an_address_moves_to_another_machine(fresh):
    """A node whose NIC was replaced gets its address, though the old NIC's lease still runs."""
    fresh.add(10)
    fresh.start()
    assert fresh.ask(mac_of(10))["ip"] == "10.77.0.10"
    fresh.forget(10)
    with fresh.store.write() as tx:
        fresh_nic = {"id": "n10/new", "node": "n10", "name": "nic1", "mac": mac_of(99), "pxe": True}
        tx.insert(__import__("racksalt.store.tables", fromlist=["nics"]).nics, [fresh_nic])
        row = {"id": "n10/4", "node": "n10", "nic": "n10/new", "network": "prov-z1"}
        addresses = __import__("racksalt.store.tables", fromlist=["addresses"]).addresses
        tx.insert(addresses, [{**row, "address": "10.77.0.10", "family": 4, "kind": "reservation"}])
    until(lambda: fresh.ask(mac_of(99)).get("ip") == "10.77.0.10", 30)


def test_a_dead_dnsmasq_is_restarted_and_told(fresh):
    """However it died; what it leased is still known."""
    fresh.add(10)
    fresh.start()
    assert fresh.ask(mac_of(10))["ip"] == "10.77.0.10"
    (pid,) = fresh.pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: set(fresh.pids()) - {pid}, 20)
    until(lambda: fresh.noted("dhcp_server_ended"), 20)
    assert "10.77.0.10 n10" in (fresh.root / "dhcp/leases").read_text()
    assert fresh.ask(mac_of(10))["ip"] == "10.77.0.10"


def test_a_killed_service_leaves_dhcp_running_and_mends_its_files(fresh):
    """The server goes on alone; the next service takes over and puts right what differs."""
    fresh.add(10)
    fresh.add(11)
    fresh.start()
    (old,) = fresh.pids()
    fresh.stop(signal.SIGKILL)
    assert fresh.ask(mac_of(10))["ip"] == "10.77.0.10"
    folder = fresh.root / "dhcp"
    (folder / "hosts.d/n10").unlink()
    (folder / "hosts.d/n11").write_text("half a li")
    (folder / "hosts.d/n99").write_text("52:54:00:00:00:63,10.77.0.99,n99\n")
    (folder / "new/hosts.d_n12").write_text("left over")
    fresh.add(12)
    fresh.start()
    assert {path.name for path in (folder / "hosts.d").iterdir()} == {"n10", "n11", "n12"}
    assert list((folder / "new").iterdir()) == []
    assert len(fresh.pids()) == 1, fresh.log()
    assert fresh.pids() != [old]
    assert [fresh.ask(mac_of(n))["ip"] for n in (10, 11, 12)] == [
        f"10.77.0.{n}" for n in (10, 11, 12)
    ]


ORPHAN = """
import pathlib, signal, sys
held = open(sys.argv[2], "r+")
def end(*_):
    old = held.read()
    held.seek(0)
    held.write("2000000000 52:54:00:ff:00:02 10.77.0.150 * *\\n" + old)
    held.close()
    raise SystemExit
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[3]).touch()
signal.pause()
"""
"""Writes a lease into the file that it holds open, as dnsmasq does, when its end has come."""


def test_what_an_orphan_leases_until_its_end_is_kept(fresh):
    """It is ended before the lease file is rewritten, else its last leases would go into a file that is no more."""
    fresh.add(10)
    fresh.add(11)
    fresh.start()
    assert fresh.ask(mac_of(11))["ip"] == "10.77.0.11"
    fresh.stop()
    fresh.forget(11)
    folder, there = fresh.root / "dhcp", fresh.root / "there"
    argv = [f"--conf-file={folder}/dnsmasq.conf", str(folder / "leases"), str(there)]
    orphan = subprocess.Popen([sys.executable, "-c", ORPHAN, *argv])
    until(there.exists)
    fresh.start()
    assert orphan.wait(20) == 0
    held = (folder / "leases").read_text()
    assert "10.77.0.150" in held
    assert "10.77.0.11 " not in held


def test_a_second_service_on_one_folder_is_refused(lab):
    """It says so and changes nothing."""
    before = lab.pids()
    status, printed = lab.run("serve-dhcp")
    assert status == 1
    assert "another DHCP service works on" in printed
    assert lab.pids() == before


def test_a_taken_port_is_told_with_a_remedy(fresh):
    """The error names what dnsmasq could not have and what to do."""
    taken = "import socket,time; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); "
    taken += "s.bind(('0.0.0.0',67)); print('ready',flush=True); time.sleep(60)"
    with subprocess.Popen(
        [*fresh.at(fresh.server), "python3", "-c", taken], stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        status, printed = fresh.run("serve-dhcp")
        other.kill()
    assert status == 1
    assert "Address already in use" in printed
    assert "ss -lunp" in printed


def test_no_interface_in_a_served_network_is_told(fresh):
    """With the network and what to set."""
    run("ip", "-n", fresh.server, "address", "flush", "dev", "s0")
    status, printed = fresh.run("serve-dhcp")
    assert status == 1
    assert "prov-z1 (10.77.0.0/24)" in printed
    assert "dhcp.interfaces" in printed


def test_a_bad_name_is_left_out_and_told_and_the_others_are_served(fresh):
    """A node cannot write lines into dnsmasq's files by its name."""
    fresh.add(10, fqdn="n10\ndhcp-script=/bin/sh")
    fresh.add(11)
    fresh.start()
    assert fresh.ask(mac_of(11))["ip"] == "10.77.0.11"
    until(lambda: fresh.noted("dhcp_left_out"), 20)
    assert not (fresh.root / "dhcp/hosts.d/n10").exists()


def test_a_rack_behind_a_relay_is_served_from_its_own_network(fresh):
    """Reservation, pool, router and boot file are those of the network that the relay agent is in."""
    pool = Range(name="d", first="10.88.0.128", last="10.88.0.129", use="discovery")
    rack2 = Network(
        name="prov-r2",
        purpose="provisioning",
        domain="r2.dc.example.net",
        cidr_v4="10.88.0.0/24",
        cidr_v6="fd88::/64",
        gateway_v4="10.88.0.1",
        ranges=(pool,),
    )
    fresh.behind_relay(rack2, "10.88.0.1/24", "fd88::1/64")
    settings = replace(fresh.settings.dhcp, interfaces=("s0", "s1"))
    write_settings(fresh.settings_file, replace(fresh.settings, dhcp=settings))
    mac = fresh.add(10)
    address = {"network": "prov-r2", "address": "10.88.0.20", "family": 4}
    with fresh.store.write() as tx:
        tx.put([Nic(id="n10/r2", node="n10", name="nic1", mac="52:54:00:88:00:20")])
        tx.put([Address(id="n10/r2", node="n10", nic="n10/r2", **address)])
    fresh.start()
    assert fresh.ask(mac)["ip"] == "10.77.0.10"
    got = {}
    for number in ("20", "21", "22", "23"):
        run("ip", "-n", fresh.clients, "link", "set", "r1", "address", f"52:54:00:88:00:{number}")
        client, result = fresh.begin("r1", "-x", "0x5d:0007", tries=3)
        client.wait(60)
        got[number] = told(result)
    assert (got["20"]["ip"], got["20"]["router"]) == ("10.88.0.20", "10.88.0.1")
    assert {got["21"]["ip"], got["22"]["ip"]} == {"10.88.0.128", "10.88.0.129"}
    assert got["21"]["domain"] == "r2.dc.example.net"
    assert got["21"]["siaddr"] in ("10.99.0.1", "10.77.0.1")
    assert got["23"] == {}
    until(lambda: fresh.noted("dhcp_exhausted"), 20)
    assert fresh.noted("dhcp_exhausted")[0].detail["network"] == "prov-r2"
