"""What can be set, asked or met is in the documentation."""

from __future__ import annotations

import re

import pytest

from racksalt.psm.table import COMMANDS, STATES
from racksalt.settings import Settings
from tests.support import source
from tools.describe import setting_rows

DOCS = source.Path("docs")
PAGES = sorted(source.under("docs", suffix=".md"))
FRONT = [source.Path("README.md"), source.Path("CONTRIBUTING.md")]


@pytest.mark.parametrize("row", list(setting_rows(Settings)), ids=lambda row: row[0])
def test_every_setting_says_what_it_means(row):
    """Each key is in the reference, with a meaning."""
    key, _, _, meaning = row
    assert f"`{key}`" in source.text(DOCS / "reference/settings.md")
    assert len(meaning.split()) >= 3, f"{key}: write a line under the field in settings.py"


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_every_state_is_explained(state):
    """Each state is in the reference of the machine, with its meaning."""
    page = source.text(DOCS / "reference/psm.md")
    assert f"`{state.name}`" in page
    assert state.meaning in page


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_found_by_who_needs_it(command):
    """Each command of a person is shown in the command line's reference."""
    name = command.replace("_", "-")
    page = source.text(DOCS / "reference/cli.md")
    assert re.search(rf"^## racksalt node {name}$", page, re.MULTILINE)


def test_links_between_files_lead_somewhere():
    """No relative link in a Markdown file of ours is dead."""
    dead = [
        f"{page}: {target}"
        for page in [*PAGES, *FRONT]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", source.text(page))
        if "://" not in target and not (source.ROOT / page.parent / target).exists()
    ]
    assert not dead


def test_files_that_pages_name_exist():
    """A path of the code in backticks is there (states and layers are what readers write themselves)."""
    tops = "racksalt|salt|conf|graphql_api|tests|tools|benchmarks"
    gone = [
        f"{page}: {name}"
        for page in [*PAGES, *FRONT]
        for name in re.findall(rf"`((?:{tops})/[\w./-]+\.\w+)`", source.text(page))
        if not (source.ROOT / name).exists()
    ]
    assert not gone


def test_make_targets_that_are_named_exist():
    """Each ``make x`` in README, CONTRIBUTING and docs is a target of the Makefile."""
    makefile = source.text(source.Path("Makefile"))
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = {
        name
        for page in [*PAGES, *FRONT]
        for name in re.findall(r"`make ([a-z0-9-]+)", source.text(page))
    }
    assert named <= targets


def test_help_lists_every_target():
    """``make`` alone shows each target with its comment."""
    makefile = source.text(source.Path("Makefile"))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    commented = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    assert phony == commented
