"""What a booted node may ask and report."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from racksalt.boot import tokens
from racksalt.boot_api.context import Limits
from racksalt.boot_api.nodes import public
from racksalt.model.node import Disk, Hardware, Nic
from tests.support.boot_site import BASE, FINGER, SECRET, TTL_S, a_site

MAC, UUID, SERIAL = "52:54:00:00:00:01", "4c4c4544-0051-3010-8057-b7c04f4d3533", "SN1"
INVENTORY = {
    "serial": SERIAL,
    "system_uuid": UUID,
    "vendor": "Acme",
    "cpu_cores": 32,
    "memory_mib": 131072,
    "nics": [{"name": "eth0", "mac": MAC, "speed_mbps": 25000, "pxe": True}],
    "disks": [{"name": "sda", "serial": "D1", "size_gb": 960, "media": "ssd", "health": "ok"}],
}


@pytest.fixture
def site(tmp_path):
    """Give a site where the light node n1 has booted live for commissioning."""
    layers = {"ntp": {"servers": ["10.0.0.1"], "api_key": "k"}, "secret_sauce": "x", "dns": ["a"]}
    with a_site(tmp_path, effective=lambda _node: layers) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True, agent="light", fqdn="n1.example")
        boot(found)
        yield found


def boot(site, address="10.0.0.7"):
    """Let n1 ask for its script."""
    site.client(address).get("/v1/boot/script", params={"mac": MAC, "uuid": UUID, "serial": SERIAL})


def call(site, method, path, *, node="n1", token=None, body=None, raw=None):
    """Send a request with n1's present token, or another."""
    token = site.token("n1") if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    return site.client().request(
        method, f"/v1/nodes/{node}/{path}", headers=headers, content=content
    )


def report(site, event, report_id="r1", token=None, **data):
    """Send one report of n1."""
    body = {"id": report_id, "event": event, "data": data}
    return call(site, "POST", "reports", token=token, body=body)


def finish(site, state):
    """Let every stage of n1's present sequence succeed."""
    for _ in range(20):
        if site.store.node("n1").state != state:
            return
        site.happen("n1", "stage_succeeded", "jobs")
    raise AssertionError(f"still {state}")


def to_installing(site):
    """Bring n1 to the installer, as commissioning does; return its token there."""
    site.happen("n1", "agent_answered", "jobs")
    finish(site, "commissioning")
    boot(site)
    assert site.store.node("n1").boot_environment == "installer"
    return site.token("n1")


def test_an_inventory_is_acknowledged_after_it_is_written(site):
    """The answer names the journal number, and what was reported can be read back."""
    answer = report(site, "inventory_reported", **INVENTORY)
    assert answer.status_code == 200
    assert answer.json() == {
        "seq": site.store.head(),
        "state": "commissioning",
        "kind": "transition",
    }
    assert site.store.parts(Hardware, "n1")[0].memory_mib == 131072
    assert [nic.mac for nic in site.store.parts(Nic, "n1")] == [MAC]
    assert [disk.size_gb for disk in site.store.parts(Disk, "n1")] == [960]


def test_a_repeated_report_has_one_effect(site):
    """The same report id of the same boot is answered with the first journal number."""
    first = report(site, "inventory_reported", **INVENTORY).json()
    head = site.store.head()
    again = report(site, "inventory_reported", **INVENTORY).json()
    assert again == {"seq": first["seq"], "state": "commissioning", "kind": "repeated"}
    assert site.store.head() == head


def test_a_light_agent_walks_its_stages(site):
    """A light agent answers, then reports the outcome of the job that it was given."""
    assert report(site, "agent_answered").json()["state"] == "commissioning"
    node = site.store.node("n1")
    outcome = {"stage": node.stage, "jid": node.job}
    assert report(site, "stage_succeeded", "r2", **outcome).json()["kind"] == "transition"
    assert site.store.node("n1").stage != node.stage


def test_the_outcome_of_another_job_is_only_noted(site):
    """A late outcome of an older job moves nothing."""
    report(site, "agent_answered")
    answer = report(site, "stage_failed", "r2", stage="inventory", jid="2" * 20)
    assert answer.json()["kind"] == "noted"


def test_progress_is_noted_and_decides_nothing(site):
    """Progress is for people: a line in the journal, the state stays."""
    answer = report(site, "progress", stage="burn_in", percent=40, message="memory pass 2")
    assert answer.json()["kind"] == "noted"
    assert site.store.history("n1")[0].message == "burn_in, 40 %, memory pass 2"


def test_a_salt_minion_reports_no_stage_outcome(tmp_path):
    """Outcomes of a minion's jobs come from the job cache alone."""
    with a_site(tmp_path) as site:
        site.declare("n1", MAC, UUID, SERIAL, approved=True)
        boot(site)
        answer = report(site, "stage_succeeded", stage="inventory", jid="1" * 20)
        assert answer.status_code == 422
        assert "inventory_reported, progress" in answer.json()["hint"]
        assert "reports no event" in site.refusals("n1")[0]


def test_an_event_that_the_state_does_not_accept_is_a_conflict(site):
    """The answer names state, event and what would be accepted; the same report again is only one taken in before."""
    site.happen("n1", "deadline_passed", "clock")
    with site.store.write() as tx:
        node = site.store.node("n1")
        tx.update_nodes([(replace(node, state="commissioned", version=99), node.version)])
    answer = report(site, "agent_answered")
    assert answer.status_code == 409
    assert answer.json()["code"] == "illegal_event"
    again = report(site, "agent_answered")
    assert (again.status_code, again.json()["kind"]) == (200, "repeated")
    assert again.json()["state"] == "commissioned"


@pytest.mark.parametrize(
    ("raw", "status", "told"),
    [
        (b"{", 422, "cannot be read"),
        (b"[1]", 422, "cannot be read"),
        (b'{"event": 7}', 422, "cannot be read"),
        (b'{"id": "a b", "event": "progress"}', 422, "cannot be read"),
        (b'{"id": "a", "event": "become_root"}', 422, "reports no event"),
        (b'{"id": "a", "event": "progress", "extra": 1}', 422, "unknown field"),
        (b'{"id": "a", "event": "progress", "data": {"percent": 101}}', 422, "percent"),
        (b'{"id": "a", "event": "inventory_reported", "data": {"nics": []}}', 422, "nics"),
        (b"\xff\xfe", 422, "cannot be read"),
        (b"x" * 300_000, 413, "larger than 256 KiB"),
    ],
)
def test_a_malformed_report_says_what_is_wrong_and_is_journalled(site, raw, status, told):
    """Each refusal has its status, code and reason, for the node and for the journal."""
    answer = call(site, "POST", "reports", raw=raw)
    assert answer.status_code == status
    assert told in answer.json()["message"]
    assert set(answer.json()) == {"code", "message", "hint"}
    assert told in site.refusals("n1")[0]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _site: "", "no boot token"),
        (lambda _site: "junk", "not the token"),
        (lambda site: site.token("n1", generation=2), "not the token"),
        (lambda site: site.token("n1", environment="installer"), "not the token"),
        (lambda _site: tokens.derive(SECRET, "n2", 1, "live"), "not the token"),
        (lambda _site: tokens.derive(b"x" * 32, "n1", 1, "live"), "not the token"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "reports"), ("GET", "parameters"), ("POST", "enrolment")]
)
def test_a_wrong_token_opens_nothing_and_is_journalled(site, method, path, make, why):
    """Nothing is told or taken without the token of the node's present boot."""
    token = make(site)
    answer = call(site, method, path, token=token, body={} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "boot_token_refused"
    assert why in site.refusals("n1")[0]
    assert token == "" or token not in answer.text + "".join(site.refusals("n1"))


def test_the_token_of_an_older_boot_is_refused_as_such(site):
    """A replayed token of an earlier boot is named for what it is."""
    old = site.token("n1")
    site.now += TTL_S + 1
    boot(site)
    assert site.store.node("n1").boot == 2
    answer = report(site, "progress", token=old)
    assert answer.status_code == 401
    assert "is of boot 1 (live), which is over" in answer.json()["message"]


def test_an_expired_token_is_refused(site):
    """A token's time ends by itself."""
    site.now += TTL_S
    assert "has expired" in report(site, "progress").json()["message"]


def test_the_report_of_a_stage_that_outlasts_its_token_is_refused_clearly(site):
    """Too late is told as such, journalled, and moves nothing; the job can still be looked up."""
    report(site, "agent_answered")
    before = site.store.node("n1")
    site.now += 5 * TTL_S
    outcome = {"stage": before.stage, "jid": before.job}
    for event in ("stage_succeeded", "stage_failed"):
        answer = report(site, event, f"late-{event}", **outcome)
        assert (answer.status_code, answer.json()["code"]) == (401, "boot_token_refused")
        assert "boot 1 has expired, 14400 s ago" in answer.json()["message"]
        assert "boot_api.token_ttl_s" in answer.json()["hint"]
    assert site.refusals("n1") == [answer.json()["message"]] * 2
    assert site.store.node("n1") == before
    # No new token for the asking either: this boot has proven itself.
    boot(site)
    assert report(site, "stage_succeeded", "again", **outcome).status_code == 401
    site.happen("n1", "stage_succeeded", "jobs", jid=before.job)
    assert site.store.node("n1").stage != before.stage


@pytest.mark.parametrize("token", ["", "junk", "00" * 32])
def test_an_unknown_node_is_refused_like_a_known_one(site, token):
    """The answer does not tell which nodes exist; the reason is in a known node's journal, and no other is written."""
    known, unknown = (call(site, "GET", "parameters", node=n, token=token) for n in ("n1", "n7"))
    assert known.status_code == 401
    told = [(it.status_code, it.headers.items(), it.content) for it in (known, unknown)]
    assert told[0] == told[1]
    assert site.refusals("n1") == [known.json()["message"]]
    assert call(site, "GET", "parameters", node="..%2F..%2Fn1").status_code in {401, 404}
    assert site.refusals("n7") == []


def test_parameters_tell_a_node_its_own_and_no_secret(site):
    """A booted system learns its place, its master and its configuration; secrets stay out."""
    told = call(site, "GET", "parameters").json()
    assert told["node"] == "n1"
    assert told["fqdn"] == "n1.example"
    assert (told["boot"], told["environment"], told["stage"]) == (1, "live", "inventory")
    assert told["master"] == {
        "host": "127.0.0.1",
        "port": 4506,
        "publish_port": 4505,
        "finger": FINGER,
    }
    assert told["reports_url"] == f"{BASE}/v1/nodes/n1/reports"
    assert told["configuration"] == {"ntp": {"servers": ["10.0.0.1"]}, "dns": ["a"]}
    assert site.token("n1") not in json.dumps(told)


def test_references_to_secrets_are_left_out_at_any_depth():
    """Neither a secret nor the place where it is kept goes out to a boot environment."""
    values = {"a": [{"password": "p", "b": 1}, "sdb://vault/x"], "c": "env:HOME", "d": {"e": 2}}
    assert public(values) == {"a": [{"b": 1}], "d": {"e": 2}}


@pytest.mark.parametrize(
    "value",
    ["sdb://vault/x", "env:PROXY", "-----BEGIN PGP MESSAGE-----\nx", "http://u:hunter4@proxy:3128"],
)
def test_a_part_of_the_configuration_that_is_a_reference_is_left_out(tmp_path, value):
    """A secret right below one of the served keys goes out no more than one further down."""
    with a_site(tmp_path, effective=lambda _node: {"proxy": value, "dns": ["a"]}) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True)
        boot(found)
        assert call(found, "GET", "parameters").json()["configuration"] == {"dns": ["a"]}


def test_the_site_is_read_beside_the_event_loop(tmp_path):
    """A large site that was edited is read anew first: meanwhile all other machines are answered."""

    def effective(_node):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return {"dns": ["a"]}

    with a_site(tmp_path, effective=effective) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True)
        boot(found)
        assert call(found, "GET", "parameters").json()["configuration"] == {"dns": ["a"]}


def test_the_installer_gets_the_token_for_the_first_boot_of_the_system(site):
    """While it is being installed, a node gets the token that its own disk will prove itself with."""
    token = to_installing(site)
    answer = call(site, "POST", "enrolment", token=token, body={}).json()
    boots = {(b.generation, b.environment): b for b in site.store.boots("n1")}
    issued = boots[site.store.node("n1").boot, "local"]
    assert answer["token"] == tokens.derive(SECRET, "n1", issued.generation, "local")
    assert answer["expires_at"] == issued.expires_at


def test_a_site_that_installs_in_the_live_system_gets_the_token_there(tmp_path):
    """What counts is that the node is being installed, not the name of the system that does it."""
    stages = {name: {"environment": "live"} for name in ("partition", "image", "configure")}
    with a_site(tmp_path, additions={"stages": stages}) as found:
        found.declare("n1", MAC, UUID, SERIAL, approved=True, agent="light")
        boot(found)
        assert call(found, "POST", "enrolment", body={}).status_code == 403
        found.happen("n1", "agent_answered", "jobs")
        finish(found, "commissioning")
        assert found.store.node("n1").boot_environment == "live"
        assert call(found, "POST", "enrolment", body={}).status_code == 200


def test_asking_for_the_enrolment_token_twice_gives_the_same(site):
    """A lost answer can be asked for again."""
    token = to_installing(site)
    first, second = (call(site, "POST", "enrolment", token=token, body={}) for _ in range(2))
    assert first.json() == second.json()


def test_outside_of_an_installation_there_is_no_enrolment_token(site):
    """The live environment cannot have the token of the installed system."""
    answer = call(site, "POST", "enrolment", body={})
    assert answer.status_code == 403
    assert "no enrolment token in environment 'live'" in site.refusals("n1")[0]


def test_the_installed_system_may_report_with_its_enrolment_token(site):
    """After the installation the token of the node's own disk is the good one."""
    token = to_installing(site)
    local = call(site, "POST", "enrolment", token=token, body={}).json()["token"]
    finish(site, "installing")
    assert site.store.node("n1").state == "enrolling"
    assert report(site, "progress", token=token).status_code == 401
    assert report(site, "agent_answered", token=local).json()["state"] == "ready"


def test_a_flood_of_refusals_costs_a_bounded_number_of_rows(tmp_path):
    """Five refusals a minute are journalled, the rest becomes one summary."""
    with a_site(tmp_path) as site, site.client() as client:
        site.declare("n1", MAC, UUID, SERIAL, approved=True)
        boot(site)
        for _ in range(40):
            client.get("/v1/nodes/n1/parameters", headers={"Authorization": "Bearer junk"})
        assert len(site.refusals("n1")) == 5
        site.now += 61
        client.portal.call(site.context.summarise)
        assert site.refusals("n1")[5:] == ["35 more refusals in 60 s, not listed one by one"]


def test_too_many_requests_are_told_when_to_come_back(tmp_path):
    """The limit per address answers 429 with Retry-After."""
    with a_site(tmp_path, limits=Limits(address_rate=0.5, address_burst=2)) as site:
        site.declare("n1", MAC, approved=True)
        boot(site)
        assert call(site, "GET", "parameters").status_code == 200
        answer = call(site, "GET", "parameters")
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert answer.headers["retry-after"] == "2"


def test_a_node_cannot_fill_the_journal_with_good_reports(tmp_path):
    """Even an authenticated node has a bounded rate of reports."""
    with a_site(tmp_path, limits=Limits(node_rate=1, node_burst=3)) as site:
        site.declare("n1", MAC, approved=True)
        boot(site)
        codes = [report(site, "progress", f"r{i}").status_code for i in range(5)]
        assert codes == [200, 200, 200, 429, 429]
