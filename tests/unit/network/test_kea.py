"""Kea's configuration and the rows of its database."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from racksalt.model.errors import SettingsError
from racksalt.model.place import Network, Range
from racksalt.model.reservation import Reservation
from racksalt.network.dhcp import wanted
from racksalt.network.dnsmasq import Link
from racksalt.network.kea import config, host_rows, subnet_ids
from racksalt.settings import Dhcp, Settings

MAC = "52:54:00:00:00:01"
POOL = Range(name="d", first="10.0.0.128", last="10.0.0.175", use="discovery")
NET = Network(
    name="prov",
    purpose="provisioning",
    cidr_v4="10.0.0.0/24",
    cidr_v6="fd00::/64",
    gateway_v4="10.0.0.254",
    ranges=(POOL,),
)
FAR = Network(name="far", purpose="provisioning", cidr_v4="10.9.0.0/24", cidr_v6="fd09::/64")
STORAGE = Network(name="storage", purpose="storage", cidr_v4="10.3.0.0/24", cidr_v6="fd03::/64")
LINKS = (Link("eth1", ("10.0.0.1/24", "fd00::1/64")),)


def _config(family, *networks, only=(), **dhcp):
    found = config(
        family,
        wanted(networks, [], only),
        Settings(dhcp=Dhcp(**dhcp)),
        LINKS,
        database={"type": "postgresql", "name": "kea"},
        hook="/hook.so",
    )
    return found[f"Dhcp{family}"]


def test_a_networks_number_stays_with_its_name():
    """Whatever other networks come: leases and reservations in the database carry it."""
    alone = subnet_ids([NET])["prov"]
    assert subnet_ids([FAR, NET])["prov"] == alone
    assert len(set(subnet_ids([FAR, NET]).values())) == 2
    assert 0 < alone < 2**31


def test_a_subnet_is_written_with_its_length():
    """With a mask, Kea would refuse its whole configuration."""
    (subnet,) = _config(4, replace(NET, cidr_v4="10.0.0.0/255.255.255.0"))["subnet4"]
    assert subnet["subnet"] == "10.0.0.0/24"


def test_strangers_get_the_pool_for_minutes_and_nodes_do_not():
    """By Kea's own class for machines without a reservation."""
    found = _config(4, NET)
    (subnet,) = found["subnet4"]
    assert subnet["pools"] == [{"pool": "10.0.0.128 - 10.0.0.175", "client-class": "UNKNOWN"}]
    assert found["valid-lifetime"] == 3600
    stranger = next(one for one in found["client-classes"] if "UNKNOWN" in one["test"])
    assert stranger["valid-lifetime"] == 120
    assert found["match-client-id"] is False


def test_a_subnet_that_is_attached_names_its_interface_and_one_behind_a_relay_does_not():
    """A client's link-local address says nothing of its subnet."""
    near, far = _config(6, NET, FAR)["subnet6"]
    assert near["interface"] == "eth1"
    assert "interface" not in far


def test_router_and_servers_are_those_of_the_network():
    """Behind a relay the loaders still come from an address of ours."""
    near, far = _config(4, NET, FAR)["subnet4"]
    options = {one["name"]: one["data"] for one in near["option-data"]}
    assert (options["routers"], options["domain-name-servers"]) == ("10.0.0.254", "10.0.0.1")
    assert (near["next-server"], far["next-server"]) == ("10.0.0.1", "10.0.0.1")
    assert "routers" not in {one["name"] for one in far["option-data"]}


@pytest.mark.parametrize("family", [4, 6])
def test_only_provisioning_networks_ask_for_the_classes_that_boot(family):
    """Each class holds only where a subnet asks for it; others get no boot files and no address of the boot API."""
    found = _config(family, NET, STORAGE, only=("prov", "storage"))
    boots, other = found[f"subnet{family}"]
    stranger, *classes = found["client-classes"]
    assert "only-if-required" not in stranger
    assert all(one["only-if-required"] for one in classes)
    assert boots["require-client-classes"] == [one["name"] for one in classes]
    assert boots["require-client-classes"][0] == "racksalt-ipxe", "the others look whether it is"
    assert not {"require-client-classes", "next-server"} & set(other)
    assert "option-data" not in found
    urls = ["racksalt-url" in {it["name"] for it in one["option-data"]} for one in (boots, other)]
    assert urls == [family == 4, False]


@pytest.mark.parametrize(("family", "tftp"), [(4, True), (4, False), (6, True), (6, False)])
def test_loaders_over_tftp_are_named_where_tftp_serves_them(family, tftp):
    """``dhcp.tftp: false`` takes them away, and only them."""
    text = json.dumps(_config(family, NET, tftp=tftp)["client-classes"])
    name = "tftp://[fd00::1]/x86_64/ipxe.efi" if family == 6 else '"x86_64/ipxe.efi"'
    assert (name in text) == tftp
    assert "/images/x86_64/ipxe.efi" in text


def test_behind_a_relay_there_is_no_tftp_over_ipv6():
    """We have no address in that network."""
    near, far = _config(6, NET, FAR)["subnet6"]
    assert "racksalt-efi-x86-64-prov" in near["require-client-classes"]
    assert not [one for one in far["require-client-classes"] if "efi" in one]


def test_no_lease_is_preferred_beyond_its_life():
    """A client drops such an address (RFC 8415 section 21.6)."""
    found = _config(6, NET)
    assert found["client-classes"][0]["preferred-lifetime"] == 120
    assert found["preferred-lifetime"] == found["valid-lifetime"]


def test_no_configuration_ever_holds_a_token():
    """What a rogue client may get holds nothing that another could use."""
    text = json.dumps([_config(4, NET), _config(6, NET)])
    assert "token" not in text.lower()


def test_a_setting_cannot_write_configuration_of_its_own():
    """As with dnsmasq."""
    with pytest.raises(SettingsError, match="cannot stand"):
        _config(4, NET, folder='/x"y')


def test_a_nic_has_one_row_for_each_network_with_both_families():
    """Addresses that no NIC holds, and networks that are not served, have none."""
    rows = [
        Reservation("n1", "n1.example.net", "live", MAC, "prov", "10.0.0.20", 4),
        Reservation("n1", "n1.example.net", "live", MAC, "prov", "fd00::20", 6),
        Reservation("n1", "n1.example.net", "live", MAC, "far", "fd09::20", 6),
        Reservation("n1", "n1.example.net", "live", None, "prov", "10.0.0.21", 4),
    ]
    found = host_rows(wanted([NET, FAR], rows))
    ids = subnet_ids([NET, FAR])
    assert set(found) == {(MAC, ids["prov"]), (MAC, ids["far"])}
    row = found[MAC, ids["prov"]]
    assert (row.ipv4, row.ipv6, row.label) == (0x0A000014, ("fd00::20",), "n1")
    assert found[MAC, ids["far"]].ipv4 is None
    assert set(host_rows(wanted([NET, FAR], rows, ["prov"]))) == {(MAC, ids["prov"])}
