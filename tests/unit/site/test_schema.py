from __future__ import annotations

from racksalt.model.place import Rack
from racksalt.site.schema import Declarations, NodeDeclaration, Place


def test_a_place_is_as_much_as_is_known():
    """A declared node stands in its rack and the rack's zone; any other stands nowhere."""
    declared = Declarations(
        racks={"r1": Rack(name="r1", zone="z1")},
        nodes={
            "n2": NodeDeclaration(id="n2", rack="r1"),
            "n1": NodeDeclaration(id="n1", rack="lost"),
        },
    )
    assert declared.places() == [Place("n1", None, None), Place("n2", "r1", "z1")]
    assert declared.place("n3") == Place("n3", None, None)
