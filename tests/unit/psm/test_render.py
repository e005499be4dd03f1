"""The diagram and the tables are drawn from the machine, whole."""

from __future__ import annotations

import re

import pytest

from racksalt.psm.kernel import Kind
from racksalt.psm.render import QUIET, mermaid, tables_markdown
from racksalt.psm.sequences import SEQUENCES, STAGES, Sequences
from racksalt.psm.table import MACHINE

TEXT = mermaid(MACHINE)
TABLES = tables_markdown(MACHINE, Sequences(STAGES, SEQUENCES, MACHINE))
ARROW = re.compile(r"^    (\w+|\[\*\]) --> (\w+)(?:: (.+))?$", re.MULTILINE)


@pytest.mark.parametrize("state", MACHINE.states)
def test_each_state_has_an_arrow_in(state):
    """No state is missing in the picture, and each can be reached in it."""
    assert any(target == state for _, target, _ in ARROW.findall(TEXT))


def test_each_arrow_is_a_row_and_each_moving_row_an_arrow():
    """The picture shows every move, and none that the table has not."""
    drawn = {(a, b) for a, b, _ in ARROW.findall(TEXT) if a != "[*]"}
    rows = {(t.source, t.target) for t in MACHINE.transitions if t.source != t.target}
    assert drawn == rows


def test_the_way_to_problem_is_drawn_once():
    """What every busy state answers alike is one arrow."""
    assert not [label for *_, label in ARROW.findall(TEXT) if set(label.split(", ")) & set(QUIET)]


def test_a_node_is_marked_where_it_is():
    """``here`` puts one state in bold."""
    assert "class ready here" in mermaid(MACHINE, "ready")
    assert "here" not in TEXT


def test_an_extended_machine_is_drawn_with_its_extension():
    """Nothing of the picture is written by hand."""
    from racksalt.psm.kernel import State, Transition

    drained = State("drained", Kind.REST, "local", None, "Empty.")
    rows = [
        Transition("ready", "drain", None, "drained"),
        Transition("drained", "fill", None, "ready"),
    ]
    assert "ready --> drained: drain" in mermaid(MACHINE.extend([drained], rows))


def test_the_tables_have_everything():
    """Each state, transition, stage and sequence has its line."""
    for name in (*MACHINE.states, *(s.name for s in STAGES), *SEQUENCES):
        assert f"| `{name}` |" in TABLES
    rows = [line for line in TABLES.splitlines() if line.startswith("| `")]
    assert len(rows) == len(MACHINE.states) + len(MACHINE.transitions) + len(STAGES) + len(
        SEQUENCES
    )


@pytest.mark.parametrize("file", ["README.md", "docs/reference/psm.md"])
def test_what_is_committed_is_what_the_table_says(repository, file):
    """The diagram in README and reference equals the table."""
    assert TEXT in (repository / file).read_text(encoding="utf-8"), "run `make gen`"
