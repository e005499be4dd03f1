"""Laws of the layers, for any configuration that hypothesis comes up with."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from racksalt.model.errors import NotFoundError
from racksalt.site.explain import explain
from racksalt.site.layers import REMOVE, Layer, Merged, Origin, differences, find, lift, merge, same

# Few keys and shallow maps: layers must often speak of the same thing, or the laws hold for want of a clash.
KEYS = st.sampled_from(["a", "a", "a", "b", "c:d"])
LISTS = st.lists(st.integers(0, 1), max_size=2)
PLAIN = st.sampled_from([None, True, 1, 0, "x", REMOVE, REMOVE]) | LISTS
INNER = st.dictionaries(KEYS, PLAIN | st.dictionaries(KEYS, PLAIN, max_size=2), max_size=2)
MAPS = st.dictionaries(KEYS, PLAIN | INNER, min_size=1, max_size=2)


def layers_of(maps: list[dict[str, Any]]) -> list[Layer]:
    """Return one layer for each map, each with a name of its own."""
    return [
        Layer(Origin(f"node:n{number}", f"node/n{number}.sls"), values)
        for number, values in enumerate(maps)
    ]


LAYERS = st.lists(MAPS, max_size=5).map(layers_of)
THREE = st.tuples(MAPS, MAPS, MAPS).map(list).map(layers_of)


def laid_plainly(maps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the merge as a child would write it, without provenance: the reference for the real one."""
    result: dict[str, Any] = {}
    for values in maps:
        lay(result, copy.deepcopy(values))
    return result


def lay(low: dict[str, Any], high: dict[str, Any]) -> None:
    """Change ``low`` to what ``high`` over ``low`` gives."""
    for key, value in high.items():
        if value == REMOVE:
            low.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(low.get(key), dict):
                low[key] = {}
            lay(low[key], value)
        else:
            low[key] = value


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return each value by its path; an empty map below the root counts as a value."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found.update(leaves(value, (*path, key)))
        else:
            found[(*path, key)] = value
    return found


def at(values: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path; None if there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def present(values: Any, path: tuple[str, ...]) -> bool:
    """Return whether there is a value at a path."""
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def everything(merged: Merged) -> tuple[Any, Any, Any]:
    """Return all that a reader of an outcome can see."""
    return merged.values, dict(merged.sources), merged.layers


@given(LAYERS)
def test_the_merge_gives_what_a_plain_merge_gives(layers: list[Layer]) -> None:
    """Provenance changes nothing about the values."""
    assert same(dict(merge(layers).values), laid_plainly([dict(it.values) for it in layers]))


@given(THREE)
@example(layers_of([{"a": {"b": 1}}, {"a": REMOVE}, {"a": {"a": 1}}]))
@example(layers_of([{"a": {"b": 1}}, {"a": 0}, {"a": {"a": 1}}]))
@example(layers_of([{"a": 0}, {"a": {"b": 1}}, {"a": {"a": 1}}]))
def test_layers_may_be_grouped_in_any_way(layers: list[Layer]) -> None:
    """Laying is associative, for values, sources and what is kept of the layers."""
    a, b, c = map(lift, layers)
    assert everything(c.over(b).over(a)) == everything(c.over(b.over(a)))
    assert everything(c.over(b.over(a))) == everything(merge(layers))


@given(LAYERS)
def test_a_layer_over_itself_changes_nothing(layers: list[Layer]) -> None:
    """Laying the same layers twice gives the same values and the same sources."""
    once = merge(layers)
    twice = once.over(once)
    assert same(dict(twice.values), dict(once.values))
    assert twice.sources == once.sources


@given(LAYERS)
def test_every_value_has_exactly_one_source_and_that_layer_says_it(layers: list[Layer]) -> None:
    """``sources`` has an entry for each leaf, and its layer holds that very value."""
    merged = merge(layers)
    effective = leaves(dict(merged.values))
    assert set(merged.sources) == {":".join(path) for path in effective}
    by_origin = {layer.origin: layer for layer in layers}
    for path, value in effective.items():
        claim = merged.root
        for key in path:
            claim = claim.children[key]  # type: ignore[assignment, union-attr]
        said = at(by_origin[claim.origin].values, path)
        assert same(said, value) or (value == {} and isinstance(said, dict))


@given(LAYERS)
def test_explain_names_the_winner_and_everything_hidden(layers: list[Layer]) -> None:
    """The winner sets the value; each other layer that sets the key is listed as hidden, the highest first."""
    merged = merge(layers)
    order = [layer.origin.layer for layer in reversed(layers)]
    for key, origin in merged.sources.items():
        told = explain(layers, key)
        found = find(merged.root, key)
        assert found
        path = found[0]
        assert not told.removed
        assert same(told.value, at(dict(merged.values), path))
        if isinstance(told.value, dict):
            continue
        assert told.winner == origin
        says = [it.origin.layer for it in reversed(layers) if _says_a_value(it, path)]
        hidden = [it.layer for it in told.hidden]
        assert [it for it in order if it in says and it != origin.layer] == [
            it for it in dict.fromkeys(hidden) if it in says
        ]
        assert origin.layer not in hidden


@given(LAYERS)
def test_any_key_that_a_layer_mentions_can_be_explained(layers: list[Layer]) -> None:
    """A key that was taken away is explained by who took it; only a key that nobody mentions is unknown."""
    merged = merge(layers)
    for layer in layers:
        for path in leaves(dict(layer.values)):
            told = explain(layers, ":".join(path))
            there = find(merged.root, told.key)
            assert told.removed == (there is None or not present(merged.values, there[0]))
    try:
        explain(layers, "nobody:mentions:this")
    except NotFoundError:
        return
    raise AssertionError("an unknown key was explained")


@given(LAYERS, KEYS)
def test_a_removal_takes_away_all_that_lower_layers_say(layers: list[Layer], key: str) -> None:
    """After a removal on top the key is gone, the rest stays, and the remover is named."""
    remover = Layer(Origin("node:top", "node/top.sls"), {key: REMOVE})
    before, after = merge(layers), merge([*layers, remover])
    assert key not in after.values
    assert {k: v for k, v in before.values.items() if k != key} == dict(after.values)
    told = explain([*layers, remover], key)
    if find(after.root, key) == ((key,), after.root.children[key]):
        assert (told.removed, told.winner) == (True, remover.origin)


@given(LAYERS, LISTS, LISTS)
def test_lists_replace_one_another(layers: list[Layer], low: list[int], high: list[int]) -> None:
    """A list of a higher layer stands alone; nothing is appended."""
    under = Layer(Origin("rack:r1", "rack/r1.sls"), {"list": low})
    over = Layer(Origin("node:top", "node/top.sls"), {"list": high})
    assert merge([under, *layers, over]).values["list"] == high


@given(LAYERS)
def test_the_merge_never_changes_its_input(layers: list[Layer]) -> None:
    """Layers are as they were, also after somebody changed the copy that ``plain`` gave."""
    before = copy.deepcopy([dict(it.values) for it in layers])
    merged = merge(layers)
    spoil(merged.plain())
    for key in merged.sources:
        spoil(explain(layers, key).value)
    assert same([dict(it.values) for it in layers], before)
    assert same(dict(merged.values), dict(merge(layers).values))


@given(LAYERS, LAYERS)
def test_two_outcomes_without_differences_are_alike(one: list[Layer], other: list[Layer]) -> None:
    """``differences`` is empty exactly if the values are the same."""
    a, b = merge(one), merge(other)
    found = differences(a, b)
    assert (not found) == same(dict(a.values), dict(b.values))
    assert all(it.added or it.removed or not same(it.before, it.after) for it in found)
    assert not differences(a, lift_all(one))


def lift_all(layers: list[Layer]) -> Merged:
    """Return the layers laid one by one, from the top down."""
    result = merge([])
    for layer in reversed(layers):
        result = result.over(lift(layer))
    return result


def spoil(value: Any) -> None:
    """Change everything in a value that can be changed."""
    if isinstance(value, dict):
        for child in value.values():
            spoil(child)
        value["spoilt"] = True
    elif isinstance(value, list):
        value.append("spoilt")


def _says_a_value(layer: Layer, path: tuple[str, ...]) -> bool:
    """Return whether a layer has something other than a map at exactly this path."""
    return present(layer.values, path) and not isinstance(at(layer.values, path), dict)
