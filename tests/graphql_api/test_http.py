from __future__ import annotations

import logging
import re

import pytest
from starlette.testclient import TestClient

from graphql_api import execution
from graphql_api.app import create_app
from graphql_api.limits import Limits
from racksalt.model.errors import StoreError
from tests.support.waiting import wait_for

GRAPHQL = "application/graphql-response+json"
QUERY = "{zones{name racks{name}}}"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer nonsense",
        "Bearer rsk_0011223344556677.x",
        "Bearer " + "x" * 5000,
    ],
)
def test_nothing_is_answered_without_a_good_token(rig, header):
    """401, a challenge, and no hint of what was asked."""
    headers = {} if header is None else {"authorization": header}
    answer = rig.client.post("/graphql", json={"query": QUERY}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert rig.client.get("/graphql", params={"query": QUERY}, headers=headers).status_code == 401


def test_a_revoked_token_is_refused_once_it_is_looked_up_again(fresh):
    """What was remembered of a token is forgotten after seconds."""
    made = fresh.site.operations.token_create("short", ["topology:read"], 3600)
    headers = {"authorization": f"Bearer {made['secret']}"}
    send = lambda: fresh.client.post("/graphql", json={"query": QUERY}, headers=headers)  # noqa: E731
    assert send().status_code == 200
    fresh.site.operations.token_revoke(made["id"])
    now = fresh.services.gate._clock()
    fresh.services.gate._clock = lambda: now + 60
    assert send().status_code == 401


@pytest.mark.parametrize(
    ("scopes", "query"),
    [
        (("power:write",), QUERY),
        (("power:write",), "{nodes{totalCount}}"),
        (("node:write",), "{transitions{nodes{seq}}}"),
        (("token:write",), "{racks{totalCount} networks{name} nodeStates{count}}"),
    ],
)
def test_reading_needs_its_scope(rig, scopes, query):
    """Every root says which scope is missing."""
    answer = rig.post(query, scopes=scopes)
    assert answer["errors"][0]["extensions"] == {
        "code": "FORBIDDEN",
        "requiredScope": "topology:read",
    }


def test_the_status_follows_what_the_client_accepts(rig):
    """graphql-response+json gets 4xx for what was not run; plain JSON gets 200 and reads the errors."""
    bad = {"query": "{nothing}"}
    plain = rig.client.post("/graphql", json=bad, headers=rig.headers())
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
    strict = rig.client.post("/graphql", json=bad, headers={**rig.headers(), "accept": GRAPHQL})
    assert (strict.status_code, strict.headers["content-type"]) == (400, GRAPHQL)
    assert "data" not in strict.json()
    good = rig.client.post(
        "/graphql", json={"query": QUERY}, headers={**rig.headers(), "accept": GRAPHQL}
    )
    assert good.status_code == 200
    assert good.headers["cache-control"] == "no-store"


def test_a_form_cannot_post(rig):
    """Only application/json: what a foreign page's form can send is refused."""
    answer = rig.client.post(
        "/graphql",
        content=b'{"query":"{revision}"}',
        headers={**rig.headers(), "content-type": "text/plain"},
    )
    assert answer.status_code == 400


def test_a_mutation_cannot_be_sent_with_get(rig):
    """GET changes nothing."""
    mutation = 'mutation{nodeCommand(input:{command:RETIRE,nodes:["n1"]}){__typename}}'
    answer = rig.client.get("/graphql", params={"query": mutation}, headers=rig.headers())
    assert answer.status_code == 405
    assert rig.store.node("n1").state == "declared"


def test_an_unchanged_topology_is_answered_with_304(fresh):
    """A poll with If-None-Match costs nothing until something changed."""
    get = lambda **headers: fresh.client.get(  # noqa: E731
        "/graphql", params={"query": QUERY}, headers={**fresh.headers(), **headers}
    )
    first = get()
    tag = first.headers["etag"]
    again = get(**{"if-none-match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert get(**{"if-none-match": '"other"'}).status_code == 200
    fresh.site.operations.run("approve", ["n1"], "tester")
    fresh.client.portal.call(fresh.services.reached, fresh.store.head(), 5)
    changed = get(**{"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_an_answer_with_errors_has_no_tag(fresh, monkeypatch):
    """What failed is asked again: a poll must not hear for ever that nothing changed."""
    get = lambda: fresh.client.get(  # noqa: E731
        "/graphql",
        params={"query": '{node(by:{id:"n1"}){id facts{at}}}'},
        headers=fresh.headers(),
    )
    true = fresh.services.source.facts

    def broken(_nodes):
        raise StoreError("no connection")

    monkeypatch.setattr(fresh.services.source, "facts", broken)
    failed = get()
    assert (failed.status_code, "errors" in failed.json()) == (200, True)
    assert "etag" not in failed.headers
    assert failed.headers["cache-control"] == "no-store"
    monkeypatch.setattr(fresh.services.source, "facts", true)
    assert "etag" in get().headers
    monkeypatch.setattr(fresh.services, "limits", Limits(answer_bytes=10))
    assert "etag" not in get().headers


def test_a_tag_is_worth_nothing_to_another_process(fresh):
    """Revisions that no journal entry made are counted from the start of each process."""
    get = lambda client: client.get(  # noqa: E731
        "/graphql", params={"query": QUERY}, headers=fresh.headers()
    ).headers["etag"]
    with TestClient(create_app(fresh.site)) as restarted:
        assert get(restarted) == get(restarted) != get(fresh.client)


def test_a_tag_is_worth_nothing_to_a_caller_who_may_see_something_else(rig):
    """The tag names scopes, document and variables."""
    get = lambda query, *scopes: rig.client.get(  # noqa: E731
        "/graphql", params={"query": query}, headers=rig.headers(*scopes)
    ).headers["etag"]
    assert get(QUERY) == get(QUERY)
    assert get(QUERY) != get(QUERY, "topology:read")
    assert get(QUERY) != get("{zones{name}}")


@pytest.mark.parametrize(
    "query",
    [
        "{viewer{name}}",
        "{rateLimit{remaining}}",
        '{node(by:{id:"n1"}){config(path:"timezone"){value}}}',
        '{node(by:{id:"n1"}){why{waitsFor}}}',
        "{transitions{nodes{seq}}}",
        '{eraseCertificates(node:"n1"){good}}',
    ],
)
def test_what_changes_by_itself_has_no_tag(rig, query):
    """Configuration files, points, journal and signatures that are checked anew do not follow the revision."""
    answer = rig.client.get("/graphql", params={"query": query}, headers=rig.headers())
    assert answer.status_code == 200
    assert "etag" not in answer.headers


def test_a_document_can_be_named_by_its_hash_once_it_was_sent(rig):
    """DocumentId saves sending and parsing; an unknown one says what to do."""
    import hashlib

    query = "query Named($n:Int=2){nodes(first:$n){nodes{id}}}"
    name = "sha256:" + hashlib.sha256(query.encode()).hexdigest()
    body = {"documentId": name, "variables": {"n": 1}}
    unknown = rig.client.post("/graphql", json=body, headers=rig.headers()).json()
    assert unknown["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_FOUND"
    rig.ask(query)
    known = rig.client.post("/graphql", json=body, headers=rig.headers()).json()
    assert len(known["data"]["nodes"]["nodes"]) == 1


def test_an_operation_is_chosen_by_name(rig):
    """A document may hold several; without a name it is refused."""
    query = "query A{revision} query B{zones{name}}"
    assert set(rig.post(query, operationName="B")["data"]) == {"zones"}
    answer = rig.post(query)
    assert "A, B" in answer["errors"][0]["message"]


def test_an_internal_error_is_masked_and_logged_with_an_id(rig, monkeypatch, caplog):
    """The caller learns an id; the log has the cause under the same id."""

    def broken(*_arguments):
        raise RuntimeError("password=hunter2 in /etc/secret")

    monkeypatch.setattr(rig.services.operations, "why", broken)
    with caplog.at_level(logging.ERROR):
        answer = rig.post('{revision node(by:{id:"n1"}){id why{waitsFor}}}')
    error = answer["errors"][0]
    assert error["message"] == "internal error"
    assert error["path"] == ["node", "why"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "hunter2" not in str(answer)
    assert error["extensions"]["id"] in caplog.text
    assert "hunter2" in caplog.text


def test_a_failure_of_the_endpoint_itself_is_masked_too(rig, monkeypatch):
    """Whatever happens, the answer is JSON without a trace of the inside."""

    def broken(*_arguments):
        raise RuntimeError("hunter2")

    monkeypatch.setattr(execution, "admit", broken)
    answer = rig.client.post("/graphql", json={"query": QUERY}, headers=rig.headers())
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert answer.json()["errors"][0]["message"] == "internal error"


def test_a_failure_while_a_token_is_looked_up_is_masked_too(fresh, monkeypatch, caplog):
    """A database that is away is our fault, told as such before anybody is known; the log has the cause."""

    def broken(_bearer):
        raise StoreError("connection to 10.0.0.5 refused")

    monkeypatch.setattr(fresh.services.operations, "principal", broken)
    answer = fresh.client.post("/graphql", json={"query": QUERY}, headers=fresh.headers())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    error = answer.json()["errors"][0]
    assert (error["message"], error["extensions"]["code"]) == ("internal error", "INTERNAL")
    assert "10.0.0.5" not in answer.text
    assert error["extensions"]["id"] in caplog.text
    assert "10.0.0.5" in caplog.text


def test_an_answer_tells_revision_and_cost(rig):
    """extensions.racksalt is what a client needs to follow on from here."""
    answer = rig.post(QUERY)
    assert answer["extensions"]["racksalt"]["revision"] == rig.services.snapshot.revision
    assert answer["extensions"]["racksalt"]["cost"] >= 4


def test_an_answer_claims_no_entry_that_came_while_it_waited(fresh, monkeypatch):
    """What was read before a field asked the database is older than what the snapshot shows by then."""
    true = fresh.services.source.facts
    before = fresh.services.snapshot.revision

    def slow(nodes):
        fresh.site.operations.run("commission", ["n1"], "tester")
        wait_for(lambda: fresh.services.snapshot.seq >= fresh.store.head(), 10)
        return true(nodes)

    monkeypatch.setattr(fresh.services.source, "facts", slow)
    answer = fresh.post('{node(by:{id:"n1"}){state facts{at}}}')
    assert answer["data"]["node"]["state"] == "DECLARED"
    assert answer["extensions"]["racksalt"]["revision"] == before
    assert fresh.services.snapshot.revision != before


def test_the_page_loads_without_a_token_and_from_this_server_alone(rig):
    """GraphiQL needs nothing from outside: every script and style is a file of the package."""
    page = rig.client.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    files = [link for link in links if not link.startswith("data:")]
    assert len(files) == 6
    for link in files:
        assert link.startswith("/graphql/assets/")
        found = rig.client.get(link)
        assert found.status_code == 200
        assert len(found.content) > 100
    assert not re.search(r"<script[^>]*>[^<]", page.text)


def test_the_packaged_page_carries_its_licences(repository):
    """What is shipped is shipped with its licence texts, and is not large."""
    vendor = repository / "graphql_api/http/assets/vendor"
    licences = (vendor / "LICENSES.txt").read_text(encoding="utf-8")
    for name in ("graphiql 4.1.2 (MIT)", "react 18.3.1 (MIT)", "react-dom 18.3.1 (MIT)"):
        assert name in licences
    assert sum(path.stat().st_size for path in vendor.iterdir()) < 5_000_000


def test_health_needs_no_token_and_tells_no_secret(rig):
    """A load balancer may ask."""
    answer = rig.client.get("/healthz")
    assert answer.json() == {"status": "ok", "revision": rig.services.snapshot.revision}
