"""What of the DHCP service's notes gets into the journal."""

from __future__ import annotations

from racksalt.network.dhcp import Note, unserved
from racksalt.network.dhcp_notes import MOST_UNSERVED, TOLD_S, Told

FULL = Note("prov/4", "dhcp_exhausted", "full", {})


def test_unserved_places_take_no_room_from_other_notes():
    """However many strangers ask, an exhausted network is told."""
    told = Told()
    due = [told.is_due(unserved(str(number)), 1.0) for number in range(100)]
    assert due == [True] * MOST_UNSERVED + [False] * (100 - MOST_UNSERVED)
    assert told.is_due(FULL, 1.0)
    assert not told.is_due(FULL, 2.0)


def test_what_was_told_is_forgotten():
    """It keeps the notes of about two minutes, whatever came before."""
    told = Told()
    for number in range(1000):
        told.is_due(unserved(str(number)), number * 10.0)
    assert len(told._at) <= 2 * TOLD_S / 10 + 1


def test_the_rest_is_told_once_and_when_its_time_is_over():
    """Nothing is told while there was room for all."""
    told = Told()
    for number in range(MOST_UNSERVED):
        told.is_due(unserved(str(number)), 0.0)
    assert told.rest(TOLD_S) is None
    told.is_due(unserved("x"), 1.0)
    assert told.rest(TOLD_S - 1) is None
    rest = told.rest(TOLD_S)
    assert rest is not None
    assert rest.detail == {"more": 1}
    assert told.rest(TOLD_S * 2) is None


def test_a_clock_that_was_set_back_silences_nobody():
    """Otherwise an hour's correction would be an hour without notes."""
    told = Told()
    assert told.is_due(FULL, 5000.0)
    assert told.is_due(FULL, 1000.0)
