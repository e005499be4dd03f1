"""Forged boot requests: what they cannot do to nodes, to the journal, and to other machines."""

from __future__ import annotations

import asyncio

import pytest

from racksalt.boot_api.context import NOBODY, Limits
from racksalt.model.node import Hardware, Nic
from tests.support.boot_site import a_site, kernel_values
from tests.unit.boot_api.test_nodes import call
from tests.unit.boot_api.test_pxe import MAC, SERIAL, UUID, WHO, ask, is_hold, is_local, is_now

STRANGER = "10.0.0.66"


@pytest.fixture
def site(tmp_path):
    """Give a site that declares and has approved n1."""
    with a_site(tmp_path) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True)
        yield found


def rows(site, node="n1"):
    """Return how many entries a node has in the journal."""
    return len(site.store.history(node, limit=10_000))


def test_a_mac_from_the_wire_gets_no_token(site):
    """Where UUID or serial are on record, who knows the MAC alone is held and journalled."""
    for query in ({"mac": MAC}, {"mac": MAC, "serial": "None", "uuid": "0" * 36}):
        assert is_hold(ask(site, STRANGER, **query))
    assert site.store.node("n1").boot == 0
    assert "serial number is not told" in site.refusals("n1")[0]
    assert kernel_values(ask(site))["racksalt.node"] == "n1"


def test_a_mac_is_enough_where_nothing_else_is_known(tmp_path):
    """A node that was declared by its MAC boots; there is nothing yet to compare."""
    with a_site(tmp_path) as site:
        site.declare("n1", MAC, approved=True)
        assert kernel_values(ask(site, mac=MAC))["racksalt.node"] == "n1"


def haunt(site, **claimed):
    """Let an unknown machine boot and report an inventory of its choice; return its node's id."""
    ghost = {"mac": "52:54:00:00:00:66", "serial": "GH0ST"}
    values = kernel_values(ask(site, STRANGER, **ghost))
    body = {"id": "r1", "event": "inventory_reported", "data": claimed}
    node = values["racksalt.node"]
    answer = call(site, "POST", "reports", node=node, token=values["racksalt.token"], body=body)
    assert answer.status_code == 200
    return node


def test_a_ghost_does_not_lock_a_node_out(site):
    """A machine that reports the UUID, serial and MACs of a node is parked, and keeps the node from nothing."""
    free = "52:54:00:00:00:02"
    nics = [{"name": "eth0", "mac": MAC}, {"name": "eth1", "mac": free}]
    ghost = haunt(site, serial=SERIAL, system_uuid=UUID, nics=nics)
    assert site.store.node(ghost).state == "problem"
    assert kernel_values(ask(site))["racksalt.node"] == "n1"
    is_now(site, state="ready", boot_environment="local")
    assert is_local(ask(site))
    # Nor did it take the MAC that no node has yet.
    other = kernel_values(ask(site, mac=free, uuid="", serial="SN2"))
    assert other["racksalt.node"] == "node-525400000002"


def test_a_machine_that_the_policy_approves_gets_all_its_macs(tmp_path):
    """Whoever is approved by the same report is no stranger any more."""
    with a_site(tmp_path, vouch=True) as site:
        nics = [{"name": f"eth{i}", "mac": f"52:54:00:00:00:6{i}"} for i in (6, 7)]
        node = haunt(site, serial="GH0ST", nics=nics)
        assert [nic.mac for nic in site.store.parts(Nic, node)] == [nic["mac"] for nic in nics]


@pytest.mark.parametrize("strangers", [1, 40])
def test_forged_requests_keep_no_node_from_booting(site, strangers):
    """Whoever floods requests in a node's name uses up no budget but their own."""
    token = kernel_values(ask(site))["racksalt.token"]
    for number in range(120):
        assert is_hold(ask(site, f"10.0.1.{number % strangers}", **WHO))
    assert kernel_values(ask(site))["racksalt.token"] == token
    site.now += 61
    assert kernel_values(ask(site))["racksalt.token"] == token
    is_now(site, state="enrolling", boot=2, boot_environment="local")
    assert is_local(ask(site))


def test_over_the_limit_a_node_still_boots_its_own_disk(tmp_path):
    """What a flood costs a ready node is a line in the journal, not its boot."""
    with a_site(tmp_path, limits=Limits(boot_rate=0.01, boot_burst=2)) as site:
        site.declare("n1", MAC, UUID, SERIAL, approved=True)
        for number in range(20):
            is_now(site, state="ready", boot=3, boot_environment="local")
            assert is_local(ask(site, f"10.0.1.{number}", **WHO))
        assert rows(site) == 2
        assert site.store.node("n1").state == "ready"


def test_one_boot_of_a_ready_node_is_one_event(site):
    """However often its script is asked for, a ready node leaves its state once."""
    is_now(site, state="ready", boot=3, boot_environment="local")
    for _ in range(10):
        assert is_local(ask(site))
    assert site.store.node("n1").state == "booting"
    assert rows(site) == 1
    # It came up, and starts again: that is another boot.
    site.happen("n1", "agent_answered", "jobs")
    assert is_local(ask(site))
    assert site.store.node("n1").state == "booting"


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "booting", "boot_environment": "local"},
        {"state": "problem", "boot_environment": "hold", "origin": "installing"},
        {"state": "commissioned", "boot_environment": "hold"},
    ],
)
def test_requests_that_change_nothing_are_journalled_once_a_minute(site, fields):
    """A known node adds one row a minute for each address, and a few for all addresses together."""
    is_now(site, boot=3, **fields)
    for _ in range(15):
        ask(site)
        ask(site, STRANGER, **WHO)
    assert rows(site) == 2
    site.now += 61
    ask(site)
    assert rows(site) == 3
    for number in range(200):
        ask(site, f"10.0.{number}.1", **WHO)
    assert rows(site) <= 3 + 20


def test_a_machine_that_started_again_by_itself_is_noticed_from_its_hold_script(site):
    """A held machine whose token is spent makes the conductor look after its agent, once a minute."""
    ask(site)
    site.happen(
        "n1", "key_proven", "keys", generation=1, environment="live", key_sha256="ab", boot=1
    )
    before = rows(site)
    for _ in range(3):
        assert is_hold(ask(site, **WHO, held="1"))
        assert is_hold(ask(site, STRANGER, **WHO, held="1"))
    looked = [
        entry
        for entry in site.store.history("n1")
        if "check_agent" in entry.detail.get("effects", ())
    ]
    assert (len(looked), rows(site) - before) == (1, 1)
    site.now += 61
    ask(site, **WHO, held="1")
    assert rows(site) - before == 2


def test_made_up_macs_do_not_fill_the_journal_when_discovery_is_full(tmp_path):
    """Ten rows a minute for all of them, then one that says how many there were."""
    with a_site(tmp_path, discovery_limit=1) as site:
        assert not is_hold(ask(site, mac="52:54:00:00:01:01"))
        before = site.store.head()
        for number in range(100):
            assert is_hold(ask(site, mac=f"52:54:00:00:02:{number:02x}"))
        assert site.store.head() == before + 10
        site.now += 61
        asyncio.run(site.context.summarise())
        (summary,) = site.store.history(NOBODY)
        assert summary.message == "90 more unknown machines turned away in 60 s"
        # When there is room again, the next machine gets in, and many after it.
        is_now(site, "node-525400000101", approved=True)
        assert not is_hold(ask(site, mac="52:54:00:00:03:01"))


def test_when_there_is_room_again_all_of_it_is_used(tmp_path):
    """Only machines that are turned away are sampled, not those that are let in."""
    with a_site(tmp_path, discovery_limit=15) as site:
        for batch in range(3):
            for number in range(15):
                assert not is_hold(ask(site, mac=f"52:54:00:00:{batch:02x}:{number:02x}"))
            assert is_hold(ask(site, mac=f"52:54:00:00:{batch:02x}:ff"))
            for number in range(15):
                is_now(site, f"node-52540000{batch:02x}{number:02x}", approved=True)


def test_a_machine_does_not_become_the_node_that_its_nic_once_named(site):
    """A NIC that moved from an undeclared node to another machine brings that node's token to nobody."""
    named = {"mac": "52:54:00:00:00:07", "serial": "SN7"}
    node = kernel_values(ask(site, **named))["racksalt.node"]
    with site.store.write() as tx:
        nics = [Nic(id=f"{node}/new", node=node, name="a", mac="52:54:00:00:00:08")]
        tx.replace_parts([node], [Hardware(node=node, serial="SN7")], nics)
    assert is_hold(ask(site, STRANGER, **{**named, "serial": "SN9"}))
    assert "named after" in site.refusals(node)[0]
