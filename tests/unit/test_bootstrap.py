"""The composition root."""

from __future__ import annotations

import pytest

from racksalt import bootstrap
from racksalt.adapters.site_files import write_site
from racksalt.model.errors import SettingsError
from tests.support.builders import a_node, an_event
from tests.support.home import Home, home  # noqa: F401  a fixture


def test_settings_come_from_the_argument_then_the_environment(tmp_path, monkeypatch):
    """What is named explicitly wins over RACKSALT_SETTINGS."""
    (tmp_path / "a.yaml").write_text("database: sqlite:///a\n")
    (tmp_path / "b.yaml").write_text("database: sqlite:///b\n")
    monkeypatch.setenv("RACKSALT_SETTINGS", str(tmp_path / "b.yaml"))
    assert bootstrap.settings_from().database == "sqlite:///b"
    assert bootstrap.settings_from(tmp_path / "a.yaml").database == "sqlite:///a"


def test_an_app_takes_the_sites_stages(tmp_path):
    """A site's own stage is in the sequences that the conductor uses."""
    stage = {"sls": "stages.burn_in_gpu", "when": {"rack": "r1"}, "after": "burn_in"}
    app = Home(tmp_path, stages={"burn_in_gpu": stage}).open()
    try:
        names = app.sequences.sequences["commission"]
        assert names.index("burn_in_gpu") == names.index("burn_in") + 1
    finally:
        app.close()


def test_an_unsound_edit_keeps_the_last_good_rules(tmp_path):
    """While it runs, a bad change of stages is told and changes nothing; mending it is taken at once."""
    place = Home(tmp_path)
    app = place.open()
    try:
        good = app.sequences.sequences["install"]
        edit = place.site / "site/edit.yaml"
        drops = [{"drop": name} for name in good]
        write_site(place.site, {"site/edit.yaml": {"sequences": {"install": drops}}})
        assert app.sequences.sequences["install"] == good
        assert app.rules.problem is not None
        assert "install" in app.rules.problem.message
        edit.unlink()
        assert app.sequences.sequences["install"] == good
        assert app.rules.problem is None
    finally:
        app.close()


@pytest.mark.parametrize(
    ("policy", "approved", "vouched"),
    [
        ({"approve": "hand"}, False, False),
        ({"approve": "hand"}, True, True),
        ({"approve": "auto", "approve_limit": 1}, False, False),
        ({"approve": "auto", "approve_limit": 2}, False, True),
    ],
)
def test_the_sites_policy_vouches_for_unknown_machines(tmp_path, policy, approved, vouched):
    """By hand nobody goes on alone; automatically they do, up to the limit (two nodes are in the store)."""
    app = Home(tmp_path, nodes=("n1", "n2"), policy=policy).open()
    try:
        app.operations.declare()
        node = a_node("n9", "discovering", approved=approved)
        event = an_event("inventory_reported", "n9")
        assert app.rules().vouch(node, event) is vouched
    finally:
        app.close()


def test_salts_loader_gets_one_app_per_process(home, monkeypatch):  # noqa: F811
    """Module files are run anew again and again; connections must not be."""
    opts = {"racksalt": {"settings": str(home.settings_file)}}
    app = bootstrap.shared_app(opts)
    try:
        assert bootstrap.shared_app(opts) is app
        monkeypatch.setattr("os.getpid", lambda: -1)
        forked = bootstrap.shared_app(opts)
        assert forked is not app
        forked.close()
    finally:
        bootstrap._shared.cache_clear()
        app.close()


@pytest.mark.parametrize("opts", [{}, {"racksalt": None}, {"racksalt": {}}])
def test_a_master_without_settings_is_told_what_is_missing(opts):
    """The error names the key of the master's configuration."""
    with pytest.raises(SettingsError, match="racksalt"):
        bootstrap.shared_app(opts)
