"""A Salt master's pillar compiler over a site and a store of its own; no daemon runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from racksalt.bootstrap import open_app, settings_from
from racksalt.conductor.declare import declare
from tests.support.sites import a_site

BMC = {"address": "10.9.0.1", "username": "bmc-user", "secret": "file:bmc-entry"}


class PillarMaster:
    """What of a master compiles pillar. ``site`` and ``roots`` are its folders of layers and of own pillar."""

    def __init__(self, folder: Path, repository: Path) -> None:
        import salt.config

        self.roots, self.site, self.settings = (
            folder / "roots",
            folder / "pillar",
            folder / "r.yaml",
        )
        self.roots.mkdir()
        self.opts = salt.config.apply_master_config(
            {
                "root_dir": str(folder / "salt"),
                "cachedir": str(folder / "salt/cache"),
                "module_dirs": [str(repository / "salt")],
                "file_roots": {"base": [str(repository / "salt")]},
                "pillar_roots": {"base": [str(self.roots)]},
                "ext_pillar": [{"racksalt": {}}],
                "racksalt": {"settings": str(self.settings)},
            }
        )

    def compile(self, minion: str, grains: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the pillar that Salt compiles for a minion."""
        import salt.pillar

        pillar = salt.pillar.Pillar(dict(self.opts), grains or {}, minion, "base")
        try:
            return pillar.compile_pillar()
        finally:
            pillar.destroy()


@pytest.fixture
def master(tmp_path, repository):
    """A master whose site declares two nodes, and whose store has them."""
    made = PillarMaster(tmp_path, repository)
    a_site(
        tmp_path,
        racks={"r1": "z1", "r2": "z2"},
        nodes={"n1": {"bmc": BMC}, "n2": {}},
        layers={
            "global/base.sls": {"ntp": {"servers": ["10.0.0.1"]}, "only": "layers"},
            "rack/r1.sls": {"ntp": {"servers": ["10.1.0.1"]}},
            "node/n2.sls": {"api_token": "sdb://store/n2-only"},
        },
        networks={"a": {"zone": "z1", "cidr_v4": "10.1.0.0/24"}},
    )
    settings = {
        "database": f"sqlite:///{tmp_path}/racksalt.db",
        "secrets": str(tmp_path / "secrets"),
        "site": str(made.site),
    }
    made.settings.write_text(yaml.safe_dump(settings))
    app = open_app(settings_from(made.settings))
    declare(app.store, app.site.declarations, 1000.0)
    app.close()
    return made
