"""The runner for switches: verbs as ``salt-run`` gives them, errors in words."""

from __future__ import annotations

import json

import pytest
import salt.config
import salt.loader
from salt.exceptions import CommandExecutionError

from racksalt.adapters.settings_file import write_settings
from racksalt.bootstrap import shared_app
from racksalt.settings import Settings
from racksalt.share import share_dir
from tests.support.sites import a_site


@pytest.fixture
def run(tmp_path):
    """Call the runner as ``salt-run racksalt_switch.<verb>`` does; the switch is a namespace that is not there."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    tor = {
        "rack": "r1",
        "via": "local",
        "namespace": "nowhere",
        "ports": {"swp1": {"position_u": 1}},
    }
    site = a_site(tmp_path, switches={"tor": tor, "agg": {"rack": "r1", "via": "minion"}})
    settings = Settings(
        database=f"sqlite:///{tmp_path}/racksalt.db",
        secrets=str(tmp_path / "secrets"),
        site=str(site),
    )
    write_settings(tmp_path / "racksalt.yaml", settings)
    (tmp_path / "master").write_text(json.dumps({"id": "the-master"}))
    opts = salt.config.master_config(str(tmp_path / "master"))
    opts.update(
        module_dirs=[str(share_dir("salt"))],
        racksalt={"settings": str(tmp_path / "racksalt.yaml")},
    )
    loader = salt.loader.runner(opts)
    yield lambda verb, *args, **kwargs: loader[f"racksalt_switch.{verb}"](*args, **kwargs)
    shared_app(opts).close()


def test_the_runner_lists_switches_and_their_history(run):
    """Without asking any of them."""
    found = run("list")
    assert json.loads(json.dumps(found)) == found
    assert found["tor"]["driver"] == "linux"
    assert run("history", "tor", limit="5") == {"entries": []}


@pytest.mark.parametrize("verb", ["show", "plan", "drift", "apply", "clear", "rollback"])
def test_errors_are_words(run, verb):
    """A switch that nobody declared, for every verb."""
    with pytest.raises(CommandExecutionError, match="no switch 'torr' is declared"):
        run(verb, "torr")


@pytest.mark.parametrize("verb", ["show", "plan", "drift", "apply", "clear"])
def test_a_switch_that_cannot_be_asked_is_told(run, verb):
    """With its name and what the program said."""
    with pytest.raises(CommandExecutionError, match="tor: "):
        run(verb, "tor")
