"""The composition root."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt import bootstrap
from racksalt.adapters.site_files import write_site
from racksalt.model.errors import SettingsError, UnsoundMachineError
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


def test_nothing_starts_with_stages_that_are_not_sound(tmp_path):
    """There are no last good ones: the built-in sequences would do what the site took out."""
    place = Home(tmp_path)
    write_site(place.site, {"site/edit.yaml": {"sequences": {"commission": [{"drop": "gone"}]}}})
    with pytest.raises(UnsoundMachineError, match="'gone'") as caught:
        place.open()
    assert "racksalt site check" in caught.value.hint


@pytest.mark.parametrize(
    ("policy", "approved", "vouched"),
    [
        ({"approve": "hand"}, False, False),
        ({"approve": "hand"}, True, True),
        ({"approve": "manifest"}, False, False),
        ({"approve": "auto", "approve_limit": 1}, False, True),
        ({"approve": "auto", "approve_limit": 1}, True, True),
    ],
)
def test_the_sites_policy_vouches_for_unknown_machines(tmp_path, policy, approved, vouched):
    """By hand nobody goes on alone; automatically they do, and the two that are declared take nobody's place."""
    app = Home(tmp_path, nodes=("n1", "n2"), policy=policy).open()
    try:
        app.operations.declare()
        node = a_node("n9", "discovering", approved=approved)
        event = an_event("inventory_reported", "n9")
        assert app.rules().vouch(node, event) is vouched
    finally:
        app.close()


def test_the_first_unknown_machines_are_let_in_up_to_the_limit(tmp_path):
    """Declared and retired ones do not count, whoever was let in does; who reports first has no advantage."""
    policy = {"approve": "auto", "approve_limit": 2}
    app = Home(tmp_path, nodes=("n1", "n2", "node-1"), policy=policy).open()
    states = {
        "node-2": "retired",
        "node-3": "discovering",
        "node-4": "problem",
        "node-5": "discovering",
    }
    came = {"node-2": 1.0, "node-3": 2.0, "node-4": 2.0, "node-5": 3.0}
    strangers = {
        name: a_node(name, state, approved=False, created_at=came[name])
        for name, state in states.items()
    }  # fmt: skip

    def let_in():
        event = an_event("inventory_reported")
        names = ("node-5", "node-4", "node-3")
        return [name for name in names if app.rules().vouch(strangers[name], event)]

    try:
        app.operations.declare()
        with app.store.write() as tx:
            tx.add_nodes([*strangers.values(), a_node("by-a-state", approved=True)])
        assert let_in() == ["node-4", "node-3"]
        strangers["node-5"] = replace(strangers["node-5"], approved=True, version=2)
        with app.store.write() as tx:
            tx.update_nodes([(strangers["node-5"], 1)])
        assert let_in() == ["node-5", "node-3"]
        gone = replace(strangers["node-3"], state="retired", version=2)
        with app.store.write() as tx:
            tx.update_nodes([(gone, 1)])
        assert app.rules().vouch(strangers["node-4"], an_event("inventory_reported"))
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
