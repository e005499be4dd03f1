"""Whatever happens, in whatever order, twice or after a restart: the journal tells the truth and nobody is stuck."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from racksalt.conductor.decide import LANES
from racksalt.conductor.handle import handle
from racksalt.conductor.operations import _replayed
from racksalt.model.event import Event
from racksalt.psm.kernel import Kind
from racksalt.psm.table import MACHINE
from racksalt.store import Store
from tests.support.builders import NOW, a_node, the_rules

NODES = ["n1", "n2", "n3"]
STRANGER = "node-020000000009"
EVENTS = sorted({row.event for row in MACHINE.transitions})
SOURCES = ["boot", "keys", "jobs", "clock", "operator", "conductor", "power"]
RULES = the_rules(vouch=lambda node, _event: node.id == "n2", discovery_limit=1)
MARKS = st.fixed_dictionaries(
    {},
    optional={
        "boot": st.integers(0, 4),
        "address": st.sampled_from(["10.0.0.1", "10.0.0.2"]),
        "jid": st.sampled_from(["20260101000000000001", "mine"]),
        "inventory": st.sampled_from([{}, {"serial": "S1"}, {"serial": "S2"}, "nonsense"]),
        "goal": st.sampled_from(["ready", "commissioned"]),
        "message": st.text(max_size=20),
        "generation": st.integers(1, 3),
        "environment": st.sampled_from(["live", "installer", "local"]),
    },
)
SOME_EVENT = st.builds(
    dict,
    node=st.sampled_from([*NODES, STRANGER, "ghost"]),
    name=st.sampled_from(EVENTS),
    source=st.sampled_from(SOURCES),
    data=MARKS,
)


class Storm(RuleBasedStateMachine):
    """A store that takes any events, in batches, again, with crashes in between; ``told`` are all outcomes so far."""

    @initialize()
    def begin(self):
        """Open a store with three nodes; the first is approved."""
        self.folder = Path(tempfile.mkdtemp(prefix="racksalt-storm-"))
        self.url = f"sqlite:///{self.folder}/racksalt.db"
        self.store, self.numbers, self.now = Store(self.url), itertools.count(), NOW
        self.told, self.sent = {}, []
        with self.store.write() as tx:
            tx.add_nodes([a_node(name, approved=name == "n1") for name in NODES])

    def teardown(self):
        """Close it."""
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def hand_in(self, events):
        """Handle events in one transaction; each id has one sequence number for ever."""
        with self.store.write() as tx:
            outcomes = handle(tx, events, RULES, self.now)
        for event, outcome in zip(events, outcomes, strict=True):
            assert self.told.setdefault(event.id, outcome.seq) == outcome.seq
        self.sent += events
        return outcomes

    def event(self, made):
        """Return an event with an id of its own; ``mine`` stands for the node's own job."""
        data = dict(made["data"])
        node = self.store.nodes_by_id([made["node"]])
        if data.get("jid") == "mine":
            data["jid"] = node[0].job if node else None
        fields = {**made, "data": data, "id": f"e{next(self.numbers)}", "at": self.now}
        return Event(**fields)

    @rule(batch=st.lists(SOME_EVENT, min_size=1, max_size=6))
    def happen(self, batch):
        """Anything happens."""
        self.hand_in([self.event(made) for made in batch])

    @rule(batch=st.lists(SOME_EVENT, min_size=1, max_size=4))
    def crash(self, batch):
        """The process dies before the commit: nothing of the batch is there; then it comes again."""
        head, nodes = self.store.head(), self.store.nodes()
        events = [self.event(made) for made in batch]
        with suppress(KeyboardInterrupt), self.store.write() as tx:
            handle(tx, events, RULES, self.now)
            signal.raise_signal(signal.SIGINT)
        self.store.close()
        self.store = Store(self.url)
        assert (self.store.head(), self.store.nodes()) == (head, nodes)
        self.hand_in(events)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data):
        """A sender that did not hear the answer sends again: nothing changes."""
        head, nodes = self.store.head(), self.store.nodes()
        again = data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=5))
        outcomes = self.hand_in(again)
        assert all(outcome.entry is None for outcome in outcomes)
        assert (self.store.head(), self.store.nodes()) == (head, nodes)

    @rule(name=st.sampled_from(NODES))
    def go_well(self, name):
        """What was asked for comes true, so that nodes get far."""
        node = self.store.node(name)
        made = {"node": name, "name": "agent_answered", "source": "jobs", "data": {}}
        if node.job:
            made |= {"name": "stage_succeeded", "data": {"jid": node.job}}
        elif node.state in ("declared", "commissioned", "ready"):
            command = {"declared": "commission", "commissioned": "install", "ready": "reinstall"}
            made |= {"name": command[node.state], "source": "operator"}
        self.hand_in([self.event(made)])

    @rule(seconds=st.sampled_from([1, 600, 4000]))
    def pass_time(self, seconds):
        """Time passes; deadlines that passed are told."""
        self.now += seconds
        late = [
            {"node": n.id, "name": "deadline_passed", "source": "clock", "data": {"boot": n.boot}}
            for n in self.store.overdue(self.now)
        ]
        self.hand_in([self.event(made) for made in late])

    @invariant()
    def the_journal_has_no_gap(self):
        """Sequence numbers are 1 to head, event ids are there once."""
        if hasattr(self, "store"):
            entries = self.store.journal(limit=100_000)
            assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
            assert len({entry.event_id for entry in entries}) == len(entries)

    @invariant()
    def the_journal_gives_each_state(self):
        """Replayed from empty, it gives the state of each node that ever moved; the others are as declared."""
        if hasattr(self, "store"):
            states = {}
            for entry in self.store.journal(limit=100_000):
                _replayed(states, entry)
            for node in self.store.nodes():
                assert states.get(node.id, "declared") == node.state

    @invariant()
    def nobody_is_stuck_in_silence(self):
        """A busy node has a deadline, a quiet one has none; a node in problem has reason and origin."""
        for node in self.store.nodes() if hasattr(self, "store") else ():
            kind = MACHINE.states[node.state].kind
            assert (node.deadline_at is not None) is (kind is Kind.BUSY), node
            if kind is Kind.PROBLEM:
                assert node.reason
                assert MACHINE.states[node.origin].kind is Kind.BUSY
            assert node.job is None or kind is Kind.BUSY

    @invariant()
    def what_is_pending_belongs_to_the_present(self):
        """Nothing but the revoking of keys and a person's power commands is left over from before."""
        for node in self.store.nodes() if hasattr(self, "store") else ():
            for row in self.store.pending_effects(node.id):
                assert row["name"] in LANES
            assert len(self.store.boots(node.id)) >= (1 if node.boot else 0)

    @invariant()
    def strangers_stay_within_their_limit(self):
        """No flood of boot requests makes more nodes than the limit, and nobody becomes one by talking."""
        if hasattr(self, "store"):
            assert len(self.store.nodes()) <= len(NODES) + RULES.discovery_limit
            assert not self.store.nodes_by_id(["ghost"]) or self.store.node("ghost").boot


Storm.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestStorm = Storm.TestCase
