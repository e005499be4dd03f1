"""A Salt master's pillar compiler over a site and a store of its own; no daemon runs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from racksalt.bootstrap import open_app, settings_from
from racksalt.conductor.declare import declare
from tests.support.sites import a_site

BMC = {"address": "10.9.0.1", "username": "bmc-user", "secret": "file:bmc-entry"}


@pytest.fixture
def master(tmp_path, repository):
    """Options of a master with two declared nodes, ``compile`` for the pillar of a minion, and the site's folder."""
    import salt.config
    import salt.pillar

    site = a_site(
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
    settings = tmp_path / "racksalt.yaml"
    database = f"sqlite:///{tmp_path}/racksalt.db"
    secrets = str(tmp_path / "secrets")
    settings.write_text(
        yaml.safe_dump({"database": database, "secrets": secrets, "site": str(site)})
    )
    app = open_app(settings_from(settings))
    declare(app.store, app.site.declarations, 1000.0)
    app.close()
    (tmp_path / "roots").mkdir()
    opts = salt.config.apply_master_config(
        {
            "root_dir": str(tmp_path / "salt"),
            "cachedir": str(tmp_path / "salt/cache"),
            "module_dirs": [str(repository / "salt")],
            "file_roots": {"base": [str(repository / "salt")]},
            "pillar_roots": {"base": [str(tmp_path / "roots")]},
            "ext_pillar": [{"racksalt": {}}],
            "racksalt": {"settings": str(settings)},
        }
    )

    def compiled(minion, grains=None):
        pillar = salt.pillar.Pillar(dict(opts), grains or {}, minion, "base")
        try:
            return pillar.compile_pillar()
        finally:
            pillar.destroy()

    return SimpleNamespace(opts=opts, compile=compiled, site=site, roots=tmp_path / "roots")
