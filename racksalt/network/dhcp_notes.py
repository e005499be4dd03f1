"""Which notes of the DHCP service are journalled: a request costs a stranger nothing, an entry a write to disk."""

from __future__ import annotations

from typing import Final

from racksalt.network.dhcp import Note

TOLD_S: Final = 60.0
"""Of one key, at most one note in this time gets into the journal."""
UNSERVED: Final = "dhcp_unserved"
MOST_UNSERVED: Final = 10
"""So many notes of unserved places in this time, then one that counts the others.

Their keys are what strangers write into their requests, so a key alone limits nothing.
"""


class Told:
    """Remembers what was told; it is handed the time, and takes a clock that was set back for a new beginning."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._forgot_at = self._since = float("-inf")
        self._unserved = self._more = 0

    def is_due(self, note: Note, now: float) -> bool:
        """Say whether a note is to be journalled now; if so, it counts as told."""
        if note.key in self._at and _is_recent(self._at[note.key], now):
            return False
        if note.event == UNSERVED and not self._has_room(now):
            return False
        self._forget(now)
        self._at[note.key] = now
        return True

    def rest(self, now: float) -> Note | None:
        """Return the note that counts those that found no room, once their time is over."""
        if not self._more or _is_recent(self._since, now):
            return None
        more, self._more = self._more, 0
        message = (
            f"DHCP requests came from still more places where no served network is declared: "
            f"{more} notes of them were not journalled"
        )
        return Note(UNSERVED, UNSERVED, message, {"more": more})

    def _has_room(self, now: float) -> bool:
        if not _is_recent(self._since, now):
            self._since, self._unserved = now, 0
        self._unserved += 1
        self._more += self._unserved > MOST_UNSERVED
        return self._unserved <= MOST_UNSERVED

    def _forget(self, now: float) -> None:
        """Drop what is over, once in a while: looking through all for each note would cost its square."""
        if _is_recent(self._forgot_at, now):
            return
        self._forgot_at = now
        self._at = {key: at for key, at in self._at.items() if _is_recent(at, now)}


def _is_recent(at: float, now: float) -> bool:
    return 0 <= now - at < TOLD_S
