"""The power of nodes, as recorded."""

from __future__ import annotations

from racksalt.store.power_reads import Powered, powered
from tests.support.builders import a_node


def test_the_power_of_all_or_of_some(store):
    """In the order of their ids; who does not exist is left out."""
    with store.write() as tx:
        tx.add_nodes(
            [a_node("n2", "ready", power="on", boot=3, agent="light"), a_node("n1", power="off")]
        )
    n1 = Powered("n1", "salt", "declared", 0, "off", 1)
    n2 = Powered("n2", "light", "ready", 3, "on", 1)
    assert powered(store) == [n1, n2]
    assert powered(store, ["n2", "n3"]) == [n2]
    assert powered(store, []) == []
