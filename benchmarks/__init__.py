"""Figures: ``python -m benchmarks [name ...]`` runs ``bench_<name>.py`` files.

Each of them has a function ``measure() -> list[Figure]``. How much it measures the environment may say, see `size`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value; ``aim`` says in words what would be good."""

    name: str
    value: float
    unit: str
    aim: str = ""


def size(name: str, usual: int) -> int:
    """Return ``BENCH_<name>`` of the environment, or what is usual; the tests set a few, to see that all still runs."""
    return int(os.environ.get(f"BENCH_{name}", usual))
