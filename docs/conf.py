"""Sphinx: MyST Markdown, warnings are errors (`make docs`)."""

from __future__ import annotations

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import racksalt

project = "racksalt"
author = "The racksalt authors"
copyright = "The racksalt authors"
version = release = racksalt.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "linkify"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"racksalt {version}"
html_theme_options = {"source_repository": "", "top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Show Mermaid as text: a diagram drawn by a script from a foreign server is no documentation offline."""
    app.add_lexer("mermaid", TextLexer)
    app.add_lexer("graphql", TextLexer)
