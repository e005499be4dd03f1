"""Examples of laying layers; the laws are in tests/properties/test_layers.py."""

from __future__ import annotations

from racksalt.site.layers import REMOVE, Layer, Origin, copy_plain, differences, find, merge, same

GLOBAL = Origin("global", "global/base.sls")
RACK = Origin("rack:r1", "rack/r1.sls")
NODE = Origin("node:n1", "node/n1.sls")


def test_a_node_gets_the_value_of_its_narrowest_layer():
    """Maps merge key by key, and each value remembers its layer."""
    merged = merge(
        [
            Layer(GLOBAL, {"ntp": {"servers": ["g"], "step_s": 1}, "zone": "UTC"}),
            Layer(RACK, {"ntp": {"servers": ["r1", "r2"]}}),
            Layer(NODE, {"ntp": {"step_s": 5}}),
        ]
    )
    assert merged.values == {"ntp": {"servers": ["r1", "r2"], "step_s": 5}, "zone": "UTC"}
    assert merged.sources == {"ntp:servers": RACK, "ntp:step_s": NODE, "zone": GLOBAL}


def test_a_map_replaces_a_scalar_and_a_scalar_a_map():
    """What is not a map on both sides is replaced as a whole."""
    merged = merge([Layer(GLOBAL, {"a": 1, "b": {"c": 2}}), Layer(RACK, {"a": {"x": 3}, "b": 4})])
    assert merged.values == {"a": {"x": 3}, "b": 4}


def test_a_removed_map_can_be_begun_anew():
    """After a removal only what higher layers say is there."""
    layers = [
        Layer(GLOBAL, {"ntp": {"servers": ["g"], "step_s": 1}}),
        Layer(RACK, {"ntp": REMOVE}),
        Layer(NODE, {"ntp": {"servers": ["n"]}}),
    ]
    assert merge(layers[:2]).values == {}
    assert merge(layers).values == {"ntp": {"servers": ["n"]}}


def test_a_map_whose_keys_are_all_removed_stays_as_an_empty_map():
    """Removing a key does not remove the map around it, and the empty map has a source."""
    merged = merge(
        [Layer(GLOBAL, {"ntp": {"step_s": 1}}), Layer(RACK, {"ntp": {"step_s": REMOVE}})]
    )
    assert merged.values == {"ntp": {}}
    assert merged.sources == {"ntp": RACK}


def test_null_is_a_value_and_no_removal():
    """``key:`` without a value sets the key to nothing; it does not take it away."""
    assert merge([Layer(GLOBAL, {"a": 1}), Layer(RACK, {"a": None})]).values == {"a": None}


def test_keys_with_colons_are_found():
    """A MAC as a key can be named in a key's colon form."""
    merged = merge([Layer(GLOBAL, {"macs": {"02:00": {"port": 7}}})])
    found = find(merged.root, "macs:02:00:port")
    assert found
    assert found[0] == ("macs", "02:00", "port")
    assert find(merged.root, "macs:02:01") is None


def test_differences_tell_added_removed_and_changed_leaves():
    """A change of type is a change: 1 is not true."""
    before = merge([Layer(GLOBAL, {"a": 1, "b": 1, "c": {"d": 1}, "same": [1]})])
    after = merge([Layer(GLOBAL, {"a": True, "c": {"e": 1}, "same": [1], "b": 1})])
    told = [
        (it.key, it.before, it.after, it.added, it.removed) for it in differences(before, after)
    ]
    assert told == [
        ("a", 1, True, False, False),
        ("c:d", 1, None, False, True),
        ("c:e", None, 1, True, False),
    ]


def test_plain_copies_share_nothing():
    """Whoever changes a copy changes only the copy."""
    value = {"a": [{"b": [1]}]}
    copied = copy_plain(value)
    copied["a"][0]["b"].append(2)
    assert value == {"a": [{"b": [1]}]}


def test_values_of_different_types_are_never_the_same():
    """1, 1.0, true and "1" are four values, also deep within others."""
    assert same({"a": [1]}, {"a": [1]})
    assert not same({"a": [1]}, {"a": [True]})
    assert not same({"a": [1]}, {"a": [1, 1]})
    assert not same({"a": 1.0}, {"a": 1})
    assert not same({"a": 1}, {"b": 1})
