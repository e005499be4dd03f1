"""What a machine that boots from the network is told."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlparse

import pytest

from racksalt.boot_api.context import Limits
from racksalt.model.node import Hardware
from tests.support.boot_site import BASE, FINGER, TTL_S, a_site, kernel_values

MAC, UUID, SERIAL = "52:54:00:00:00:01", "4c4c4544-0051-3010-8057-b7c04f4d3533", "SN1"
WHO = {"mac": MAC, "uuid": UUID, "serial": SERIAL, "arch": "x86_64"}


@pytest.fixture
def site(tmp_path):
    """Give a site that declares and has approved n1."""
    with a_site(tmp_path) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True)
        yield found


def ask(site, address="10.0.0.7", **query):
    """Return the script for a request; every answer is one."""
    answer = site.client(address).get("/v1/boot/script", params=query or WHO)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert lines[0] == "#!ipxe"
    assert lines[-1] == "exit"
    return answer.text


def is_hold(script):
    """Say whether the script waits and asks again."""
    return "\nsleep 15\n" in script and "kernel " not in script and "sanboot" not in script


def is_local(script):
    """Say whether the script boots the machine's own disk."""
    return "sanboot --no-describe --drive 0x80 || exit" in script and "kernel " not in script


def is_now(site, name="n1", **fields):
    """Write a node's row as it is to be."""
    node = site.store.node(name)
    with site.store.write() as tx:
        tx.update_nodes([(replace(node, **fields, version=node.version + 1), node.version)])


def asked_again(script):
    """Return the query that the script asks next."""
    line = next(x for x in script.splitlines() if x.startswith("chain --replace "))
    return {k: v[0] for k, v in parse_qs(urlparse(line.split()[2]).query).items()}


def test_the_first_boot_of_a_known_node_brings_its_token(site):
    """A declared, approved node boots live, with the token of the boot that begins with it."""
    values = kernel_values(ask(site))
    node = site.store.node("n1")
    assert (node.state, node.boot, node.boot_environment) == ("commissioning", 1, "live")
    assert values["racksalt.node"] == "n1"
    assert values["racksalt.boot"] == "1"
    assert values["racksalt.environment"] == "live"
    assert values["racksalt.token"] == site.token("n1")
    assert values["racksalt.url"] == BASE
    assert values["racksalt.master_finger"] == FINGER


@pytest.mark.parametrize("mac", ["52-54-00-00-00-01", "525400000001", "52:54:00:00:00:01"])
def test_every_spelling_of_the_mac_is_the_same_node(site, mac):
    """The MAC may come with colons, hyphens or neither."""
    assert kernel_values(ask(site, **{**WHO, "mac": mac}))["racksalt.node"] == "n1"


@pytest.mark.parametrize("spelt", ["ABC 123-X", "abc123x", "ABC123X"])
def test_a_node_is_found_by_its_serial_number_however_it_is_spelt(site, spelt):
    """A node that the files declare by a serial number alone is that machine, in the spelling of its firmware."""
    node = replace(site.store.node("n1"), id="n2")
    with site.store.write() as tx:
        tx.add_nodes([node])
        tx.put([Hardware(node="n2", serial=spelt)])
    for said in ("ABC123X", "abc 123-x ", "ABC-123-X"):
        script = ask(site, **{**WHO, "mac": "52:54:00:12:34:56", "uuid": "", "serial": said})
        assert kernel_values(script)["racksalt.node"] == "n2"
    assert site.store.count("nodes") == 2


def test_hardware_that_the_next_stage_reads_is_not_read_twice(site):
    """A live system that boots for the stage inventory is told to leave it to that; any other tells it by itself."""
    assert kernel_values(ask(site))["racksalt.inventory"] == "no"
    is_now(site, stage="firmware")
    assert "racksalt.inventory" not in kernel_values(ask(site))


def test_the_architecture_chooses_the_images(site):
    """An arm64 machine gets the kernel of its own architecture."""
    assert f"kernel {BASE}/i/arm64/vmlinuz " in ask(site, **{**WHO, "arch": "arm64"})


def test_the_same_address_gets_the_same_token_again(site):
    """A machine that resets during its boot is not locked out."""
    assert kernel_values(ask(site)) == kernel_values(ask(site))
    assert site.store.boots("n1")[0].taken_by == "10.0.0.7"


def test_another_address_does_not_get_the_token(site):
    """The token goes to whom asked first; the second is held, and the journal says so."""
    token = kernel_values(ask(site))["racksalt.token"]
    script = ask(site, address="10.0.0.66")
    assert is_hold(script)
    assert token not in script
    assert "was handed to another address" in site.refusals("n1")[0]


def test_a_redeemed_token_is_not_handed_out(site):
    """When the boot has proven itself, its token is not shown to anybody any more."""
    ask(site)
    site.happen(
        "n1", "key_proven", "keys", generation=1, environment="live", key_sha256="ab", boot=1
    )
    assert is_hold(ask(site))


def test_an_expired_boot_gives_way_to_a_new_one(site):
    """A node that comes back after its token's time gets a new boot with a new token."""
    first = kernel_values(ask(site))
    site.now += TTL_S + 1
    second = kernel_values(ask(site))
    assert (first["racksalt.boot"], second["racksalt.boot"]) == ("1", "2")
    assert first["racksalt.token"] != second["racksalt.token"]


def test_a_node_that_is_to_wait_is_held(site):
    """Where the state gives nothing to boot, the machine waits and asks again by itself."""
    site.happen("n1", "retire")
    script = ask(site)
    assert is_hold(script)
    assert asked_again(script) == {
        "mac": "52-54-00-00-00-01",
        "uuid": UUID,
        "serial": SERIAL,
        "arch": "x86_64",
        "held": "1",
    }


def test_a_held_machine_does_not_fill_the_journal(site):
    """The first request is an event; asking again while nothing has changed is none."""
    site.happen("n1", "retire")
    query = asked_again(ask(site))
    head = site.store.head()
    for _ in range(20):
        assert is_hold(ask(site, **query))
    assert site.store.head() == head


def test_a_held_machine_goes_on_as_soon_as_its_state_allows(site):
    """Polling from the hold script brings the new boot without a reset."""
    site.happen("n1", "retire")
    query = asked_again(ask(site))
    site.happen("n1", "commission")
    assert kernel_values(ask(site, **query))["racksalt.environment"] == "live"


def test_an_imposter_is_held_and_journalled(site):
    """A known MAC with another serial or UUID gets no token; the journal says what differs."""
    script = ask(site, **{**WHO, "serial": "SN2"})
    assert is_hold(script)
    assert site.store.node("n1").state == "declared"
    assert "serial number is SN2, but n1 has SN1" in site.refusals("n1")[0]


def test_a_replaced_nic_makes_no_new_node(site):
    """A machine whose UUID and serial are known keeps its id behind a new MAC."""
    values = kernel_values(ask(site, **{**WHO, "mac": "52:54:00:00:00:99"}))
    assert values["racksalt.node"] == "n1"
    assert [node.id for node in site.store.nodes()] == ["n1"]


def test_an_unknown_machine_is_discovered(site):
    """A machine that nobody declared becomes a node named after its MAC, on the live environment."""
    values = kernel_values(ask(site, mac="52:54:00:00:00:55", uuid="", serial="X9Z"))
    assert values["racksalt.node"] == "node-525400000055"
    assert site.store.node("node-525400000055").state == "discovering"


def test_a_second_machine_with_the_uuid_of_a_first_is_another_node(site):
    """One UUID on two boards: serial and MAC tell them apart."""
    values = kernel_values(ask(site, mac="52:54:00:00:00:56", uuid=UUID, serial="SN2"))
    assert values["racksalt.node"] == "node-525400000056"


def test_beyond_the_limit_unknown_machines_are_held_and_journalled_once_a_minute(tmp_path):
    """A flood of made-up MACs makes neither nodes nor a full journal."""
    with a_site(tmp_path, discovery_limit=1) as site:
        assert "kernel " in ask(site, mac="52:54:00:00:01:01")
        for _ in range(5):
            assert is_hold(ask(site, mac="52:54:00:00:01:02"))
        assert len(site.refusals("node-525400000102")) == 1
        site.now += 61
        assert is_hold(ask(site, mac="52:54:00:00:01:02"))
        assert len(site.refusals("node-525400000102")) == 2
        assert [node.id for node in site.store.nodes()] == ["node-525400000101"]


def test_unknown_machines_take_turns(tmp_path):
    """More unknown MACs than the cap allows are held, without a row in the journal."""
    with a_site(tmp_path, limits=Limits(unknown_rate=1, unknown_burst=2)) as site:
        scripts = [ask(site, mac=f"52:54:00:00:01:0{i}") for i in range(4)]
        assert [is_hold(script) for script in scripts] == [False, False, True, True]
        assert len(site.store.nodes()) == 2
        site.now += 1
        assert not is_hold(ask(site, mac="52:54:00:00:01:03"))


def test_an_address_that_asks_too_often_is_held(tmp_path):
    """The limit answers with a script as well, never with an error that leaves a dead prompt."""
    with a_site(tmp_path, limits=Limits(address_rate=1, address_burst=1)) as site:
        ask(site, mac=MAC)
        script = ask(site, mac=MAC)
        assert is_hold(script)
        assert "too many requests from 10.0.0.7" in script


def test_a_boot_loop_does_not_fill_the_journal(site):
    """A machine that resets again and again gets its script, and one row a minute in the journal."""
    first = ask(site)
    assert [ask(site) for _ in range(30)] == [first] * 30
    assert site.store.head() == 1
    site.now += 61
    assert ask(site) == first
    assert site.store.head() == 2


def test_who_does_not_say_who_it_is_is_asked(site):
    """A request without a MAC gets the script that fills in iPXE's own variables."""
    script = site.client().get("/v1/boot/script").text
    assert "mac=${mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}&arch=${buildarch}" in script


@pytest.mark.parametrize(
    "query",
    [
        {"mac": "junk"},
        {"mac": "ff:ff:ff:ff:ff:ff"},
        {"mac": MAC, "arch": "riscv64"},
        {"mac": "${mac:hexhyp}"},
        {"mac": "x" * 5000},
    ],
)
def test_a_malformed_request_is_held_with_the_reason(site, query):
    """What cannot be read makes no event, and the console says why."""
    script = ask(site, **query)
    assert is_hold(script)
    assert site.store.head() == 0


def test_what_a_machine_claims_cannot_rewrite_its_script(site):
    """A serial number with iPXE's own syntax comes back encoded or not at all."""
    site.happen("n1", "retire")
    evil = "SN1\nshell ${x} && reboot || #"
    script = ask(site, mac=MAC, serial=evil, uuid="${uuid}")
    assert "\nshell" not in script
    assert "${x}" not in script
    assert is_hold(ask(site, mac="52:54:00:00:00:77", serial=evil)) is False


def test_a_ready_node_boots_its_own_disk(site):
    """Ready nodes are sent to their disk; on UEFI by way of a loader."""
    is_now(site, state="ready", boot=3, boot_environment="local")
    script = ask(site)
    assert is_local(script)
    assert f"chain --replace {BASE}/i/x86_64/local.efi ||" in script
    assert "racksalt.token" not in script


def test_a_node_with_a_problem_goes_on_from_its_own_disk(site):
    """A node that ran from its disk when its problem arose is not held when it starts again."""
    is_now(site, state="problem", origin="booting", boot=3, boot_environment="local")
    assert is_local(ask(site))
    assert is_local(ask(site, **WHO, held="1"))
    is_now(site, state="problem", origin="installing", boot=3, boot_environment="hold")
    assert is_hold(ask(site))


def test_a_broken_database_holds_the_machine(site, tmp_path):
    """When nothing can be looked up, the machine waits instead of stopping."""
    site.store.engine.dispose()
    for file in tmp_path.iterdir():
        file.write_bytes(b"not a database" * 1000)
    assert is_hold(ask(site))
