"""Parts of one program in processes of their own, forked from one that does nothing but watch them.

What one part computes holds up no other. A part that is killed comes back by itself, however often it takes.
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
LONGER_S: Final = 5.0
"""How long it stays away when it came back and failed: its port or its database may not be free yet."""
GRACE_S: Final = 30.0
"""How long a part has to end in good order once the first process is gone."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def apart(parts: Sequence[str]) -> str:
    """Return once in a process for each of ``parts``, with its name; in the process that calls, never.

    That one ends with SystemExit when its parts have ended: SIGINT or SIGTERM ends them all, exit status 0. A part that
    fails ends them all with its status; one that was told to end, or was killed, is forked again, and from then on
    also when it fails, for its settings were good and the others have their work. When the first
    process is gone, however it went, all parts get SIGTERM, and SIGKILL ``GRACE_S`` later. Call it before there are
    threads; what is loaded by then is loaded once.
    """
    gc.freeze()
    # Whoever started us may have left it to the kernel to forget ended children.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watch = _Watch()
    for number in _SIGNALS:
        signal.signal(number, watch.end)
    for name in parts:
        if watch.fork(name):
            return name
    while watch.running:
        pid, status = os.waitpid(-1, 0)
        if pid not in watch.running:
            # Not a part: as the first process of a container, this one inherits children of others.
            continue
        name, code = watch.running.pop(pid), os.waitstatus_to_exitcode(status)
        if code > 0 and name not in watch.returned:
            watch.status = watch.status or code
            watch.end()
        elif watch.again(name, code):
            return name
    sys.exit(watch.status)


class _Watch:
    """What the first process knows: ``running`` has the parts' names by process id, ``returned`` those forked again."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self.returned: set[str] = set()
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

    def again(self, name: str, code: int) -> bool:
        """Fork a part anew that was told to end (0), killed by a signal (negative) or failed, unless all are to end."""
        if not self.ending:
            self.returned.add(name)
            log.error("the %s %s: it is started again", name, _how(code))
            time.sleep(LONGER_S if code > 0 else PAUSE_S)
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


def _how(code: int) -> str:
    if code > 0:
        return f"came back and failed with status {code}"
    return f"was killed by signal {-code}" if code else "was told to end"


def _end_with(tether: int) -> None:
    """Wait for the end of the first process, which alone holds the other end open; then end, in good order or not."""
    os.read(tether, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)
