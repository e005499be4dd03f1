"""The same service over the real Kea with PostgreSQL, in network namespaces."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import pytest

from racksalt.model.place import Range
from racksalt.network.kea import subnet_ids
from tests.support.databases import postgresql  # noqa: F401  a fixture
from tests.support.dhcp_lab import (
    DOMAIN,
    FIRMWARE_6,
    KEA,
    LOADERS_6,
    PROGRAMS,
    PROV,
    DhcpLab,
    mac_of,
    run,
    text,
    until,
)
from tests.support.needs import need

# ruff: noqa: F811  the fixture is asked for by its name

pytestmark = pytest.mark.daemons
STRANGER = "52:54:00:ff:00:01"


@pytest.fixture
def database(postgresql):
    """The address of a database with Kea's tables."""
    need(*PROGRAMS, *KEA, root=True)
    name = postgresql.create()
    place = ("-u", "racksalt", "-n", name, "-h", postgresql.folder)
    run("kea-admin", "db-init", "pgsql", *place)
    yield f"postgresql://racksalt@/{name}?host={postgresql.folder}"
    postgresql.drop(name)


@pytest.fixture
def lab(database):
    """A lab that serves with Kea, not started."""
    found = DhcpLab(server="kea", kea_database=database)
    try:
        yield found
    finally:
        found.close()


def test_nodes_and_strangers_get_what_the_store_says(lab):
    """Reservations of both families, parameters, short leases for strangers, names, boot files."""
    lab.add(10)
    lab.start()
    got = lab.ask(mac_of(10), "-x", "0x3d:01020304050607")
    assert (got["ip"], got["hostname"], got["domain"]) == ("10.77.0.10", "n10", DOMAIN)
    assert (got["router"], got["lease"]) == ("10.77.0.254", "3600")
    options = [text(got[f"opt{code}"]) for code in (224, 225, 226)]
    assert options == ["n10", "http://10.77.0.1:8800", "live"]
    stranger = lab.ask(STRANGER, "-x", "0x5d:0007")
    assert 128 <= int(stranger["ip"].rpartition(".")[2]) <= 175
    assert (stranger["lease"], stranger["boot_file"]) == ("120", "x86_64/ipxe.efi")
    assert "opt224" not in stranger
    ipxe = lab.ask(STRANGER, "-x", "0x5d:0007", "-x", "0xaf:0101")
    assert ipxe["boot_file"] == "http://10.77.0.1:8800/v1/boot/script"
    http = lab.ask(STRANGER, "-x", "0x5d:0010", "-O", "60")
    assert http["boot_file"] == "http://10.77.0.1:8800/images/x86_64/ipxe.efi"
    assert lab.dig("-x", "fd77::10") == [f"n10.{DOMAIN}."]
    status, printed = lab.run("dhcp", "leases", "--json")
    assert status == 0
    assert {one["node"] for one in json.loads(printed)} == {"n10", None}


def test_a_node_is_told_what_it_does_not_ask_for(lab):
    """The private options are sent to everybody: Kea can be told to."""
    lab.add(10)
    lab.start()
    got = lab.ask(mac_of(10), asked=())
    options = [text(got[f"opt{code}"]) for code in (224, 225, 226)]
    assert options == ["n10", "http://10.77.0.1:8800", "live"]


@pytest.mark.parametrize(("arch", "url"), LOADERS_6)
def test_firmware_boots_over_ipv6(lab, arch, url):
    """Over TFTP from our address in the network, over HTTP from where the images are, with its class echoed."""
    lab.start()
    found, echoed = lab.load_v6(STRANGER, arch)
    assert found == url
    assert echoed[4:] == (b"" if arch == 7 else b"\0\x0aHTTPClient")


def test_a_network_that_is_not_for_provisioning_boots_nobody(database):
    """Though DHCP serves it: neither boot file nor the boot API's address, over both families."""
    place = dataclasses.replace(PROV, purpose="storage")
    lab = DhcpLab(place, server="kea", kea_database=database, networks=(place.name,))
    try:
        lab.start()
        got = lab.ask(STRANGER, "-x", "0x5d:0007")
        assert 128 <= int(got["ip"].rpartition(".")[2]) <= 175
        assert not {"boot_file", "opt225", "siaddr"} & set(got)
        assert "boot_file" not in lab.ask(STRANGER, "-x", "0x5d:0007", "-x", "0xaf:0101")
        six = lab.ask_v6(STRANGER, conf=FIRMWARE_6.format(arch=16))
        assert "new_ip6_address" in six
        assert "new_dhcp6_url" not in six
    finally:
        lab.close()


def test_without_tftp_only_what_comes_over_http_is_named(database):
    """``dhcp.tftp: false``: no name of a file that nobody serves, over both families."""
    lab = DhcpLab(server="kea", kea_database=database, tftp=False)
    try:
        lab.start()
        assert "boot_file" not in lab.ask(STRANGER, "-x", "0x5d:0007")
        assert lab.ask(STRANGER, "-x", "0x5d:0010")["boot_file"].startswith("http://")
        conf = FIRMWARE_6.format(arch=7)
        assert "new_dhcp6_url" not in lab.ask_v6(STRANGER, conf=conf)
    finally:
        lab.close()


def test_images_whose_duids_hold_the_mac_get_one_ipv6_address(lab):
    """The second of them gets the reserved address too, though the first one's lease still runs."""
    lab.add(10)
    lab.start()
    first = lab.ask_v6(mac_of(10))
    second = lab.ask_v6(mac_of(10), duid="00030001" + mac_of(10).replace(":", ""))
    assert [one.get("new_ip6_address") for one in (first, second)] == ["fd77::10"] * 2


def test_reservations_come_and_go_without_a_restart(lab):
    """One more, one fewer, another boot environment: rows in the database, nothing else."""
    lab.add(10)
    lab.start()
    before = lab.pids("kea-dhcp4"), lab.pids("kea-dhcp6")
    assert all(before)
    lab.add(11)
    until(lambda: lab.ask(mac_of(11)).get("ip") == "10.77.0.11")
    lab.change(11, boot_environment="local")
    until(lambda: text(lab.ask(mac_of(11)).get("opt226", "")) == "local")
    lab.forget(10)
    until(lambda: int(lab.ask(mac_of(10)).get("ip", "0").rpartition(".")[2]) >= 128)
    assert (lab.pids("kea-dhcp4"), lab.pids("kea-dhcp6")) == before


def test_an_exhausted_pool_is_reported(database):
    """The network and its figures are in the journal."""
    small = (Range(name="d", first="10.77.0.128", last="10.77.0.129", use="discovery"),)
    lab = DhcpLab(dataclasses.replace(PROV, ranges=small), server="kea", kea_database=database)
    try:
        lab.start()
        got = [lab.ask(f"52:54:00:aa:00:0{number}", tries=2) for number in range(3)]
        assert [bool(one) for one in got] == [True, True, False]
        until(lambda: lab.noted("dhcp_exhausted"))
        assert "2 of the 2" in lab.noted("dhcp_exhausted")[0].message
    finally:
        lab.close()


def test_the_sites_own_reservations_are_left_alone_and_a_dead_kea_is_restarted(lab, database):
    """Rows without our mark stay; a service that was killed goes on from what is in the database."""
    import psycopg

    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO hosts (dhcp_identifier, dhcp_identifier_type, dhcp4_subnet_id, hostname) "
            "VALUES ('\\x020000000001', 0, 7, 'theirs')"
        )
    lab.add(10)
    lab.start()
    lab.stop(signal.SIGKILL)
    assert lab.ask(mac_of(10))["ip"] == "10.77.0.10"
    assert lab.ask(STRANGER)
    lab.forget(10)
    lab.add(11)
    lab.start()
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT hostname FROM hosts ORDER BY hostname").fetchall()
    assert rows == [("n11",), ("theirs",)]
    (pid,) = lab.pids("kea-dhcp4")
    os.kill(pid, signal.SIGKILL)
    until(lambda: set(lab.pids("kea-dhcp4")) - {pid})
    until(lambda: lab.noted("dhcp_server_ended"))
    until(lambda: lab.ask(mac_of(11)).get("ip") == "10.77.0.11")


def test_a_node_for_which_the_site_has_a_reservation_keeps_nobody_from_theirs(lab, database):
    """One MAC has one row in a subnet: ours is left out and told with MAC and node, all others are written.

    Once the site's row is gone, ours comes.
    """
    import psycopg

    row = (bytes.fromhex(mac_of(10).replace(":", "")), subnet_ids([PROV])[PROV.name])
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO hosts (dhcp_identifier, dhcp_identifier_type, dhcp4_subnet_id, hostname) "
            "VALUES (%s, 0, %s, 'theirs')",
            row,
        )
    lab.add(10)
    lab.add(11)
    lab.start()
    assert lab.ask(mac_of(11))["ip"] == "10.77.0.11"
    until(lambda: lab.noted("dhcp_left_out"))
    (told,) = lab.noted("dhcp_left_out")
    assert (told.detail["mac"], told.detail["left_out"]) == (mac_of(10), "n10")
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM hosts WHERE hostname = 'theirs'")
    lab.add(12)
    until(lambda: lab.ask(mac_of(10)).get("ip") == "10.77.0.10")


NO_ROWS = """
CREATE FUNCTION no_rows() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''not today''; END' LANGUAGE plpgsql;
CREATE TRIGGER no_rows BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION no_rows();
"""


def test_a_database_that_takes_no_rows_keeps_nobody_from_being_served(lab, database):
    """After a restart too, Kea serves what the database has; what it refused is told, and written once it may be."""
    import psycopg

    lab.add(10)
    lab.start()
    lab.stop()
    with psycopg.connect(database) as connection:
        connection.execute(NO_ROWS)
    lab.add(11)
    lab.start()
    assert lab.ask(mac_of(10))["ip"] == "10.77.0.10"
    until((lab.root / "dhcp/status.json").exists)
    until(lambda: "not today" in lab.status()["problem"])
    with psycopg.connect(database) as connection:
        connection.execute("DROP TRIGGER no_rows ON hosts")
    until(lambda: lab.ask(mac_of(11)).get("ip") == "10.77.0.11")
    until(lambda: lab.status()["problem"] == "")
