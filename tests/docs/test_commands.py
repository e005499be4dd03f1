"""Commands that pages show exist: nobody at three in the morning types what was renamed."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from racksalt.cli import cli
from tests.support import source

PAGES = [
    *source.under("docs", suffix=".md"),
    source.Path("README.md"),
    source.Path("CONTRIBUTING.md"),
]
SHOWN = re.compile(r"(?:^[$#] |`)(racksalt (?!-c)[a-z][^`\n]*)", re.MULTILINE)
RUNNER = re.compile(r"salt-run racksalt\.([a-z_]+)")


def _shown():
    return sorted(
        {(str(page), text.strip()) for page in PAGES for text in SHOWN.findall(source.text(page))}
    )


def _resolve(words):
    command = typer.main.get_command(cli)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize(("page", "text"), _shown())
def test_every_racksalt_command_in_the_docs_exists(page, text):
    """Command, subcommand and options are those of the command line."""
    words = shlex.split(text.split("#")[0])[1:]
    command, rest = _resolve(words)
    known = {option for it in command.params for option in [*it.opts, *it.secondary_opts]}
    options = {word.split("=")[0] for word in rest if word.startswith("--") and word != "--help"}
    assert options <= known, f"{page}: {text}"
    groups = getattr(command, "commands", None)
    assert not groups or not [word for word in rest if not word.startswith("-")], f"{page}: {text}"


def test_every_runner_function_in_the_docs_exists():
    """What follows ``salt-run racksalt.`` is a function of the runner."""
    runner = source.Path("salt/_runners/racksalt_runner.py")
    aliases = source.constant(runner, "__func_alias__") or {}
    known = {aliases.get(it.name, it.name) for it in source.loader_functions(runner)}
    named = {(str(page), name) for page in PAGES for name in RUNNER.findall(source.text(page))}
    assert named
    assert not [it for it in named if it[1] not in known]
