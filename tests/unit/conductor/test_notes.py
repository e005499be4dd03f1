"""What the conductor says of a node by itself."""

from __future__ import annotations

from racksalt.conductor.notes import note
from tests.support.builders import NOW, a_node


def test_a_note_moves_nothing_and_is_told_once():
    """State and stage are the node's own, and the id names event, node and place in the journal."""
    node = a_node(state="ready", stage="image")
    entry = note(7, NOW, node, "place_proposed", "switch port", "seen", {"port": "swp1"})
    assert (entry.kind, entry.source, entry.actor) == ("noted", "conductor", "switch port")
    assert (entry.from_state, entry.to_state, entry.stage) == ("ready", "ready", "image")
    assert (entry.event_id, entry.detail) == ("place_proposed:n1:7", {"port": "swp1"})
