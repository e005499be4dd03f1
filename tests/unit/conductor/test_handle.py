"""The main path: a batch of events is one transaction, each event counts once."""

from __future__ import annotations

import pytest

from racksalt.conductor import Conductor
from racksalt.conductor.handle import MOST_BOOTS, handle, job_id
from racksalt.model.errors import IllegalEventError, NotFoundError, StoreError
from racksalt.model.node import Disk, Hardware, Nic
from racksalt.settings import ConductorSettings
from tests.support.builders import NOW, a_boot, a_node, an_event, the_rules
from tests.support.fakes import FakeWorld

RULES = the_rules()


def happen(store, *events, rules=RULES, now=NOW):
    """Handle events in one transaction; return the outcomes."""
    with store.write() as tx:
        return handle(tx, events, rules, now)


@pytest.fixture
def site(store):
    """A store with n1 and n2, declared and approved."""
    with store.write() as tx:
        tx.add_nodes([a_node("n1", approved=True), a_node("n2", approved=True)])
    return store


def command(name, node="n1", **data):
    """Return a person's command."""
    return an_event(name, node, "operator", actor="alice", **data)


def test_a_transition_is_journalled_with_its_cause(site):
    """The entry says who, what, from where, where to and with which effects."""
    (outcome,) = happen(site, command("commission", event_id="c1"))
    (entry,) = site.journal()
    assert outcome.entry == entry
    assert (entry.seq, entry.kind, entry.event, entry.event_id) == (
        1,
        "transition",
        "commission",
        "c1",
    )
    assert (entry.from_state, entry.to_state, entry.actor) == ("declared", "commissioning", "alice")
    assert entry.detail == {"effects": ["revoke_key", "power_cycle"], "boot": 1}


def test_node_effects_and_boot_are_written_together(site):
    """What was decided is in the database as one."""
    (outcome,) = happen(site, command("commission"))
    assert site.node("n1") == outcome.node
    assert [row["name"] for row in site.pending_effects("n1")] == ["revoke_key", "power_cycle"]
    assert site.boots("n1") == [outcome.boot]


def test_an_event_counts_once_across_batches(site):
    """The same id again is answered from the journal: no entry, no effect, the node as it is now."""
    first, again = command("commission", event_id="c1"), command("retire", event_id="c1")
    (told,) = happen(site, first)
    (repeated,) = happen(site, again)
    assert (repeated.seq, repeated.entry, repeated.error) == (told.seq, None, None)
    assert repeated.node == told.node
    assert repeated.boot == told.boot
    assert site.head() == 1


def test_an_event_counts_once_within_a_batch(site):
    """The same id twice in one batch is one event."""
    event = command("commission", event_id="c1")
    first, again = happen(site, event, event)
    assert (first.seq, again.seq, again.entry) == (1, 1, None)
    assert len(site.pending_effects("n1")) == 2


@pytest.mark.parametrize(("node", "error"), [("n1", IllegalEventError), ("ghost", NotFoundError)])
def test_what_was_refused_is_refused_when_it_is_repeated(site, node, error):
    """The same id twice, under way together or one after the other: nobody is told that it was accepted."""
    event = command("reinstall", node, event_id="r1")
    first, together = happen(site, event, event)
    (later,) = happen(site, event)
    for repeated in (together, later):
        assert isinstance(repeated.error, error)
        assert repeated.error.message == first.entry.message
        assert (repeated.seq, repeated.entry) == (1, None)
    assert site.head() == 1


def test_what_was_noted_is_no_refusal_when_it_is_repeated(site):
    """A late observation, told again, is nobody's error."""
    event = an_event("agent_answered", event_id="a1")
    happen(site, event)
    assert happen(site, event)[0].error is None


def test_events_of_one_batch_build_on_one_another(site):
    """The second event of a node meets the state that the first one left."""
    events = [
        command("commission"),
        an_event("boot_requested", address="10.0.0.1"),
        an_event("agent_answered"),
    ]
    outcomes = happen(site, *events)
    assert [o.node.version for o in outcomes] == [2, 3, 4]
    assert site.node("n1").job is not None
    assert site.boots("n1")[0].taken_by == "10.0.0.1"
    assert [e.seq for e in site.journal()] == [1, 2, 3]


def test_what_a_later_event_voids_is_never_written(site):
    """Effects of the same batch follow the rule of those that are pending: revoking stays, the rest goes."""
    happen(
        site, command("commission"), an_event("effect_failed", source="conductor", message="no BMC")
    )
    assert site.node("n1").state == "problem"
    assert {row["name"] for row in site.pending_effects("n1")} == {"revoke_key"}


def test_a_move_voids_what_is_pending(site):
    """A node that parks is not switched on any more by an effect of before."""
    happen(site, command("commission"), command("commission", "n2"))
    happen(site, an_event("effect_failed", source="conductor"))
    assert {row["name"] for row in site.pending_effects("n1")} == {"revoke_key"}
    assert len(site.pending_effects("n2")) == 2


def test_an_illegal_command_is_refused_in_the_journal(site):
    """A person's command that does not fit is kept with the reason; the node is as it was."""
    before = site.node("n1")
    (outcome,) = happen(site, command("reinstall"))
    assert isinstance(outcome.error, IllegalEventError)
    assert (outcome.entry.kind, site.node("n1")) == ("refused", before)
    assert "'declared' does not accept 'reinstall'" in outcome.entry.message


def test_an_observation_that_does_not_fit_is_noted(site):
    """Nobody did anything wrong when a late answer comes."""
    (outcome,) = happen(site, an_event("agent_answered"))
    assert outcome.entry.kind == "noted"


def test_an_unknown_node_is_refused_in_the_journal(site):
    """Also what concerns nobody is written down."""
    (outcome,) = happen(site, an_event("key_proven", "ghost"))
    assert isinstance(outcome.error, NotFoundError)
    assert (outcome.node, outcome.entry.from_state, outcome.entry.kind) == (
        None,
        "unknown",
        "refused",
    )


def test_the_reason_of_a_refusal_survives_an_unknown_node(site):
    """Why the key of a stranger was not accepted is what people look for."""
    (outcome,) = happen(site, an_event("key_refused", "ghost", refused="no boot vouches for it"))
    assert outcome.entry.message == "no boot vouches for it"


def stranger(number, **data):
    """Return the boot request of a machine that nobody declared."""
    mac = f"02:00:00:00:00:{number:02x}"
    return an_event("boot_requested", f"node-{number:012x}", mac=mac, address="10.0.0.9", **data)


def test_a_strangers_boot_makes_a_node(site):
    """Unknown hardware that boots is discovered, with its NIC."""
    (outcome,) = happen(site, stranger(1))
    node = site.node("node-000000000001")
    assert (node.state, node.approved, node.boot) == ("discovering", False, 1)
    assert outcome.boot.taken_by == "10.0.0.9"
    assert [nic.mac for nic in site.parts(Nic, node.id)] == ["02:00:00:00:00:01"]


def test_strangers_are_taken_in_up_to_the_limit(site):
    """A flood of invented MACs ends at the limit, also within one batch."""
    rules = the_rules(discovery_limit=2)
    outcomes = happen(site, *(stranger(n) for n in (1, 2, 3)), rules=rules)
    assert [o.node is not None for o in outcomes] == [True, True, False]
    (refused,) = happen(site, stranger(4), rules=rules)
    assert isinstance(refused.error, NotFoundError)
    assert site.count("nodes") == 4


def test_only_a_boot_makes_a_node(site):
    """A report, a bus event or a refused boot request of a stranger makes none."""
    events = [
        an_event("inventory_reported", "node-aa"),
        an_event("boot_requested", "node-aa", "bus", mac="aa"),
        an_event("boot_requested", "node-aa", refused="too fast"),
        an_event("boot_requested", "node-aa", mac="aa", boot=3),
        an_event("boot_requested", "Node/../AA"),
    ]
    assert all(o.node is None for o in happen(site, *events))
    assert site.count("nodes") == 2


def test_a_mac_of_another_node_makes_no_second_one(site):
    """The MAC became a declared node's in between: nothing is taken from it."""
    with site.write() as tx:
        tx.put([Nic(id="n1/x", node="n1", name="x", mac="02:00:00:00:00:01")])
    (outcome,) = happen(site, stranger(1))
    assert isinstance(outcome.error, NotFoundError)


def test_inventory_is_written_with_the_transition(site):
    """Hardware, NICs and disks come with the event that reports them."""
    found = {
        "serial": "S1",
        "nics": [{"name": "eth0", "mac": "02-00-00-00-00-05", "pxe": True}],
        "disks": [{"name": "sda", "size_gb": 480, "media": "ssd", "health": "ok"}],
    }
    happen(site, command("commission"), an_event("inventory_reported", inventory=found))
    assert site.parts(Hardware, "n1")[0].serial == "S1"
    assert [nic.mac for nic in site.parts(Nic, "n1")] == ["02:00:00:00:00:05"]
    assert [disk.size_gb for disk in site.parts(Disk, "n1")] == [480]
    assert "inventory" not in site.journal()[-1].detail


def test_texts_that_are_too_long_or_hold_nul_are_cut(site):
    """No sender can make an event that the database does not take."""
    long = {"event_id": "e" * 500, "actor": "a\x00" * 200, "noted": "m\x00" * 3000}
    first, again = happen(site, an_event("x", **long), an_event("x", **long))
    assert (first.seq, again.seq, again.entry) == (1, 1, None)
    (entry,) = site.journal()
    assert (len(entry.event_id) <= 200, len(entry.actor), "\x00" in entry.message) == (
        True,
        64,
        False,
    )
    (other,) = happen(site, an_event("x", "g" * 500, **{**long, "event_id": "e" * 499}))
    assert (other.seq, len(other.entry.node)) == (2, 253)


def test_a_failed_batch_leaves_nothing(site):
    """When one event breaks, no other of its transaction is written."""
    with pytest.raises(AttributeError):
        happen(
            site,
            command("commission"),
            an_event("inventory_reported", inventory={"serial": "x"}),
            None,
        )
    assert (site.head(), site.node("n1").state, site.boots("n1")) == (0, "declared", [])


def test_job_ids_are_salts_and_never_twice():
    """Twenty digits that begin with the time; two entries of one second differ."""
    assert job_id(0.0, 7) == "19700101000000000007"
    assert len({job_id(NOW, n) for n in range(1, 5000)}) == 4999


def test_old_boots_are_forgotten_but_not_the_enrolment(site):
    """However often a node boots, few rows are read; the token of the installed system stays good."""
    with site.write() as tx:
        node = a_node(
            "n1", "enrolling", boot=3, boot_environment="local", version=2, deadline_at=1.0
        )
        tx.update_nodes([(node, 1)])
        tx.put([a_boot("n1", 2, "local"), a_boot("n1", 3, "local", expires_at=NOW - 60)])
    for _ in range(60):
        happen(site, an_event("effect_failed", source="conductor"))
        happen(site, command("recover"))
    boots = site.boots("n1")
    assert len(boots) <= MOST_BOOTS
    assert {boots[0].generation, boots[-1].generation} == {63, 2}


def test_nothing_is_left_of_a_caller_that_is_too_impatient(site):
    """A database that takes long is told as such; the event is not lost, and counts once."""
    conductor = Conductor(site, lambda: RULES, FakeWorld().ports, ConductorSettings(), b"s" * 32)
    event = command("commission", event_id="c1")
    with site.write() as _, pytest.raises(StoreError, match="hand it in again with the same id"):
        conductor.handle_wait(event, 0.05)
    assert conductor.handle_wait(event).node.state == "commissioning"
    assert site.head() == 1
    conductor.stop()
