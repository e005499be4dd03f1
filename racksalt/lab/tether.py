"""Start a program that ends when this one's parent does: ``python -m racksalt.lab.tether SIGNAL PARENT_PID PROGRAM …``.

The kernel sends the signal when the parent dies, however it dies (prctl(2), PR_SET_PDEATHSIG; kept across execve).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program; never returns."""
    number, parent, program = signal.Signals[arguments[0]], int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            sys.exit(1)  # it died before we were tied to it
    os.execv(program[0], program)  # noqa: S606 - that is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
