"""Writes the generated parts of README, docs and SDL; ``--check`` only says which are stale (exit status 1).

A generated part is a whole file, or what stands between ``<!-- generated:NAME -->`` and ``<!-- /generated:NAME -->``.
To add one: write a function that returns its text and add a line to ``PARTS``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a program, this file's own folder is what Python looks in


def psm_diagram() -> str:
    """Return the state diagram as a Mermaid block."""
    from racksalt.psm import render
    from racksalt.psm.table import MACHINE

    return f"```mermaid\n{render.mermaid(MACHINE).strip()}\n```"


def psm_tables() -> str:
    """Return states, transitions and sequences as Markdown tables."""
    from racksalt.psm import render, sequences
    from racksalt.psm.table import MACHINE

    built_in = sequences.Sequences(sequences.STAGES, sequences.SEQUENCES, MACHINE)
    return render.tables_markdown(MACHINE, built_in).strip()


def settings_reference() -> str:
    """Return every setting with type, default and meaning."""
    from tools.describe import settings

    return settings()


def cli_reference() -> str:
    """Return every command of ``racksalt`` with its arguments and options."""
    from tools.describe import cli

    return cli()


def salt_reference() -> str:
    """Return every function that Salt shows of ``salt/``."""
    from tools.describe import salt_functions

    return salt_functions(ROOT / "salt")


def sdl() -> str:
    """Return the GraphQL schema."""
    from graphql_api.schema import schema

    return f"{schema.as_str().strip()}\n"


@dataclass(frozen=True)
class Part:
    """One generated part: ``name`` is its marker, None for a whole file."""

    path: str
    name: str | None
    render: Callable[[], str]

    def put(self, text: str) -> str:
        """Return ``text`` with this part replaced by what the code says now."""
        if self.name is None:
            return self.render()
        block = re.compile(
            rf"(<!-- generated:{self.name} -->\n).*?(<!-- /generated:{self.name} -->)", re.DOTALL
        )
        if not block.search(text):
            raise LookupError(f"{self.path} has no markers generated:{self.name}")
        fresh = self.render()
        return block.sub(lambda found: f"{found[1]}{fresh}\n{found[2]}", text)


PARTS = (
    Part("README.md", "psm-diagram", psm_diagram),
    Part("docs/reference/psm.md", "psm-diagram", psm_diagram),
    Part("docs/reference/psm.md", "psm-tables", psm_tables),
    Part("docs/reference/settings.md", "settings", settings_reference),
    Part("docs/reference/cli.md", "cli", cli_reference),
    Part("docs/reference/salt-modules.md", "salt-functions", salt_reference),
    Part("graphql_api/schema.graphql", None, sdl),
)


def stale(part: Part, *, write: bool = False) -> bool:
    """Return whether a part differs from what the code says; mend it if asked to."""
    path = ROOT / part.path
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    fresh = part.put(text)
    if write and fresh != text:
        path.write_text(fresh, encoding="utf-8")
    return fresh != text


def main() -> int:
    """Write or check all parts; one that fails does not keep the others from being looked at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when stale")
    check = parser.parse_args().check
    status = 0
    for part in PARTS:
        label = f"{part.path}{f' ({part.name})' if part.name else ''}"
        try:
            found = stale(part, write=not check)
        except Exception as error:  # noqa: BLE001  one broken part is reported, the rest still done
            print(f"failed:  {label}: {type(error).__name__}: {error}")
            status = 1
            continue
        if found:
            print(f"{'stale:   ' if check else 'written: '}{label}")
            status = status or int(check)
    if check and status:
        print("run `make gen` and commit the result")
    return status


if __name__ == "__main__":
    sys.exit(main())
