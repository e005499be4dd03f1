"""How often the processes that stay look for garbage in cycles.

Python does after 700 new objects. Batches of hundreds of events make that many in a millisecond and hardly a cycle:
the looking was an eighth of the server's processor time, and grew with the number of nodes.
"""

from __future__ import annotations

import gc
from typing import Final

SELDOM: Final = (20_000, 20, 50)
"""New objects until the young ones are looked through; such looks until the middle ones are, then until all are."""


def collect_seldom() -> None:
    """Set it for this process."""
    gc.set_threshold(*SELDOM)
