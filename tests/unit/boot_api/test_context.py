"""What the endpoints share."""

from __future__ import annotations

import asyncio

import pytest

from racksalt.boot.identity import Known, claim, swapped
from racksalt.boot_api.context import Limits, is_loopback, sort_out
from racksalt.boot_api.errors import RateLimitedError
from tests.support.boot_site import a_site
from tests.support.builders import a_node

UUID = "4c4c4544-0051-3010-8057-b7c04f4d3533"


@pytest.mark.parametrize(
    ("address", "here"),
    [
        *(("127.0.0.1", True), ("127.3.2.1", True), ("::1", True)),
        *(("10.0.0.1", False), ("12.7.0.1", False), ("::12", False), ("::", False)),
        *(("", False), ("testclient", False)),
    ],
)
def test_requests_from_this_machine_are_told_apart(address, here):
    """Only loopback addresses are this machine."""
    assert is_loopback(address) is here


def test_this_machine_is_not_limited_by_address(tmp_path):
    """Whoever is on the machine itself is not slowed down; others are."""
    with a_site(tmp_path, limits=Limits(address_rate=1, address_burst=1)) as site:
        for _ in range(5):
            site.context.throttle("127.0.0.1")
        site.context.throttle("10.0.0.7")
        with pytest.raises(RateLimitedError):
            site.context.throttle("10.0.0.7")


def test_candidates_go_to_the_claims_that_share_a_mark():
    """Of one common look-up each machine gets the nodes that could be it, in any spelling."""
    n1 = Known(node="n1", macs=frozenset({"52:54:00:00:00:01"}), uuid=UUID, serial="Sn1")
    n2 = Known(node="n2", macs=frozenset({"52:54:00:00:00:02"}))
    claims = [
        claim("52:54:00:00:00:09", swapped(UUID)),
        claim("52:54:00:00:00:02", "", "SN1"),
        claim("52:54:00:00:00:04", "", "sn-1"),
        claim("52:54:00:00:00:03"),
    ]
    found = sort_out([n1, n2], claims)
    names = [[known.node for known in of_claim] for of_claim in found]
    assert names == [["n1"], ["n2", "n1"], ["n1"], []]


def test_identities_are_found_however_they_were_written(tmp_path):
    """A UUID in capitals or the other byte order, as an inventory may have it, is found."""
    with a_site(tmp_path) as site:
        site.declare("n1", "52:54:00:00:00:01", UUID.upper(), "SN1")
        site.declare("n2", "52:54:00:00:00:02", swapped(UUID), "SN2")

        async def ask():
            return await site.context.identify.get(claim("52:54:00:00:00:03", UUID))

        assert {known.node for known in asyncio.run(ask())} == {"n1", "n2"}


def test_a_state_that_is_no_more_is_held(tmp_path):
    """A node in a state that a site's change removed waits instead of booting something."""
    with a_site(tmp_path) as site:
        assert site.context.boots(a_node(state="installing")) == "installer"
        assert site.context.boots(a_node(state="no_such_state")) == "hold"


def test_a_node_on_its_own_disk_stays_there(tmp_path):
    """What the node boots counts, not the name of its state: a problem is no reason to take it down."""
    with a_site(tmp_path) as site:
        assert site.context.boots(a_node(state="problem", boot_environment="local")) == "local"
        assert site.context.boots(a_node(state="problem", boot_environment="hold")) == "hold"
        assert site.context.boots(a_node(state="problem", boot_environment="live")) == "hold"
