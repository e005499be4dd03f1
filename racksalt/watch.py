"""A live table of all nodes, for a screen in the data centre."""

from __future__ import annotations

import time
from collections import Counter

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from racksalt.bootstrap import App
from racksalt.cli_output import node_table

PAUSE_S = 0.5


def watch(app: App, seconds: float) -> None:
    """Show states and progress until interrupted, or for ``seconds`` (0: for ever)."""
    end = time.monotonic() + seconds if seconds else float("inf")
    try:
        with Live(picture(app), refresh_per_second=4, transient=False) as live:
            while time.monotonic() < end:
                time.sleep(PAUSE_S)
                live.update(picture(app))
    except KeyboardInterrupt:
        return


def picture(app: App) -> Group:
    """Return the table, the counts by state and how far the site is."""
    nodes = app.operations.list_nodes()
    counts = Counter(node["state"] for node in nodes)
    told = "   ".join(f"{state} {count}" for state, count in sorted(counts.items()))
    bar = ProgressBar(total=max(len(nodes), 1), completed=counts["ready"], width=40)
    return Group(node_table(nodes), Text(told), bar)
