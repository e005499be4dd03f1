"""Parts of one program in processes of their own, forked from one that does nothing but watch them.

What one part computes holds up no other, and a part that is killed comes back by itself.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

log = logging.getLogger(__name__)
PAUSE_S: Final = 1.0
"""How long a part that was killed stays away: whatever killed it may still be there."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def apart(parts: Sequence[str]) -> str:
    """Return once in a process for each of ``parts``, with its name; in the process that calls, never.

    That one ends with SystemExit when its parts have ended: SIGINT or SIGTERM ends them all, exit status 0; a part that
    ends by itself ends them all with its status. One that was killed is forked again. All parts get SIGTERM when the
    first process is gone, however it went. Call it before there are threads; what is loaded by then is loaded once.
    """
    gc.freeze()
    watch = _Watch()
    for number in _SIGNALS:
        signal.signal(number, watch.end)
    for name in parts:
        if watch.fork(name):
            return name
    while watch.running:
        pid, status = os.waitpid(-1, 0)
        name, code = watch.running.pop(pid), os.waitstatus_to_exitcode(status)
        if code >= 0:
            watch.status = watch.status or code
            watch.end()
        elif watch.again(name, -code):
            return name
    sys.exit(watch.status)


class _Watch:
    """What the first process knows: ``running`` has the parts' names by process id."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self.ending, self.status = False, 0
        self._tether = os.pipe()

    def fork(self, name: str) -> bool:
        """Return True in the process of the part, False in the first one; where all are to end, there is no new one."""
        # A signal that came in between would find a process that does not know yet which one it is.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = None if self.ending else os.fork()
        if pid:
            self.running[pid] = name
        elif pid == 0:
            self._become_part()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return pid == 0

    def again(self, name: str, number: int) -> bool:
        """Fork a part that was killed, unless all are to end."""
        if not self.ending:
            log.error("the %s was killed by signal %d: it is started again", name, number)
            time.sleep(PAUSE_S)
        return self.fork(name)

    def end(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Tell all parts to end."""
        self.ending = True
        for pid in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _become_part(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        read, write = self._tether
        os.close(write)
        threading.Thread(target=_end_with, args=(read,), name="tether", daemon=True).start()


def _end_with(tether: int) -> None:
    """Wait for the end of the first process, which alone holds the other end open; then be told to end."""
    os.read(tether, 1)
    os.kill(os.getpid(), signal.SIGTERM)
