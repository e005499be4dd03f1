"""The live table."""

from __future__ import annotations

from rich.console import Console

from racksalt.watch import picture, watch
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


def test_the_picture_has_every_node_and_the_counts(home):
    """Nodes, how many are in which state, and how far the site is."""
    app = home.open()
    try:
        console = Console(width=160)
        with console.capture() as captured:
            console.print(picture(app))
    finally:
        app.close()
    assert "n1" in captured.get()
    assert "declared 2" in captured.get()


def test_an_empty_site_has_a_picture_too(home):
    """Before anything is declared there is nothing to divide by."""
    home.change(database=f"sqlite:///{home.root}/other.db")
    app = home.open()
    try:
        with Console().capture() as captured:
            Console().print(picture(app))
        assert "n1" not in captured.get()
    finally:
        app.close()


def test_watching_ends_after_the_seconds_that_were_asked_for(home):
    """So that a script may watch."""
    app = home.open()
    try:
        watch(app, 0.1)
    finally:
        app.close()
