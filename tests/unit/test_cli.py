"""The command line over a small installation."""

from __future__ import annotations

import json
import sys

import pytest
import typer

from racksalt import __version__
from racksalt import cli as module
from racksalt.cli import cli
from racksalt.psm.table import COMMANDS
from racksalt.settings import ImageSettings
from tests.support import reinstall
from tests.support.home import home  # noqa: F401  a fixture

# ruff: noqa: F811  the fixture is asked for by its name


def _leaves(command, path=()):
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _leaves(child, (*path, name))
    if not children:
        yield " ".join(path), {option for it in command.params for option in it.opts}


COMMAND_OPTIONS = dict(_leaves(typer.main.get_command(cli)))
WRITING = [f"node {command.replace('_', '-')}" for command in COMMANDS] + [
    *("site declare", "site forget-network")
]


@pytest.mark.parametrize("name", [n for n in COMMAND_OPTIONS if n.split()[0] in ("node", "token")])
def test_every_answer_is_there_as_json(name):
    """What a person can read, a program can read."""
    assert "--json" in COMMAND_OPTIONS[name]


@pytest.mark.parametrize("name", WRITING)
def test_every_command_that_changes_nodes_can_be_planned(name):
    """Nothing surprises: ask first what would happen."""
    assert "--dry-run" in COMMAND_OPTIONS[name]


def test_nodes_are_listed_and_narrowed(home):
    """By state, rack and zone; a table for people, JSON for programs."""
    assert [node["id"] for node in home.json("node", "list")] == ["n1", "n2"]
    assert [node["id"] for node in home.json("node", "list", "--rack", "r2")] == ["n2"]
    assert [node["id"] for node in home.json("node", "list", "--zone", "z1")] == ["n1"]
    assert home.json("node", "list", "--state", "ready") == []
    table = home.run("node", "list").stdout
    assert "n1" in table
    assert "declared" in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--state", "redy"), "no state 'redy'\n  did you mean ready"),
        (("--rack", "nosuch"), "no rack 'nosuch'\n  there is r1, r2"),
        (("--zone", "nosuch", "--json"), "no zone 'nosuch'\n  there is z1, z2"),
    ],
)
def test_names_that_nobody_knows_are_no_empty_list(home, capsys, monkeypatch, arguments, told):
    """A typing error is told with the names that there are; exit status 1."""
    monkeypatch.setenv("RACKSALT_SETTINGS", str(home.settings_file))
    monkeypatch.setattr(sys, "argv", ["racksalt", "node", "list", *arguments])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 1
    assert told in capsys.readouterr().err


def test_what_the_system_refuses_is_one_line(home, capsys, monkeypatch):
    """A folder below a file cannot be made: the place and the reason, and no traceback."""
    folder = home.settings_file / "images"
    home.change(images=ImageSettings(folder=str(folder)))
    monkeypatch.setenv("RACKSALT_SETTINGS", str(home.settings_file))
    monkeypatch.setattr(sys, "argv", ["racksalt", "image", "key"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.splitlines()[0] == f"error: {folder}: Not a directory"


@pytest.mark.parametrize("words", [("lab", "fleet"), ("demo",)])
def test_a_fleet_of_no_machine_is_wrong_usage(home, words):
    """Nothing is measured over nothing."""
    result = home.run(*words, "--nodes", "0")
    assert result.exit_code == 2
    assert "--nodes" in result.output


def test_a_dry_run_changes_nothing(home):
    """The plan names transitions and reboots, and the node stays where it is."""
    plan = home.json("node", "commission", "n1", "--dry-run")
    assert plan["dry_run"] is True
    assert plan["plan"]["nodes"][0]["reboots"] >= 1
    assert home.json("node", "show", "n1")["state"] == "declared"
    assert "nothing was done" in home.run("node", "commission", "n1", "--dry-run").stdout


@pytest.fixture
def ready(home):
    """The small installation with ``n1`` in ready; give what its database holds by now."""
    app = home.open()
    reinstall.make_ready(app, "n1")
    yield lambda: reinstall.everything(app.store)
    app.close()


def test_a_reinstalls_dry_run_lists_all_that_it_would_do_and_does_nothing(home, ready):
    """Programs get the plan that runner and GraphQL give, too; the database keeps every row as it was."""
    before = ready()
    assert home.json("node", "reinstall", "n1", "--dry-run") == {
        "command": "reinstall",
        "dry_run": True,
        "accepted": [],
        "refused": [],
        "plan": reinstall.the_plan("n1"),
    }
    assert ready() == before
    assert home.json("node", "show", "n1")["state"] == "ready"


def test_a_person_reads_transitions_reboots_and_disks_of_a_reinstall(home, ready):
    """Nothing of the plan is left out of the text, and its last line says that nothing was done."""
    before = ready()
    told = home.run("node", "reinstall", "n1", "--dry-run")
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "n1: 2 reboots, ends in ready",
        "  wipes nvme0n1 (3840 GB, serial D2)",
        "  wipes sda (480 GB, serial D1)",
        "  ready --reinstall--> installing [partition]",
        "  installing --stage_succeeded--> installing [image]",
        "  installing --stage_succeeded--> installing [configure]",
        "  installing --stage_succeeded--> enrolling",
        "  enrolling --agent_answered--> ready",
        f"plan {reinstall.the_plan('n1')['hash']} (nothing was done)",
    ]
    assert ready() == before


def test_a_refused_command_says_what_is_legal_and_exits_with_1(home):
    """The refusal names state, event and the events that the state accepts."""
    result = home.run("node", "reinstall", "n1")
    assert result.exit_code == 1
    assert "'declared' does not accept 'reinstall'" in result.stderr
    assert "commission" in result.stderr


def test_a_plan_that_is_out_of_date_is_refused(home):
    """Whoever commits a plan gets that plan or nothing."""
    plan = home.json("node", "approve", "n1", "--dry-run")["plan"]["hash"]
    assert home.run("node", "approve", "n1", "--plan", "0" * len(plan)).exit_code == 1
    assert home.run("node", "approve", "n1", "--plan", plan).exit_code == 0
    assert home.json("node", "show", "n1")["approved"] is True


def test_why_and_history_tell_of_a_command(home):
    """The journal has who asked, why has what it waits for."""
    home.run("node", "commission", "n1")
    assert home.json("node", "why", "n1")["state"] == "discovering"
    newest = home.json("node", "history", "n1")[0]
    assert newest["event"] == "commission"
    assert newest["actor"]
    for command in ("why", "history", "show"):
        result = home.run("node", command, "n1")
        assert result.exit_code == 0
        assert "discovering" in result.stdout


def test_a_token_is_shown_once_and_can_be_revoked(home):
    """Listing never shows the secret again."""
    made = home.json("token", "create", "dashboard", "--scope", "topology:read")
    listed = home.run("token", "list", "--json").stdout
    assert made["secret"] not in listed
    assert json.loads(listed)[0]["name"] == "dashboard"
    assert "last_used_at" not in listed, "nothing writes it"
    assert home.run("token", "revoke", made["id"]).exit_code == 0


def test_declaring_twice_changes_nothing_the_second_time(home):
    """The first declaration was done when the installation was made."""
    assert home.json("site", "declare") == {}
    assert home.json("site", "declare", "--dry-run") == {}


def test_a_network_that_no_file_declares_is_named_and_forgotten(home):
    """Declaring says which there are and how to be rid of one; a trial says what forgetting it would change."""
    networks = home.site / "site/networks.yaml"
    networks.write_text("networks: {p2: {cidr_v4: 10.2.0.0/24}}\n")
    declared = home.run("site", "declare")
    assert "forget-network" not in declared.output
    assert home.run("site", "forget-network", "p2").exit_code != 0, "a file declares it"
    networks.unlink()
    assert home.json("site", "declare", "--dry-run") == {}
    assert "racksalt site forget-network p2" in home.run("site", "declare").output
    for _ in range(2):
        trial = home.json("site", "forget-network", "p2", "--dry-run")
        assert trial == {"gone_networks": ["p2"]}
    assert home.json("site", "forget-network", "p2") == trial
    assert "forget-network" not in home.run("site", "declare").output


def test_a_site_with_an_error_is_listed_with_exit_status_1(home):
    """The check names file, key, message and remedy."""
    assert home.run("site", "check", home.site).exit_code == 0
    (home.site / "site/more.yaml").write_text("nodes: {n3: {rack: nowhere}}\n")
    result = home.run("site", "check", home.site)
    assert result.exit_code == 1
    assert "site/more.yaml: nodes:n3:rack: no rack 'nowhere'\n  there is" in result.stdout


def test_the_diagram_marks_where_a_node_is(home):
    """Without a node it is the one in README."""
    assert "here" not in home.run("psm", "diagram").stdout
    assert "class declared here" in home.run("psm", "diagram", "--node", "n1").stdout


def test_the_version_is_printed(home):
    """Without any settings."""
    assert home.run("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["node", "show", "n9"], "n9"),
        (["explain", "n1", "no:such:key"], "no:such:key"),
        (["token", "create", "x", "--scope", "everything"], "everything"),
        (["--settings", "/nonexistent/racksalt.yaml", "node", "list"], "/nonexistent"),
    ],
)
def test_an_error_is_one_line_and_a_hint(home, monkeypatch, capsys, arguments, told):
    """No traceback for what a person can mend; exit status 1."""
    monkeypatch.setenv("RACKSALT_SETTINGS", str(home.settings_file))
    monkeypatch.setattr(sys, "argv", ["racksalt", *arguments])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert len(error.splitlines()) >= 2


def test_wrong_usage_exits_with_2(home):
    """As every Unix program does."""
    assert home.run("node", "dance").exit_code == 2
