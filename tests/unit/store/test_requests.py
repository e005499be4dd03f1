"""Requests under their ids: the first one holds."""

from __future__ import annotations

from dataclasses import replace

from racksalt.model.request import Request
from racksalt.store.requests import known_request, take_request

REFUSED = {"node": "b", "code": "not_found", "message": "m", "hint": "", "legal": []}
FIRST = Request(id="r1", at=1.5, plan="p", nodes={"z": "1", "a": "2"}, refused=[REFUSED])


def test_the_first_request_of_an_id_is_kept(store):
    """Whoever comes second is told what the first one was, in its order; another id is another request."""
    assert known_request(store, "r1") is None
    assert take_request(store, FIRST) is None
    for found in (
        take_request(store, replace(FIRST, plan="q", nodes={})),
        known_request(store, "r1"),
    ):
        assert found == FIRST
        assert list(found.nodes) == ["z", "a"]
    assert take_request(store, replace(FIRST, id="r2")) is None
    assert store.count("requests") == 2
