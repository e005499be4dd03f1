"""How answers are printed."""

from __future__ import annotations

import json
import re
import time

import pytest
from rich.console import Console

from racksalt import cli_output
from racksalt.cli_output import ago, node_table, show


@pytest.mark.parametrize(
    ("passed_s", "told"),
    [(0, "0 s"), (119, "119 s"), (180, "3.0 min"), (3 * 3600, "3.0 h"), (4 * 86400, "4.0 d")],
)
def test_time_passed_is_told_in_the_unit_that_fits(passed_s, told):
    """Two of a unit are needed before it is used."""
    assert ago(time.time() - passed_s) == told


def test_unknown_and_future_instants_do_not_confuse():
    """No instant is no text; a clock that is a little ahead is now."""
    assert ago(None) == ""
    assert ago(time.time() + 60) == "0 s"


def test_json_is_sorted_and_complete(capsys):
    """Programs get everything, in a stable order."""
    show({"b": 1, "a": None}, True)
    assert capsys.readouterr().out == '{\n  "a": null,\n  "b": 1\n}\n'
    show([{"x": 1}], True)
    assert json.loads(capsys.readouterr().out) == [{"x": 1}]


def test_without_a_printer_of_its_own_an_answer_is_a_table(capsys):
    """Maps become lines, lists become rows, nothing becomes nothing."""
    show({"name": "n1", "disks": [1]}, False)
    assert "name  n1" in capsys.readouterr().out
    show([{"name": "n1", "zone": None}], False)
    assert "None" not in capsys.readouterr().out
    show([], False)
    assert capsys.readouterr().out == ""


ROW = {
    "id": "0123456789abcdef",
    "name": "dashboard of the whole data centre",
    "scopes": ["topology:read", "audit:read"],
    "created_at": 0.0,
    "created_by": "operator",
    "expires_at": 86400.5,
    "revoked_at": None,
}


def test_a_program_reads_each_row_in_one_line_and_whole(capsys, monkeypatch):
    """In a pipe there is no width: `grep` and `cut` get ids and paths as they are, lists and instants as words."""
    monkeypatch.setenv("COLUMNS", "40")
    path = "/var/lib/racksalt/" + "x" * 300
    show([ROW, {**ROW, "name": path}], False)
    printed = capsys.readouterr().out
    first, second = (line for line in printed.splitlines() if ROW["id"] in line)
    assert ROW["name"] in first
    assert "topology:read, audit:read" in first
    assert "1970-01-02 00:00Z" in first
    assert path in second
    assert "…" not in printed


@pytest.mark.parametrize("printed", ["rows", "nodes"])
def test_a_narrow_terminal_cuts_nothing_off(capsys, monkeypatch, printed):
    """What is too long goes on below, and the first column, which one copies, stays whole."""
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", "80")
    node = dict.fromkeys(("zone", "rack", "state", "stage", "power", "reason"), "installing" * 3)
    shown = {
        "rows": lambda: show([{**ROW, "seen": "/a" * 40}], False),
        "nodes": lambda: cli_output.print_nodes([{**node, "id": ROW["id"], "state_since": 0.0}]),
    }
    shown[printed]()
    lines = re.sub("\x1b.*?m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(ROW["id"] in line for line in lines)
    assert all(line.endswith(("│", "┃", "┓", "┩", "┘")) for line in lines)
    assert "…" not in "".join(lines)
    texts = "".join("".join(line.split("│")[-2].split()) for line in lines if "│" in line)
    assert {"rows": "/a" * 40, "nodes": "installing" * 3}[printed] in texts


def test_a_nodes_reason_is_in_the_table_as_it_is():
    """Square brackets in a reason are text and not markup."""
    node = {
        "id": "n1",
        "zone": "z1",
        "rack": None,
        "state": "problem",
        "stage": None,
        "state_since": time.time(),
        "power": "on",
        "reason": "disk [sda] failing",
    }
    console = Console(width=200, record=True)
    with console.capture() as captured:
        console.print(node_table([node]))
    assert "disk [sda] failing" in captured.get()


def test_a_run_tells_plan_acceptance_and_refusal(capsys):
    """Who reads it knows what will be wiped, who goes where, and who refused why."""
    answer = {
        "plan": {
            "hash": "abc",
            "nodes": [
                {
                    "node": "n1",
                    "reboots": 2,
                    "ends_in": "ready",
                    "disks_wiped": ["sda"],
                    "transitions": [
                        {"from": "ready", "event": "reinstall", "to": "installing", "stage": None}
                    ],
                }
            ],
        },
        "accepted": [{"node": "n1", "from": "ready", "to": "installing", "seq": 7}],
        "refused": [{"node": "n2", "message": "no", "hint": "wait"}],
        "dry_run": False,
    }
    cli_output.print_run(answer)
    printed = capsys.readouterr()
    assert "n1: 2 reboots, ends in ready" in printed.out
    assert "wipes sda" in printed.out
    assert "n1: ready -> installing (journal 7)" in printed.out
    assert "n2: refused: no (wait)" in printed.err


HOSTILE = "stage x: [/dev/sda] [bold]\x1b[2J\x07 failed\nnext"


@pytest.mark.parametrize("printed", ["nodes", "history", "run", "rows", "fields"])
def test_what_a_node_says_moves_no_cursor_and_breaks_no_table(capsys, printed):
    """Brackets are text, control characters are not sent to the terminal."""
    node = dict.fromkeys(("id", "zone", "rack", "state", "stage", "power"), "n1")
    entry = dict.fromkeys(("kind", "event", "from_state", "to_state", "stage", "actor"), "x")
    plan = {"node": "n1", "reboots": 1, "ends_in": "x", "disks_wiped": [HOSTILE], "transitions": []}
    refused = {"node": "n1", "message": HOSTILE, "hint": ""}
    told = {"plan": {"nodes": [plan], "hash": "h"}, "accepted": [], "dry_run": True}
    answers = {
        "nodes": lambda: cli_output.print_nodes([{**node, "state_since": 0.0, "reason": HOSTILE}]),
        "history": lambda: cli_output.print_history(
            [{**entry, "seq": 1, "at": 0.0, "source": "boot", "message": HOSTILE}]
        ),
        "run": lambda: cli_output.print_run({**told, "refused": [refused]}),
        "rows": lambda: show([{"a": HOSTILE}], False),
        "fields": lambda: show({"a": HOSTILE}, False),
    }
    answers[printed]()
    shown = "".join(capsys.readouterr())
    assert "sda" in shown
    assert not {"\x1b", "\x07"} & set(shown)


ENTRY = {
    "seq": 29,
    "at": 0.0,
    "kind": "transition",
    "event": "stage_failed",
    "from_state": "retiring",
    "to_state": "problem",
    "stage": "erase",
    "actor": "",
    "source": "jobs",
    "message": "erase: nothing was erased: sdq (serial S-7) is in the plan and not in the machine",
}


def test_a_history_keeps_every_word_in_a_narrow_terminal(capsys, monkeypatch):
    """What happened is a line, what was said of it is below; nothing is cut off."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    cli_output.print_history([ENTRY, {**ENTRY, "kind": "noted", "to_state": "retiring"}])
    lines = capsys.readouterr().out.splitlines()
    assert "stage_failed  retiring -> problem [erase]  by jobs" in lines[0]
    assert "stage_failed (noted)  retiring [erase]  by jobs" in lines[3]
    assert " ".join("".join(lines[1:3]).split()) == ENTRY["message"]
    assert max(map(len, lines)) <= 80


def test_a_history_that_a_program_reads_has_each_message_in_one_piece(capsys):
    """`grep` finds words that stand beside one another."""
    cli_output.print_history([ENTRY])
    assert capsys.readouterr().out.splitlines()[1].strip() == ENTRY["message"]
