from __future__ import annotations

import pytest

from racksalt.model.errors import InvalidInputError
from racksalt.site.impact import impact, rank, scope_of
from racksalt.site.layers import REMOVE, Layer, Origin, merge
from racksalt.site.schema import Place

N1, N2 = Place("n1", "r1", "z1"), Place("n2", "r1", "z1")
BASE = Layer(Origin("global", "global/base.sls"), {"ntp": {"servers": ["g"], "step_s": 1}})
RACK = Layer(Origin("rack:r1", "rack/r1.sls"), {"ntp": {"servers": ["r"]}, "log": REMOVE})
NODE = Layer(Origin("node:n2", "node/n2.sls"), {"ntp": {"servers": ["n"]}})


def layers_of(place: Place) -> tuple[Layer, ...]:
    """Return the layers of the two nodes: the second has one of its own."""
    return (BASE, RACK, NODE) if place == N2 else (BASE, RACK)


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("rack/r1.sls", "rack:r1"),
        ("pillar/rack/r1.sls", "rack:r1"),
        ("/srv/site/pillar/node/n1.example.net.sls", "node:n1.example.net"),
        ("./global/base.sls", "global"),
    ],
)
def test_a_file_is_known_by_the_end_of_its_path(path, layer):
    """Folder and name tell the layer, wherever the pillar folder is."""
    assert scope_of(path).layer == layer


@pytest.mark.parametrize("path", ["r1.sls", "racks/r1.sls", "rack/r1.yaml", "rack/.sls", ""])
def test_a_file_that_is_no_layer_is_refused(path):
    """The refusal shows what a layer's file looks like."""
    with pytest.raises(InvalidInputError, match=r"/NAME\.sls"):
        scope_of(path)


def test_a_layer_covers_the_nodes_of_its_place():
    """Global covers all, a zone, rack or node file its own."""
    elsewhere = Place("n9", None, None)
    for file, nodes in {
        "global/a.sls": [N1, N2, elsewhere],
        "zone/z1.sls": [N1, N2],
        "rack/r1.sls": [N1, N2],
        "node/n2.sls": [N2],
        "rack/r2.sls": [],
    }.items():
        assert [it for it in (N1, N2, elsewhere) if scope_of(file).covers(it)] == nodes


def test_a_file_wins_on_one_node_and_is_hidden_on_another():
    """Each node tells which keys of the file prevail, removals too, and which layer hides the others."""
    told = impact(scope_of("rack/r1.sls"), [N1, N2], layers_of, merge).nodes
    assert [(it.node, it.wins, it.hidden) for it in told] == [
        ("n1", ["log", "ntp:servers"], []),
        ("n2", ["log"], [("ntp:servers", NODE.origin)]),
    ]


def test_a_proposed_content_names_only_nodes_that_would_change():
    """A value that a lower layer hides anyway changes nothing there."""
    new = Layer(RACK.origin, {"ntp": {"servers": ["new"]}, "log": REMOVE})
    told = impact(scope_of("rack/r1.sls"), [N1, N2], layers_of, merge, new)
    assert [it.node for it in told.nodes] == ["n1"]
    assert told.as_dict()["nodes"][0]["changes"] == [
        {"key": "ntp:servers", "before": ["r"], "after": ["new"], "kind": "changed"}
    ]


def test_a_new_file_takes_its_place_among_the_layers():
    """A file that is not there yet is laid above wider and below narrower layers."""
    new = Layer(Origin("zone:z1", "zone/z1.sls"), {"ntp": {"servers": ["z"], "step_s": 9}})
    told = impact(scope_of("zone/z1.sls"), [N1], layers_of, merge, new).nodes
    assert [it.key for it in told[0].changes] == ["ntp:step_s"]
    assert told[0].hidden == [("ntp:servers", RACK.origin)]


def test_deleting_a_file_is_an_empty_content():
    """What the file held disappears, what it hid comes back."""
    told = impact(scope_of("rack/r1.sls"), [N1], layers_of, merge, Layer(RACK.origin, {})).nodes
    assert [(it.key, it.after) for it in told[0].changes] == [("ntp:servers", ["g"])]


def test_secrets_are_not_shown_in_changes():
    """A changed password is told as changed, not as what it was or will be."""
    new = Layer(RACK.origin, {"ntp": {"servers": ["r"]}, "psk": "hunter2"})
    told = impact(scope_of("rack/r1.sls"), [N1], layers_of, merge, new).as_dict()
    assert told["nodes"][0]["changes"][0]["kind"] == "added"
    assert "hunter2" not in str(told)


def test_layers_are_ranked_from_wide_to_narrow():
    """Global files by name, then zone, rack, node."""
    files = [NODE.origin, RACK.origin, Origin("global", "global/z.sls"), BASE.origin]
    assert [it.file for it in sorted(files, key=rank)] == [
        "global/base.sls",
        "global/z.sls",
        "rack/r1.sls",
        "node/n2.sls",
    ]
