"""Fails when the GraphQL schema breaks a client of the last release (before the first: of the last commit).

A wanted break is allowed by a fragment ``changelog/+<slug>.breaking.md`` which tells users of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from graphql import build_schema, find_breaking_changes

ROOT = Path(__file__).resolve().parent.parent
SDL = "graphql_api/schema.graphql"


def _git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def promised() -> str | None:
    """Return the SDL of the last release, before the first release that of the last commit, or None."""
    release = (_git("describe", "--tags", "--abbrev=0") or "HEAD").strip()
    return _git("show", f"{release}:{SDL}")


def breaking(old: str, new: str) -> list[str]:
    """Return what in ``new`` would break a client of ``old``."""
    changes = find_breaking_changes(build_schema(old), build_schema(new))
    return sorted(change.description for change in changes)


def main() -> int:
    """Compare the promised schema with the one in the work tree."""
    old = promised()
    if old is None or not (ROOT / SDL).exists():
        return 0
    found = breaking(old, (ROOT / SDL).read_text(encoding="utf-8"))
    argued = list((ROOT / "changelog").glob("+*.breaking.md"))
    for change in found:
        print(f"{'argued break' if argued else 'breaks clients'}: {change}")
    return int(bool(found) and not argued)


if __name__ == "__main__":
    sys.exit(main())
