"""Names and zones."""

from __future__ import annotations

import pytest

from racksalt.model.place import Network
from racksalt.network.names import label_of, name_on, reverse_zones, zones_of


def _network(purpose, domain):
    return Network(name="net", purpose=purpose, domain=domain)


@pytest.mark.parametrize(
    ("fqdn", "network", "name"),
    [
        ("web1.example.net", _network("provisioning", "z1.example.net"), "web1.example.net"),
        (None, _network("provisioning", "z1.example.net"), "n1.z1.example.net"),
        (None, _network("provisioning", None), "n1"),
        ("web1.example.net", _network("storage", "st.example.net"), "n1.st.example.net"),
        ("n1.example.net", _network("storage", "example.net"), "n1.net.example.net"),
        ("n1.example.net", _network("storage", None), None),
    ],
)
def test_a_nodes_own_name_belongs_to_its_provisioning_address(fqdn, network, name):
    """Elsewhere it is its id in the network's domain, so that no name leads to two networks."""
    assert name_on("n1", fqdn, network) == name


def test_the_label_is_what_stands_before_the_first_dot():
    """Of the declared name, else of the id."""
    assert label_of("n1", "web1.example.net") == "web1"
    assert label_of("n1.rack2", None) == "n1"


@pytest.mark.parametrize(
    ("cidr", "zones"),
    [
        ("10.0.0.0/8", ["10.in-addr.arpa"]),
        ("10.7.0.0/23", ["0.7.10.in-addr.arpa", "1.7.10.in-addr.arpa"]),
        ("10.7.1.0/24", ["1.7.10.in-addr.arpa"]),
        ("10.7.1.64/26", []),
        ("fd77::/64", ["0.0.0.0.0.0.0.0.0.0.0.0.7.7.d.f.ip6.arpa"]),
        ("fc00::/7", ["c.f.ip6.arpa", "d.f.ip6.arpa"]),
    ],
)
def test_reverse_zones_cover_the_subnet_and_nothing_else(cidr, zones):
    """A subnet between two steps is several zones; a part of the last step has none."""
    assert list(reverse_zones(cidr)) == zones


def test_each_zone_is_told_once():
    """Two networks of one domain share its zone."""
    networks = [
        Network(name="a", domain="example.net", cidr_v4="10.0.1.0/24"),
        Network(name="b", domain="example.net", cidr_v4="10.0.2.0/24"),
    ]
    zones = zones_of(networks)
    assert zones == ["example.net", "1.0.10.in-addr.arpa", "2.0.10.in-addr.arpa"]
