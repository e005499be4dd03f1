"""Processes that stay look for garbage seldom."""

from __future__ import annotations

import gc

from racksalt.garbage import SELDOM, collect_seldom


def test_it_is_set_for_the_process():
    """And Python still looks."""
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.get_threshold() == SELDOM
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)
