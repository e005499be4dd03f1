from __future__ import annotations

import pytest

from racksalt.model.errors import NotFoundError
from racksalt.site.explain import explain
from racksalt.site.layers import REMOVE, Layer, Origin

GLOBAL = Layer(
    Origin("global", "global/base.sls"),
    {"ntp": {"servers": ["g"], "step_s": 1}, "mail": {"password": "hunter2", "host": "m"}},
)
RACK = Layer(Origin("rack:r1", "rack/r1.sls"), {"ntp": {"servers": ["r"]}})
CUT = Layer(Origin("rack:r1", "rack/r1.sls"), {"ntp": REMOVE})
NODE = Layer(Origin("node:n1", "node/n1.sls"), {"ntp": {"servers": ["n"]}})


def test_a_leaf_names_the_winner_and_the_losers_from_the_top_down():
    """``explain`` gives the value, its layer and file, and each hidden value with its own."""
    told = explain([GLOBAL, RACK, NODE], "ntp:servers")
    assert told.value == ["n"]
    assert str(told.winner) == "node:n1 (node/n1.sls)"
    assert [(it.layer, it.file, it.value) for it in told.hidden] == [
        ("rack:r1", "rack/r1.sls", ["r"]),
        ("global", "global/base.sls", ["g"]),
    ]


def test_a_map_names_the_layer_of_each_leaf():
    """For a key with others below it, every leaf has its own source."""
    told = explain([GLOBAL, RACK], "ntp")
    assert told.value == {"servers": ["r"], "step_s": 1}
    assert {key: origin.layer for key, origin in told.sources.items()} == {
        "ntp:servers": "rack:r1",
        "ntp:step_s": "global",
    }
    assert [(it.key, it.layer) for it in told.hidden] == [("ntp:servers", "global")]


def test_a_removed_key_names_its_remover():
    """A key that a layer takes away is explained, not unknown."""
    told = explain([GLOBAL, CUT], "ntp:step_s")
    assert told.removed
    assert told.value is None
    assert told.winner.layer == "rack:r1"
    assert [(it.layer, it.value) for it in told.hidden] == [("global", 1)]


def test_what_was_taken_away_with_its_map_stays_explained_after_the_map_is_back():
    """A higher layer that begins the map anew does not hide who removed the other keys."""
    told = explain([GLOBAL, CUT, NODE], "ntp:step_s")
    assert (told.removed, told.winner.layer) == (True, "rack:r1")
    hidden = explain([GLOBAL, CUT, NODE], "ntp:servers").hidden
    assert [(it.layer, it.key, it.value) for it in hidden] == [
        ("rack:r1", "ntp", REMOVE),
        ("global", "ntp:servers", ["g"]),
    ]


def test_an_unknown_key_is_answered_with_names_near_it():
    """A typing error costs no search."""
    with pytest.raises(NotFoundError, match="ntp:servers") as raised:
        explain([GLOBAL], "ntp:server")
    assert "ntp:servers" in raised.value.detail["near"]
    with pytest.raises(NotFoundError, match="mail, ntp"):
        explain([GLOBAL], "zzzz")


def test_what_looks_like_a_secret_is_not_shown():
    """Plain data for people has the value of no password, whether it wins, loses or stands deep in a map."""
    over = Layer(Origin("node:n1", "node/n1.sls"), {"mail": {"password": "hunter3"}})
    for key in ("mail", "mail:password"):
        told = explain([GLOBAL, over], key)
        assert "hunter" not in str(told.as_dict())
        assert "**********" in str(told.as_dict())
    assert explain([GLOBAL, over], "mail:password").value == "hunter3"
