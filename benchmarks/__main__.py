"""Runs the benchmarks, prints one table and writes ``<commit>.json`` into ``benchmarks/results/`` or another folder."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import Figure

HERE = Path(__file__).resolve().parent


def _names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def _commit() -> str:
    shown = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() or "unknown"


def _print(figures: list[Figure]) -> None:
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        print(f"  {figure.name:<{width}}  {figure.value:>12,.2f} {figure.unit:<14} {figure.aim}")


def main() -> int:
    """Run what is asked for (all without a name); a benchmark that fails does not hide the others' figures."""
    parser = argparse.ArgumentParser(description="Measure racksalt.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(_names())}")
    parser.add_argument("--results", type=Path, default=HERE / "results", metavar="FOLDER")
    options = parser.parse_args()
    results: dict[str, list[dict[str, object]]] = {}
    status = 0
    for name in options.names or _names():
        print(f"{name}", flush=True)
        try:
            figures = importlib.import_module(f"benchmarks.bench_{name}").measure()
        except Exception as error:  # noqa: BLE001  the other benchmarks still run
            print(f"  failed: {type(error).__name__}: {error}")
            status = 1
            continue
        _print(figures)
        results[name] = [vars(figure) for figure in figures]
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    target: Path = options.results / f"{_commit()}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"machine": machine, "figures": results}, indent=1))
    print(f"written to {target}")
    return status


if __name__ == "__main__":
    sys.exit(main())
