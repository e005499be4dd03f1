"""A network that a Salt state declares: one thing of a site, whose other nodes keep what the files give them."""

from __future__ import annotations

import pytest

from racksalt.conductor.desired import present
from racksalt.model.errors import InvalidInputError
from racksalt.model.node import Address, Bmc
from tests.support.sites import a_site
from tests.support.verbs import verbs_over

NETWORK = {"purpose": "provisioning", "zone": "z1", "cidr_v4": "10.0.0.0/24"}
BMC = {"protocol": "ipmi", "address": "10.9.0.1", "port": 623, "username": "u", "secret": "file:x"}


@pytest.fixture
def operations(store, tmp_path):
    """The verbs over a site with one node, whose address stands in a file and whose network has no ranges."""
    node = {"addresses": {"p1": ["10.0.0.9"]}, "bmc": BMC}
    folder = a_site(
        tmp_path, nodes={"n1": node}, networks={"p1": NETWORK}, policy={"approve": "manifest"}
    )
    with verbs_over(store, folder) as found:
        yield found


def test_a_network_takes_no_declared_address_from_a_node(store, operations):
    """Neither a change of the node's own network, nor one of another, whose nodes the state does not name."""
    before = store.parts(Address, "n1")
    assert [row.address for row in before] == ["10.0.0.9"]
    changes = present(operations, "networks", "p1", {**NETWORK, "mtu": 9000})
    assert changes == {"networks": ["p1"]}
    assert present(operations, "networks", "other", {"cidr_v4": "10.7.0.0/24"})
    assert store.parts(Address, "n1") == before


@pytest.mark.parametrize("test", [True, False])
def test_a_node_with_the_bmc_of_another_is_refused(store, operations, test):
    """The state fails, with what to do, and nothing is written; in test mode alike."""
    before = store.head()
    with pytest.raises(InvalidInputError, match="is the BMC of n1"):
        present(operations, "nodes", "web1", {"rack": "r1", "bmc": BMC}, test=test)
    assert (store.count("nodes"), store.head()) == (1, before)
    assert [row.node for row in store.all_of(Bmc)] == ["n1"]
