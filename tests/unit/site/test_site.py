from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from racksalt.model.errors import InvalidInputError, NotFoundError
from racksalt.site.declare import declare
from racksalt.site.impact import Scope, rank
from racksalt.site.layers import Layer
from racksalt.site.schema import Place
from racksalt.site.site import Site


class PlainSource:
    """A source of plain data; a changed layer is a new Layer, as with files."""

    def __init__(self, values: Mapping[Scope, Any]) -> None:
        self.declared, problems = declare(
            {
                "site/a.yaml": {
                    "zones": ["z1"],
                    "racks": {"r1": {"zone": "z1"}, "r2": {"zone": "z1"}},
                    "nodes": {f"n{n}": {"rack": f"r{1 + n % 2}"} for n in range(4)},
                }
            }
        )
        assert not problems
        self.by_scope = {scope: Layer(scope.origin, it) for scope, it in values.items()}

    def declarations(self):
        """Return what was declared at the start."""
        return self.declared

    def layers(self, place):
        """Return the layers that cover the place, lowest first."""
        found = [layer for scope, layer in self.by_scope.items() if scope.covers(place)]
        return tuple(sorted(found, key=lambda it: rank(it.origin)))

    def layer(self, file):
        """Return the layer of this file."""
        return next((it for it in self.by_scope.values() if it.origin.file == file), None)

    def problems(self):
        """Return nothing: plain data is never broken."""
        return []


@pytest.fixture
def source():
    """Four nodes in two racks, and three layers."""
    return PlainSource(
        {
            Scope("global", "base"): {"ntp": {"servers": ["g"]}},
            Scope("rack", "r1"): {"ntp": {"servers": ["r"]}},
            Scope("node", "n1"): {"motd": "hello"},
        }
    )


def test_the_nodes_of_a_rack_share_one_outcome(source):
    """Nodes without a file of their own have the very same object; it is laid once."""
    site = Site(source)
    assert site.effective("n0", "r1", "z1") is site.effective("n2", "r1", "z1")
    assert site.effective("n1", "r2", "z1").values == {"ntp": {"servers": ["g"]}, "motd": "hello"}


def test_a_changed_layer_is_laid_anew(source):
    """The cache never answers for a file that has changed."""
    site = Site(source)
    assert site.effective("n0", "r1", "z1").values == {"ntp": {"servers": ["r"]}}
    scope = Scope("rack", "r1")
    source.by_scope[scope] = Layer(scope.origin, {"ntp": {"servers": ["new"]}})
    assert site.effective("n0", "r1", "z1").values == {"ntp": {"servers": ["new"]}}


def test_a_place_is_looked_up_by_id(source):
    """A declared node stands where its rack stands; an unknown one is answered with ids near it."""
    site = Site(source)
    assert site.place("n1") == Place("n1", "r2", "z1")
    with pytest.raises(NotFoundError, match="did you mean"):
        site.place("n11")


def test_impact_asks_the_declared_nodes(source):
    """Without a list of nodes, the site's own are looked at; with one, only those."""
    site = Site(source)
    assert [it.node for it in site.impact("pillar/rack/r1.sls").nodes] == ["n0", "n2"]
    places = [Place("x1", "r1", "z1")]
    assert [it.node for it in site.impact("rack/r1.sls", places=places).nodes] == ["x1"]


def test_impact_of_a_file_that_is_not_there(source):
    """It is unknown, unless the values that it would have are given."""
    site = Site(source)
    with pytest.raises(NotFoundError, match=r"rack/r2\.sls"):
        site.impact("rack/r2.sls")
    told = site.impact("rack/r2.sls", {"ntp": {"servers": ["g2"]}})
    assert [it.node for it in told.nodes] == ["n1", "n3"]
    with pytest.raises(InvalidInputError, match="no rack 'r9'"):
        site.impact("rack/r9.sls", {"a": 1})


@pytest.mark.parametrize("file", ["zone/z9.sls", "rack/r9.sls", "node/n9.sls"])
def test_impact_of_a_name_that_nobody_knows(source, file):
    """It is no file that reaches no node, whichever nodes are looked at; a place without nodes is one."""
    site = Site(source)
    places, others = [Place("x1", "r1", "z1")], {"zone": ["z9"], "rack": ["r9"], "node": ["n9"]}
    with pytest.raises(InvalidInputError, match=r"no (zone|rack|node) '\w9' is declared"):
        site.impact(file, {"a": 1}, places)
    assert site.impact(file, {"a": 1}, places, others).nodes == []
    assert site.impact("rack/r2.sls", {"a": 1}, places).nodes == []


def test_explain_goes_through_the_same_layers(source):
    """The explanation of a key is that of the effective value."""
    told = Site(source).explain("ntp:servers", "n0", "r1", "z1")
    assert (told.value, told.winner.layer) == (["r"], "rack:r1")
    assert Site(source).problems() == []
