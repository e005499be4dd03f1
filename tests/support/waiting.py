"""Waiting for a condition, for tests that start daemons."""

from __future__ import annotations

import time


def wait_for(condition, timeout_s, every_s=0.05):
    """Wait until ``condition()`` is true; return the seconds that it took, or None when the time is over."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            return None
        time.sleep(every_s)
    return time.monotonic() - began
