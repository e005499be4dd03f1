from __future__ import annotations

import ast
import re

import pytest

from graphql_api import problems
from racksalt.model.errors import BmcError, ConflictError, SettingsError, StoreError

NODES = "{nodes(filter:{stateSince:{gte:%s}}){totalCount}}"
BIG = 123456789012345678901234567890


@pytest.mark.parametrize(
    ("query", "variables", "says"),
    [
        (NODES % '"nonsense"', {}, "RFC 3339"),
        (NODES % '"9999-99"', {}, "RFC 3339"),
        (NODES % "[1]", {}, "RFC 3339"),
        (f"query($t:DateTime){NODES % '$t'}", {"t": "nonsense"}, "RFC 3339"),
        (f'query($t:DateTime="x"){NODES % "$t"}', {}, "RFC 3339"),
        (f"subscription{{transitions(since:{BIG}){{seq}}}}", {}, "53 bits"),
        (f"subscription{{transitions(since:-{BIG}){{seq}}}}", {}, "53 bits"),
        ('subscription{transitions(since:"x"){seq}}', {}, "53 bits"),
        ("subscription($s:BigInt){transitions(since:$s){seq}}", {"s": 2**53}, "53 bits"),
        (f"{{nodes(first:{BIG}){{totalCount}}}}", {}, "32-bit"),
    ],
)
def test_a_bad_value_is_the_callers_error(rig, query, variables, says):
    """In the text as in a variable; the message says what would do, and the place."""
    headers = rig.headers()
    if query.startswith("subscription"):
        headers["accept"] = "text/event-stream"
    body = {"query": query, "variables": variables}
    told = rig.client.post("/graphql", json=body, headers=headers).text
    assert '"code":"BAD_USER_INPUT"' in told
    assert says in told
    assert '"locations"' in told
    assert "INTERNAL" not in told


@pytest.fixture
def written(fresh, tmp_path):
    """Return a function that writes the layer of n1's rack."""
    return (tmp_path / "pillar/rack/r1.sls").write_text


CONFIG = 'a:node(by:{id:"n1"}){config(path:"big"){value hidden{value}}} revision'


def test_an_integer_of_the_sites_files_may_have_any_size(fresh, written):
    """JSON has no limit; the rest of the answer is not lost by it, nor is a bit of the number."""
    written(f"big: {{at: [{BIG}, -{BIG}], least: {-(2**63)}, most: {2**64 - 1}, fine: true}}\n")
    found = fresh.ask(f"{{{CONFIG}}}")
    assert found["a"]["config"]["value"] == {
        "at": [BIG, -BIG],
        "least": -(2**63),
        "most": 2**64 - 1,
        "fine": True,
    }


def test_a_broken_file_of_the_site_is_told_as_what_it_is(fresh, written):
    """The field is null and says which file; the rest is answered."""
    written("80: no text\n")
    answer = fresh.post(f"{{{CONFIG}}}")
    (error,) = answer["errors"]
    assert error["extensions"] == {"code": "INVALID_INPUT"}
    assert "rack/r1.sls" in error["message"]
    assert answer["data"]["a"]["config"] is None
    assert answer["data"]["revision"] == fresh.services.snapshot.seq


WHY = '{node(by:{id:"n1"}){why{waitsFor}} revision}'


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (ConflictError("somebody was faster"), "CONFLICT", "somebody was faster"),
        (SettingsError("no key was handed in"), "SETTINGS_ERROR", "no key was handed in"),
        (StoreError("connection to db.internal failed"), "STORE_ERROR", "try again"),
        (BmcError("10.9.0.1 says no"), "INTERNAL", "internal error"),
    ],
)
def test_errors_of_the_operations_have_the_codes_of_the_reference(
    fresh, monkeypatch, raised, code, says
):
    """What a caller can act on is told; a driver's words and what nobody thought of are for the log."""

    def fails(_node):
        raise raised

    monkeypatch.setattr(fresh.site.operations, "why", fails)
    (error,) = fresh.post(WHY)["errors"]
    assert (error["extensions"]["code"], error["path"]) == (code, ["node", "why"])
    assert says in error["message"]
    assert "db.internal" not in str(error)
    assert ("id" in error["extensions"]) == (code in ("STORE_ERROR", "INTERNAL"))


def test_the_reference_lists_every_code(repository):
    """Codes of refusals in the source, and of the errors that are handed through: all are in the page's tables."""
    page = (repository / "docs/reference/graphql.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([A-Z_]+)`", page.partition("## Error codes")[2]))
    used = {kind.code.upper() for kind in (*problems.TOLD, StoreError)}
    for path in sorted((repository / "graphql_api").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "UserError":
                used |= {one.value for one in call.args[:1] if isinstance(one, ast.Constant)}
            if isinstance(call, ast.keyword) and call.arg == "code":
                used |= {call.value.value} if isinstance(call.value, ast.Constant) else set()
    assert len(used) > 15
    assert used <= listed
