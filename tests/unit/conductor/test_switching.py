"""Against a switch in memory, which takes steps as a driver does and can fail at any of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from racksalt.conductor import switching
from racksalt.conductor.switching import (
    APPLIED,
    BEGAN,
    FAILED,
    PATIENCE_S,
    ROLLED_BACK,
    SwitchOperations,
)
from racksalt.model.errors import ConflictError, NotFoundError, SwitchError, SwitchPlanError
from racksalt.model.node import Address, Node
from racksalt.network.switches import PortState
from racksalt.site.declare import declare
from racksalt.site.schema import Declarations
from racksalt.store import Store
from tests.support.switch_memory import Memory
from tests.support.waiting import wait_for

SITE = {
    "zones": ["z1"],
    "racks": {"r1": {"zone": "z1"}, "r2": {"zone": "z1"}},
    "networks": {
        "prov": {"purpose": "provisioning", "zone": "z1", "vlan": 110},
        "storage": {"purpose": "storage", "zone": "z1", "vlan": 120},
    },
    "nodes": {"n1": {"rack": "r1", "position_u": 1, "height_u": 2}},
    "switches": {
        "tor": {
            "rack": "r1",
            "via": "local",
            "ports": {
                "swp1": {"position_u": 2},
                "swp2": {"position_u": 9, "rack": "r2"},
                "swp3": {"networks": ["storage"]},
            },
        }
    },
}


class Site:
    """What a site declares."""

    def __init__(self) -> None:
        self.declarations: Declarations
        self.declarations, problems = declare({"site/a.yaml": SITE})
        assert not problems


class Died(BaseException):
    """The process was killed."""


@pytest.fixture
def tor():
    """The switch."""
    return Memory()


@pytest.fixture
def store(tmp_path):
    """A database of its own."""
    store = Store(f"sqlite:///{tmp_path}/racksalt.db")
    yield store
    store.close()


@pytest.fixture
def operations(tor, store):
    """The operations, at an hour that stands still."""
    return SwitchOperations(store, Site(), {"linux": tor}, lambda: 1000.0)


def events(operations):
    """Return what the journal says of the switch, oldest first."""
    return [entry["event"] for entry in reversed(operations.history("tor"))]


def test_a_switch_becomes_what_is_declared_and_the_journal_says_so(operations, tor):
    """Apply leads to no drift; a second one changes nothing and writes nothing."""
    assert operations.drift("tor")["differences"]
    answer = operations.apply("tor", "ann")
    assert answer["applied"]
    assert tor.state.ports["swp1"].untagged == 110
    assert tor.state.ports["swp1"].description == "n1"
    assert tor.state.ports["swp4"] == PortState(name="swp4")
    assert operations.drift("tor")["differences"] == []
    assert not operations.apply("tor", "ann")["applied"]
    assert events(operations) == [BEGAN, APPLIED]
    began = operations.history("tor")[1]
    assert (began["actor"], began["node"]) == ("ann", "switch:tor")
    assert began["detail"]["before"]["ports"]["swp1"]["vlans"] == {"untagged": 1, "tagged": []}
    assert operations.listed()[0]["last_change"] == APPLIED


def test_a_nodes_networks_are_those_of_its_reservations(operations, store):
    """What a node has addresses in comes to its port with a tag; a node of two units has both."""
    node = Node(id="n1", state="ready", version=1, state_since=0.0, rack="r1", position_u=1)
    with store.write() as tx:
        tx.add_nodes([node])
        for number, network in enumerate(("prov", "storage")):
            address = Address(
                id=f"a{number}", node="n1", nic=None, network=network,
                address=f"10.0.0.{number}", family=4,
            )  # fmt: skip
            tx.put([address])
    steps = {(it["port"], it["kind"]): it["after"] for it in operations.plan("tor")["steps"]}
    assert steps["swp1", "vlans"] == {"untagged": 110, "tagged": [120]}
    assert steps["swp2", "description"] == "r2 U9"


def test_a_plan_is_good_for_the_switch_that_it_was_made_for(operations, tor):
    """Whoever changes a declared port in between makes the reviewed plan void, and nothing is done."""
    plan = operations.plan("tor")["hash"]
    tor.by_hand("swp3", tagged=(7,))
    with pytest.raises(ConflictError, match="is now"):
        operations.apply("tor", "ann", plan=plan)
    assert events(operations) == []
    assert operations.apply("tor", "ann", plan=operations.plan("tor")["hash"])["applied"]


def test_a_dry_run_changes_nothing(operations, tor):
    """It tells the steps, on the switch and in the journal nothing is written."""
    before = tor.state
    assert operations.apply("tor", "ann", dry_run=True)["steps"]
    assert (tor.state, events(operations)) == (before, [])


def test_drift_is_seen_after_somebody_changed_a_port_by_hand(operations, tor):
    """The difference names port, setting, what is declared and what is."""
    operations.apply("tor", "ann")
    tor.by_hand("swp3", untagged=1)
    tor.by_hand("swp4", untagged=99)  # nobody declared this one
    (found,) = operations.drift("tor")["differences"]
    assert (found["port"], found["setting"]) == ("swp3", "vlans")
    assert found["declared"]["untagged"] == 120
    assert found["is"]["untagged"] == 1


@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_step_that_fails_takes_the_others_back(operations, tor, step):
    """The switch is as it was, and the journal says that it failed and why."""
    before = tor.state
    tor.script[step] = SwitchError("tor: port is on fire")
    with pytest.raises(SwitchError, match="on fire; it is as it was") as caught:
        operations.apply("tor", "ann")
    assert caught.value.detail["undone"]
    assert tor.state == before
    assert events(operations) == [BEGAN, FAILED]
    with pytest.raises(NotFoundError, match="no change is left"):
        operations.rollback("tor", "ann")
    assert operations.apply("tor", "ann")["applied"]


def test_a_switch_that_says_yes_and_does_nothing_is_found_out(operations, tor):
    """After the last step the switch is read back."""
    tor.script[2] = "lie"
    with pytest.raises(SwitchError, match="did not do: swp1 vlans"):
        operations.apply("tor", "ann")
    assert operations.drift("tor")["differences"]


def test_a_rollback_that_fails_too_is_told_and_can_be_had_later(operations, tor):
    """Half changed is said as such; `rollback` brings back what was before."""
    before = tor.state
    tor.script = {3: SwitchError("tor: gone"), 4: SwitchError("tor: still gone")}
    with pytest.raises(SwitchError, match="half changed") as caught:
        operations.apply("tor", "ann")
    assert not caught.value.detail["undone"]
    assert tor.state != before
    assert operations.rollback("tor", "ann")["applied"]
    assert tor.state == before


def test_who_died_in_the_middle_is_seen_and_can_be_taken_back(operations, tor):
    """The journal knows what was before; nobody else may go on until that is settled, or time has passed."""
    before = tor.state
    tor.script[3] = Died()
    with pytest.raises(Died):
        operations.apply("tor", "ann")
    assert operations.listed()[0]["last_change"] == BEGAN
    with pytest.raises(ConflictError, match="being changed by ann"):
        operations.apply("tor", "bob")
    assert operations.rollback("tor", "bob")["applied"]
    assert tor.state == before
    assert events(operations) == [BEGAN, BEGAN, ROLLED_BACK]
    with pytest.raises(NotFoundError):
        operations.rollback("tor", "bob")


def test_a_rollback_that_died_goes_back_just_as_far(operations, tor):
    """The second rollback leads to what was before the change, not to the middle of it."""
    before = tor.state
    operations.apply("tor", "ann")
    tor.script[tor.steps + 2] = Died()
    with pytest.raises(Died):
        operations.rollback("tor", "ann")
    operations.rollback("tor", "ann")
    assert tor.state == before


def test_after_a_while_one_may_go_on_where_another_died(operations, tor):
    """A change that has not ended for long is taken for broken off."""
    tor.script[3] = Died()
    with pytest.raises(Died):
        operations.apply("tor", "ann")
    operations.clock = lambda: 2000.0
    assert operations.apply("tor", "bob")["applied"]
    assert operations.drift("tor")["differences"] == []


def test_the_last_change_can_be_taken_back(operations, tor):
    """Also one that went well."""
    before = tor.state
    operations.apply("tor", "ann")
    assert operations.rollback("tor", "ann", dry_run=True)["steps"]
    operations.rollback("tor", "ann")
    assert tor.state == before


def test_clearing_is_a_change_like_any_other(operations, tor):
    """All ports, declared or not, by a plan with a hash; it can be taken back."""
    tor.by_hand("swp4", untagged=99, edge=True)
    before = tor.state
    plan = operations.plan("tor", clear=True)["hash"]
    assert operations.apply("tor", "ann", clear=True, plan=plan)["applied"]
    assert tor.state.ports["swp4"] == PortState(name="swp4")
    operations.rollback("tor", "ann")
    assert tor.state == before


def test_what_would_cut_racksalt_off_is_refused(operations, tor):
    """Nothing is done and nothing is written."""
    tor.state = replace(tor.state, path=(("swp1", 1),))
    with pytest.raises(SwitchPlanError, match="swp1 is the way to the switch"):
        operations.apply("tor", "ann")
    assert events(operations) == []


def test_unknown_switches_and_drivers_are_named(operations):
    """A misspelt name is told with one that is near; a driver that is not here as such."""
    with pytest.raises(NotFoundError, match="tor") as caught:
        operations.plan("torr")
    assert "did you mean tor?" in caught.value.hint
    operations.drivers = {}
    with pytest.raises(SwitchError, match="no driver 'linux'"):
        operations.plan("tor")


def test_two_at_once_do_not_mix(operations, tor, store):
    """While one changes the switch, another is refused and told who it is."""
    other = SwitchOperations(store, Site(), {"linux": tor}, lambda: 1000.0)
    refusals = []

    def meanwhile():
        with pytest.raises(ConflictError, match="being changed by ann") as caught:
            other.apply("tor", "bob")
        refusals.append(caught.value)

    tor.script[4] = meanwhile
    assert operations.apply("tor", "ann")["applied"]
    assert refusals
    assert events(operations) == [BEGAN, APPLIED]


def test_who_is_slow_and_alive_is_not_taken_for_dead(operations, tor, store, monkeypatch):
    """A switch may take longer than anybody's patience: who is at it goes on saying so."""
    monkeypatch.setattr(switching, "RENEW_S", 0.01)
    now = [1000.0]
    operations.clock = lambda: now[0]
    other = SwitchOperations(store, Site(), {"linux": tor}, operations.clock)
    refused = []

    def meanwhile():
        now[0] += 2 * PATIENCE_S
        assert wait_for(lambda: store.mark("switch:tor") == now[0], 20) is not None
        with pytest.raises(ConflictError, match="being changed by ann") as caught:
            other.apply("tor", "bob")
        refused.append(caught.value)

    tor.script[4] = meanwhile
    assert operations.apply("tor", "ann")["applied"]
    assert refused


def test_an_end_is_of_the_change_that_it_names(operations, tor, store):
    """Who was taken for dead ends after the next has begun: that one has not ended by it."""
    tor.script[3] = Died()
    with pytest.raises(Died):
        operations.apply("tor", "ann")
    slow = operations.history("tor")[0]["detail"]["change"]
    operations.clock = lambda: 2000.0
    tor.script[tor.steps + 2] = Died()
    with pytest.raises(Died):
        operations.apply("tor", "bob")
    operations._note(operations._switch("tor"), slow, APPLIED, "ann", "at last")
    assert operations.listed()[0]["last_change"] == BEGAN
    with pytest.raises(ConflictError, match="being changed by bob"):
        operations.apply("tor", "eve")


def test_a_change_that_somebody_took_back_by_hand_is_settled_by_its_rollback(operations, tor):
    """Nothing is left to do, and that is its end: there is no second rollback."""
    before = tor.state
    operations.apply("tor", "ann")
    tor.state = before
    assert not operations.rollback("tor", "ann")["applied"]
    assert events(operations) == [BEGAN, APPLIED, ROLLED_BACK]
    with pytest.raises(NotFoundError):
        operations.rollback("tor", "ann")


def test_a_cable_in_the_wrong_port_is_part_of_drift(operations, tor, store):
    """LLDP tells who is there; the site tells who should be."""
    stranger = Node(id="n7", state="ready", version=1, state_since=0.0, rack="r1", position_u=7)
    with store.write() as tx:
        tx.add_nodes([stranger])
    tor.state = replace(tor.state, neighbours={"swp1": "n7"})
    found = operations.drift("tor")["misplugged"]
    assert found == [{"port": "swp1", "declared": "n1", "sees": "n7"}]
