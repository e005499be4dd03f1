"""The how-to about layers, run on the example site."""

from __future__ import annotations

import re
import shlex
import shutil

import yaml
from typer.testing import CliRunner

from racksalt.cli import cli
from tests.support import source

PAGE = source.Path("docs/how-to/override-a-rack.md")


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```", source.text(PAGE), re.DOTALL | re.MULTILINE)


def test_each_command_of_the_page_answers_what_the_page_says(tmp_path, repository, monkeypatch):
    """Every ``$ racksalt`` line is run on a copy of the example site, and its output is the text below it."""
    shutil.copytree(repository / "pillar", tmp_path / "pillar")
    settings = tmp_path / "racksalt.yaml"
    database, secrets = f"sqlite:///{tmp_path}/racksalt.db", str(tmp_path / "secrets")
    site = str(tmp_path / "pillar")
    settings.write_text(yaml.safe_dump({"database": database, "secrets": secrets, "site": site}))
    (tmp_path / "new.sls").write_text(blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    commands = blocks("console")
    assert len(commands) >= 6
    for block in commands:
        command, _, expected = block.partition("\n")
        assert command.startswith("$ racksalt ")
        result = CliRunner().invoke(
            cli, shlex.split(command)[2:], env={"RACKSALT_SETTINGS": str(settings)}
        )
        assert (command, result.output) == (command, expected)
        assert result.exit_code == 0
