from __future__ import annotations

import re

from typer.testing import CliRunner

from racksalt.cli import cli
from racksalt.model.errors import InvalidInputError


def test_the_command_hands_its_options_to_the_lab(tmp_path):
    """`racksalt lab qemu` without images says what to build, before it touches a network."""
    result = CliRunner().invoke(cli, ["lab", "qemu", "--nodes", "2", "--images", str(tmp_path)])
    assert isinstance(result.exception, InvalidInputError)
    assert str(tmp_path) in result.exception.message


def test_its_help_says_what_it_needs():
    """Root and memory are told before somebody tries."""
    told = re.sub(r"\s+", " ", CliRunner().invoke(cli, ["lab", "qemu", "--help"]).stdout)
    assert "needs root" in told
