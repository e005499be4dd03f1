"""Figures: ``python -m benchmarks [name ...]`` runs ``bench_<name>.py`` files.

Each of them has a function ``measure() -> list[Figure]``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value; ``aim`` says in words what would be good."""

    name: str
    value: float
    unit: str
    aim: str = ""
