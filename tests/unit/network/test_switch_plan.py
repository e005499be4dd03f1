from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.model.errors import SwitchPlanError
from racksalt.model.switch import Switch
from racksalt.network.switch_plan import Step, SwitchPlan, clearing, drift, plan
from racksalt.network.switches import SETTINGS, Observed, PortState, WantedPort

TOR = Switch(name="tor", rack="r1", management_ports=("eth0",))
NAMES = ("swp1", "swp2", "swp10", "eth0")
OUT_OF_THE_BOX = Observed(ports={name: PortState(name=name) for name in NAMES})


def want(**states: PortState) -> dict[str, WantedPort]:
    """Return wanted ports by name."""
    return {name: WantedPort(state=state, why="declared") for name, state in states.items()}


def done(observed: Observed, steps: tuple[Step, ...]) -> Observed:
    """Return a switch after these steps, as a driver would carry them out."""
    ports, bridge = dict(observed.ports), observed.bridge
    for step in steps:
        if step.kind == "bridge":
            bridge = step.after
            continue
        ports[step.port] = ports[step.port].having(step.kind, step.after)
    return replace(observed, ports=ports, bridge=bridge)


SWP1 = PortState(
    name="swp1", untagged=110, tagged=(120,), edge=True, med="untagged", description="n1"
)
VLANS = st.sets(st.integers(1, 12), max_size=4)
STATES = st.builds(
    lambda untagged, tagged, edge, med, description: PortState(
        name="swp1",
        untagged=untagged,
        tagged=tuple(sorted(tagged - {untagged})),
        edge=edge,
        med=med,
        description=description,
    ),
    st.none() | st.integers(1, 12),
    VLANS,
    st.booleans(),
    st.sampled_from(["", "untagged", "tagged 7"]),
    st.sampled_from(["", "n1", "n2"]),
)


@given(before=STATES, after=STATES)
def test_a_plan_leads_to_what_is_wanted_and_back(before, after):
    """Its steps make the switch what it should be, a second plan is empty, and taken back they leave no trace."""
    start = Observed(ports={"swp1": before})
    steps = plan(TOR, want(swp1=after), start).steps
    end = done(start, steps)
    assert end.ports["swp1"] == after
    assert plan(TOR, want(swp1=after), end).steps == ()
    assert done(end, tuple(step.reversed() for step in reversed(steps))) == start


def test_steps_survive_the_journal():
    """A step that was written as JSON is the same step when it is read."""
    for step in plan(TOR, want(swp1=SWP1), OUT_OF_THE_BOX).steps:
        assert Step.of(json.loads(json.dumps(step.as_dict()))) == step
    with pytest.raises(SwitchPlanError, match="no step"):
        Step.of({"kind": "explode"})


def test_only_declared_ports_are_touched():
    """Uplinks and ports that nobody declared do not appear in a plan."""
    assert {it.port for it in plan(TOR, want(swp1=SWP1), OUT_OF_THE_BOX).steps} == {"swp1"}


def test_ports_come_in_the_order_of_their_numbers():
    """People read swp2 before swp10."""
    both = want(swp10=replace(SWP1, name="swp10"), swp2=replace(SWP1, name="swp2"))
    ports = [it.port for it in plan(TOR, both, OUT_OF_THE_BOX).steps]
    assert list(dict.fromkeys(ports)) == ["swp2", "swp10"]


def test_the_hash_names_plan_and_world():
    """The same plan has the same hash; a port that somebody changed in between gives another one."""
    made = plan(TOR, want(swp1=SWP1), OUT_OF_THE_BOX)
    assert plan(TOR, want(swp1=SWP1), OUT_OF_THE_BOX).hash == made.hash
    changed = dict(OUT_OF_THE_BOX.ports, swp1=PortState(name="swp1", tagged=(120,)))
    assert plan(TOR, want(swp1=SWP1), Observed(ports=changed)).hash != made.hash
    # A change of what is right already makes no step, and is a change nevertheless.
    half = done(OUT_OF_THE_BOX, made.steps[:1])
    assert plan(TOR, want(swp1=SWP1), half).hash != made.hash


def test_drift_says_what_is_declared_and_what_is():
    """Each difference has its port, setting and both values."""
    found = drift(plan(TOR, want(swp1=replace(SWP1, edge=False, med="")), OUT_OF_THE_BOX))
    assert {(it["port"], it["setting"]) for it in found} == {
        ("swp1", "vlans"),
        ("swp1", "description"),
    }
    assert found[1]["declared"] == {"untagged": 110, "tagged": [120]}
    assert found[1]["is"] == {"untagged": 1, "tagged": []}


def test_a_port_that_is_not_there_is_named():
    """A misspelt port is refused with those that there are."""
    with pytest.raises(SwitchPlanError, match="no port swp99") as caught:
        plan(TOR, want(swp99=replace(SWP1, name="swp99")), OUT_OF_THE_BOX)
    assert "swp10" in caught.value.hint


@pytest.mark.parametrize(
    "observed",
    [
        replace(OUT_OF_THE_BOX, path=(("swp1", 1),)),
        replace(OUT_OF_THE_BOX, path=(("swp2", 5), ("swp1", None))),
    ],
)
def test_what_racksalt_comes_in_by_is_not_changed(observed):
    """A plan that moves the VLAN, or the port, by which the switch is reached is refused as a whole."""
    with pytest.raises(SwitchPlanError, match="swp1 is the way"):
        plan(TOR, want(swp1=SWP1), observed)


def test_other_vlans_may_come_to_the_port_that_racksalt_comes_in_by():
    """What the way to the switch does not need may change."""
    uplink = PortState(name="swp1", untagged=1, tagged=(120,))
    observed = replace(OUT_OF_THE_BOX, path=(("swp1", 1),))
    assert [it.kind for it in plan(TOR, want(swp1=uplink), observed).steps] == ["vlans"]


def test_management_ports_and_vlans_stay():
    """What is declared as management is never changed, and its VLANs stay on the ports that have them."""
    with pytest.raises(SwitchPlanError, match="eth0 is a management port"):
        plan(TOR, want(eth0=replace(SWP1, name="eth0")), OUT_OF_THE_BOX)
    with pytest.raises(SwitchPlanError, match="management VLAN 1"):
        plan(replace(TOR, management_vlans=(1,)), want(swp1=SWP1), OUT_OF_THE_BOX)


APART = PortState(name="eth0", member=False, untagged=None)
PLAIN = Observed(ports={**OUT_OF_THE_BOX.ports, "eth0": APART}, bridge="plain")
ALL = want(**{name: replace(SWP1, name=name) for name in ("swp1", "swp2", "swp10")})


def test_a_bridge_that_mixes_vlans_is_changed_only_when_all_its_ports_are_declared():
    """Filtering would cut the tagged frames of a port that nobody declared."""
    with pytest.raises(SwitchPlanError, match="swp10, swp2 may carry"):
        plan(TOR, want(swp1=SWP1), PLAIN)
    assert plan(TOR, ALL, PLAIN).steps[0].kind == "bridge"


def test_a_bridge_with_a_management_port_in_it_is_made_to_filter_by_hand():
    """Nobody can declare that port's VLANs, so filtering would drop the tagged frames that racksalt comes in by.

    A management port was no obstacle once: it is never changed. But that the bridge filters does change it.
    """
    uplink = replace(PLAIN, ports=OUT_OF_THE_BOX.ports)
    with pytest.raises(SwitchPlanError, match="management port eth0 is part of") as caught:
        plan(TOR, ALL, uplink)
    assert "by hand" in caught.value.hint


@pytest.mark.parametrize("way", [1, 10, None])
def test_a_bridge_that_racksalt_comes_in_by_is_made_to_filter_by_hand(way):
    """Tagged (br0.10) or not: a bridge that does not filter carries what its tables of VLANs do not have."""
    with pytest.raises(SwitchPlanError, match="may come in by swp10, which is part of"):
        plan(TOR, ALL, replace(PLAIN, path=(("swp10", way),)))
    assert plan(TOR, ALL, replace(PLAIN, path=(("eth0", None),))).steps[0].kind == "bridge"


def test_what_a_switch_cannot_do_is_noted_and_not_tried():
    """A switch without lldpd gets no step for it, and the plan says so once."""
    bare = replace(OUT_OF_THE_BOX, settings=frozenset(SETTINGS) - {"med"})
    made = plan(TOR, want(swp1=SWP1, swp2=replace(SWP1, name="swp2")), bare)
    assert made.notes == ("med cannot be set on this switch",)
    assert "med" not in {step.kind for step in made.steps}


def test_a_new_port_joins_the_bridge_and_begins_in_the_default_vlan():
    """What a port that is no member had before does not count."""
    apart = PortState(name="swp1", member=False, untagged=None)
    steps = plan(TOR, want(swp1=SWP1), Observed(ports={"swp1": apart})).steps
    assert steps[0].kind == "member"
    assert next(it for it in steps if it.kind == "vlans").before == {"untagged": 1, "tagged": []}


def test_clearing_takes_all_ports_but_the_way_in():
    """Like out of the box: all ports, declared or not, except management and the way to the switch."""
    ports = {name: replace(SWP1, name=name) for name in NAMES}
    observed = Observed(ports=ports, path=(("swp10", 120),))
    made = clearing(TOR, observed)
    assert {step.port for step in made.steps} == {"swp1", "swp2"}
    after = done(observed, made.steps)
    assert after.ports["swp1"] == PortState(name="swp1")
    assert clearing(TOR, after).steps == ()


def test_clearing_leaves_management_vlans():
    """A management VLAN stays where it is, with and without tag."""
    observed = Observed(ports={"swp1": SWP1, "swp2": replace(SWP1, name="swp2", untagged=7)})
    cleared = clearing(replace(TOR, management_vlans=(120, 7)), observed)
    after = done(observed, cleared.steps).ports
    assert (after["swp1"].untagged, after["swp1"].tagged) == (1, (120,))
    assert (after["swp2"].untagged, after["swp2"].tagged) == (7, (120,))


def test_a_plan_is_plain_data():
    """What is shown and reviewed can be carried by JSON."""
    made = plan(TOR, want(swp1=SWP1), OUT_OF_THE_BOX)
    assert isinstance(made, SwitchPlan)
    assert json.loads(json.dumps(made.as_dict()))["hash"] == made.hash
