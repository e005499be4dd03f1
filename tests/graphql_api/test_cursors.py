from __future__ import annotations

import base64

import orjson
import pytest

LISTS = {
    "nodes": "nodes(first:1 after:$c){pageInfo{endCursor} edges{cursor}}",
    "nodes down": "nodes(first:1 orderBy:{direction:DESC} after:$c){pageInfo{endCursor} edges{cursor}}",
    "by state": "nodes(first:1 orderBy:{field:STATE} after:$c){pageInfo{endCursor} edges{cursor}}",
    "by rack": "nodes(first:1 orderBy:{field:RACK} after:$c){pageInfo{endCursor} edges{cursor}}",
    "by zone": "nodes(first:1 orderBy:{field:ZONE} after:$c){pageInfo{endCursor} edges{cursor}}",
    "by memory": "nodes(first:1 orderBy:{field:MEMORY_MIB} after:$c){pageInfo{endCursor} edges{cursor}}",
    "racks": "racks(first:1 after:$c){pageInfo{endCursor} edges{cursor}}",
    "journal": "transitions(first:1 after:$c){pageInfo{endCursor} edges{cursor}}",
    "history": 'node(by:{id:"n1"}){history(first:1 after:$c){pageInfo{endCursor} edges{cursor}}}',
}


def asked(name):
    """Return the query of a list; the cursor is in a variable."""
    return f"query($c:Cursor){{{LISTS[name]}}}"


def page(rig, name):
    """Return the first page of a list."""
    ((_, found),) = rig.ask(asked(name)).items()
    return found.get("history", found)


@pytest.mark.parametrize("name", LISTS)
def test_a_cursor_is_taken_by_its_own_list_alone(rig, name):
    """List, order and direction are part of it: any other list would be paged from a place that means nothing."""
    found = page(rig, name)
    cursor = found["pageInfo"]["endCursor"]
    assert found["edges"][-1]["cursor"] == cursor
    for other in LISTS:
        answer = rig.post(asked(other), {"c": cursor})
        if other == name:
            assert "errors" not in answer
        else:
            assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", other
            assert "endCursor" in answer["errors"][0]["message"]


def as_cursor(value):
    """Return any value as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    "forged",
    [
        as_cursor(["n1"]),
        as_cursor(["nodes id asc"]),
        as_cursor(["nodes id asc", 5]),
        as_cursor(["nodes id asc", "n1", "n2"]),
        as_cursor({"nodes id asc": "n1"}),
        as_cursor("nodes id asc"),
        "1",
        "rubbish!",
        "é",
        "",
    ],
)
def test_what_is_no_cursor_is_refused(rig, forged):
    """A cursor of an older release, one that was made by hand and rubbish; in the journal, too."""
    for name in ("nodes", "journal", "history"):
        assert rig.code(asked(name), {"c": forged}) == "BAD_USER_INPUT"


def test_a_cursor_is_looked_at_where_no_row_is_left(rig):
    """A list that is empty now refuses a foreign cursor as a full one does."""
    query = 'query($c:Cursor){nodes(after:$c,filter:{name:{eq:"x"}}){totalCount}}'
    assert rig.code(query, {"c": page(rig, "racks")["pageInfo"]["endCursor"]}) == "BAD_USER_INPUT"
    cursor = page(rig, "nodes")["pageInfo"]["endCursor"]
    assert rig.ask(query, {"c": cursor}) == {"nodes": {"totalCount": 0}}
