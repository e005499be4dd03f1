"""No sequence of events, and no facts, lead out of the table."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from racksalt.model.errors import IllegalEventError
from racksalt.psm.kernel import Facts, Kind
from racksalt.psm.table import MACHINE, STATES

EVENTS = sorted({row.event for row in MACHINE.transitions})
BUSY = [s.name for s in STATES if s.kind is Kind.BUSY]
BOOLEANS = [f.name for f in fields(Facts) if f.type == "bool"]
FACTS = st.builds(
    Facts,
    goal=st.sampled_from(["ready", "commissioned", "retired"]),
    next_stage=st.sampled_from([None, "inventory", "raid"]),
    **{name: st.booleans() for name in BOOLEANS},
)


class Life(RuleBasedStateMachine):
    """A node to which anything happens, with whatever facts; ``origin`` is kept as the conductor keeps it."""

    @initialize(first=st.sampled_from(MACHINE.initial))
    def begin(self, first):
        """Start where nodes start."""
        self.state, self.origin = first, None

    @rule(event=st.sampled_from(EVENTS), facts=FACTS)
    def happen(self, event, facts):
        """Hand in any event: a row of the table is taken, or it is refused and nothing moved."""
        facts = Facts(
            **{f.name: getattr(facts, f.name) for f in fields(Facts)} | {"origin": self.origin}
        )
        try:
            row = MACHINE.step(self.state, event, facts)
        except IllegalEventError:
            fitting = [
                row for row in MACHINE.transitions if (row.source, row.event) == (self.state, event)
            ]
            assert not any(MACHINE.guards[row.guard](facts) for row in fitting)
            return
        assert row in MACHINE.transitions
        assert (row.source, row.event) == (self.state, event)
        if MACHINE.states[row.target].kind is Kind.PROBLEM and row.source != row.target:
            self.origin = row.source
        elif row.source != row.target:
            self.origin = None
        self.state = row.target

    @invariant()
    def is_in_the_table(self):
        """The state is one of the table's, and somebody can do something about it."""
        if hasattr(self, "state"):
            assert self.state in MACHINE.states
            assert MACHINE.legal(self.state)

    @invariant()
    def time_alone_ends_every_wait(self):
        """A busy state parks when its budget is spent, whatever the facts; from there a person sends it on."""
        if getattr(self, "state", None) in BUSY:
            assert MACHINE.step(self.state, "deadline_passed", Facts()).target == "problem"
            assert MACHINE.step("problem", "recover", Facts(origin=self.state)).target == self.state


TestLife = Life.TestCase


@pytest.mark.parametrize("start", BUSY)
@pytest.mark.parametrize("goal", ["ready", "commissioned", "retired"])
def test_every_busy_state_reaches_rest_when_all_goes_well(start, goal):
    """Success after success ends in a quiet state, within few steps."""
    facts = Facts(approved=True, vouched=True, goal=goal)
    state = start
    for _ in range(10):
        if MACHINE.states[state].kind is Kind.REST:
            return
        legal = MACHINE.legal(state)
        event = next(
            e for e in ("stage_succeeded", "agent_answered", "inventory_reported") if e in legal
        )
        state = MACHINE.step(state, event, facts).target
    pytest.fail(f"{start} does not come to rest")
