"""A claim that is renewed while its holder lives: silence then means that nobody is at it, however long it takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from racksalt.model.errors import RacksaltError

log = logging.getLogger(__name__)


@contextmanager
def renewed(say: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call ``say`` again and again, from a thread that ends with the block or with the process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_s):
            try:
                say()
            except RacksaltError as error:
                # The next one may get through; until then the claim only becomes older.
                log.warning("a claim was not renewed: %s", error)

    thread = threading.Thread(target=beat, name="racksalt-claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
