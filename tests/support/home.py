"""A small installation below a temporary folder, and the command line over it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import open_app, settings_from
from racksalt.cli import cli
from racksalt.settings import BootApi, GraphqlApi, Settings
from tests.support.sites import a_site


class Home:
    """Where everything of one installation is."""

    def __init__(self, root, **site):
        self.root = root
        self.site = a_site(root, **site)
        self.settings_file = root / "racksalt.yaml"
        self.change()

    def change(self, **fields):
        """Write the settings, with some of them changed."""
        given = {
            "database": f"sqlite:///{self.root}/racksalt.db",
            "secrets": str(self.root / "secrets"),
            "site": str(self.site),
            "boot_api": BootApi(port=1),
            "graphql": GraphqlApi(port=2),
        }
        self.settings = Settings(**{**given, **fields})
        write_settings(self.settings_file, self.settings)

    def open(self):
        """Return an app over it; the caller closes it."""
        return open_app(settings_from(self.settings_file))

    def run(self, *arguments):
        """Run the command line; return its result."""
        environment = {**os.environ, "RACKSALT_SETTINGS": str(self.settings_file), "COLUMNS": "200"}
        return CliRunner().invoke(cli, [str(it) for it in arguments], env=environment)

    def json(self, *arguments):
        """Run a command with ``--json`` and return what it printed."""
        result = self.run(*arguments, "--json")
        assert result.exception is None or result.exit_code == 1, result.exception
        return json.loads(result.stdout)


@pytest.fixture
def home(tmp_path) -> Iterator[Home]:
    """Two racks with two declared nodes, ``n1`` and ``n2``, taken into the store."""
    found = Home(tmp_path, racks={"r1": "z1", "r2": "z2"}, nodes=("n1", "n2"))
    app = found.open()
    app.operations.declare()
    app.close()
    return found
