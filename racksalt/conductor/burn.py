"""Burn-in results: kept per node, and compared with the same part of other machines, so that a slow disk stands out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from racksalt.model.hardware import BurnResult
from racksalt.store.tables import burn_results
from racksalt.store.transaction import Transaction

PARTS, MEASURES, RUNS = 256, 16, 10
"""How many parts a run may have, how many figures a part, and how many runs of a node are kept."""
FEWEST, STANDS_OUT, AT_LEAST = 4, 3.5, 0.1
"""Figures that a comparison needs; how many robust deviations, and what share of the median, one must be off."""
SCALE = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation."""
LESS_IS_BETTER = ("_us", "_ms")
NOT_COMPARED = ("_errors",)


def record(
    tx: Transaction,
    node: str,
    found: Mapping[str, Any],
    product: str | None,
    *,
    at: float,
    run: int,
) -> None:
    """Write one run's results, bounded whatever the node says; the oldest runs beyond RUNS are forgotten."""
    rows = [
        row
        for part, result in list(found.items())[:PARTS]
        if isinstance(result, Mapping)
        for row in _rows(node, part[:80], result, product, at=at, run=run)
    ]
    tx.put(rows)
    runs = sorted({row.at for row in tx.burns(node)}, reverse=True)
    for old in runs[RUNS:]:
        tx.remove(burn_results, node=node, at=old)


def _rows(
    node: str, part: str, result: Mapping[str, Any], product: str | None, *, at: float, run: int
) -> list[BurnResult]:
    given = result.get("measures")
    figures: dict[str, float | None] = {
        name[:64]: float(value)
        for name, value in list((given if isinstance(given, Mapping) else {}).items())[:MEASURES]
        if name and _is_figure(value)
    }
    model = result.get("model") if part.startswith("disk") else product
    message = result.get("message")
    return [
        BurnResult(
            id=f"{node}/{run}/{part}/{name}",
            node=node,
            at=at,
            part=part,
            measure=name,
            ok=result.get("ok") is True,
            value=value,
            model=model[:128] if isinstance(model, str) else None,
            message=message[:500].replace("\x00", "") if isinstance(message, str) else "",
        )
        for name, value in (figures or {"": None}).items()
    ]


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure beside those of its peers: the same measure of the same kind of part of the same model.

    ``deviation`` is (value - median) / median; ``score`` how many robust standard deviations that is, None where the
    peers are too few or all alike. ``stands_out`` marks what is worse than its peers.
    """

    result: BurnResult
    peers: int
    median: float | None = None
    deviation: float | None = None
    score: float | None = None
    stands_out: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        row = self.result
        return {
            "node": row.node,
            "at": row.at,
            "part": row.part,
            "measure": row.measure or None,
            "value": row.value,
            "model": row.model,
            "ok": row.ok,
            "message": row.message,
            "peers": self.peers,
            "median": self.median,
            "deviation": self.deviation,
            "score": self.score,
            "stands_out": self.stands_out,
        }


class Peers(NamedTuple):
    """What the figures of one group have in common: how many they are, their middle, how far they spread."""

    number: int
    median: float
    spread: float


NO_PEERS = Peers(0, 0.0, 0.0)


def compare(results: Iterable[BurnResult]) -> list[Compared]:
    """Return the newest figure of each node, part and measure beside its peers, in the order of nodes and parts."""
    newest: dict[tuple[str, str, str], BurnResult] = {}
    runs: dict[str, float] = {}
    rows = list(results)
    for row in rows:
        runs[row.node] = max(row.at, runs.get(row.node, 0.0))
    for row in rows:
        if row.at == runs[row.node]:
            newest[row.node, row.part, row.measure] = row
    peers: dict[tuple[str, str, str], list[float]] = {}
    for row in newest.values():
        if row.value is not None and row.ok:
            peers.setdefault(_group(row), []).append(row.value)
    groups = {group: _peers(values) for group, values in peers.items()}
    return [_compared(row, groups.get(_group(row), NO_PEERS)) for _, row in sorted(newest.items())]


def _group(row: BurnResult) -> tuple[str, str, str]:
    return row.part.partition(":")[0], row.measure, row.model or ""


def _peers(values: Sequence[float]) -> Peers:
    middle = median(values)
    return Peers(len(values), middle, SCALE * median(abs(value - middle) for value in values))


def _compared(row: BurnResult, peers: Peers) -> Compared:
    if row.value is None or peers.number < FEWEST or row.measure.endswith(NOT_COMPARED):
        return Compared(result=row, peers=peers.number)
    middle = peers.median
    off = (row.value - middle) / middle if middle else None
    score = (row.value - middle) / peers.spread if peers.spread else None
    sign = 1 if row.measure.endswith(LESS_IS_BETTER) else -1
    # Peers that are all alike have no spread: then the share alone decides.
    far = score is None or sign * score > STANDS_OUT
    worse = off is not None and sign * off > AT_LEAST and far
    return Compared(
        result=row,
        peers=peers.number,
        median=middle,
        deviation=off,
        score=score,
        stands_out=worse,
    )
