"""Burn-in results are kept, whatever a node says, and a slow part stands out among its peers."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racksalt.conductor import burn
from racksalt.conductor.burn import RUNS, compare, record
from racksalt.conductor.handle import handle
from racksalt.model.hardware import BurnResult
from racksalt.model.node import Hardware
from tests.support.builders import NOW, a_node, an_event, the_rules


def figure(node, value, part="disk:sda", measure="read_mib_s", **fields):
    """Return one figure of a run."""
    base = {"at": 1.0, "ok": True, "model": "MAKER 1"} | fields
    row_id = f"{node}/{base['at']}/{part}/{measure}"
    return BurnResult(id=row_id, node=node, part=part, measure=measure, value=value, **base)


def standing_out(rows):
    """Return the nodes that stand out."""
    return [one.result.node for one in compare(rows) if one.stands_out]


def test_a_slow_disk_stands_out():
    """One of eight disks of one model reads a third slower."""
    rows = [figure(f"n{n}", 500 + n) for n in range(7)] + [figure("n9", 330)]
    assert standing_out(rows) == ["n9"]
    slow = next(one for one in compare(rows) if one.stands_out)
    assert slow.peers == 8
    assert slow.median == pytest.approx(502.5)
    assert slow.deviation == pytest.approx(-0.343, abs=0.001)
    assert slow.score < -3.5


def test_a_fast_disk_does_not():
    """Only what is worse is worth a walk to the rack."""
    assert standing_out([figure(f"n{n}", 500 + n) for n in range(7)] + [figure("n9", 900)]) == []


def test_long_latency_is_worse_and_short_is_not():
    """The unit says which way is worse."""
    rows = [figure(f"n{n}", 100 + n, measure="read_p99_us") for n in range(7)]
    assert standing_out([*rows, figure("n9", 900, measure="read_p99_us")]) == ["n9"]
    assert standing_out([*rows, figure("n9", 10, measure="read_p99_us")]) == []


def test_models_and_kinds_are_not_compared_with_one_another():
    """A hard disk is no slow flash."""
    rows = [figure(f"n{n}", 500 + n) for n in range(7)]
    assert standing_out([*rows, figure("n9", 150, model="TURNING 1")]) == []
    assert standing_out([*rows, figure("n9", 150, part="network")]) == []


def test_the_middle_of_many_figures_is_sought_once(monkeypatch):
    """Ten thousand disks of one model are compared in a moment: the work grows with them, not with their square."""
    sought = []

    def counted(values):
        sought.append(1)
        return median(values)

    monkeypatch.setattr(burn, "median", counted)
    rows = [figure(f"n{n}", 500 + n % 50) for n in range(10_000)]
    assert standing_out([*rows, figure("slow", 100)]) == ["slow"]
    assert len(sought) == 2


def test_few_peers_prove_nothing():
    """Three figures have no middle to speak of."""
    assert standing_out([figure("n1", 500), figure("n2", 505), figure("n3", 100)]) == []


def test_small_differences_among_twins_are_none():
    """All alike but one, which is a hundredth off."""
    rows = [figure(f"n{n}", 500) for n in range(7)]
    assert standing_out([*rows, figure("n9", 495)]) == []
    assert standing_out([*rows, figure("n9", 300)]) == ["n9"]


def test_only_the_newest_run_counts():
    """A disk that was replaced is no longer slow."""
    rows = [figure(f"n{n}", 500 + n) for n in range(7)]
    assert standing_out([*rows, figure("n9", 100), figure("n9", 501, at=2.0)]) == []


def test_failed_figures_are_no_peers():
    """What broke off says nothing of the others."""
    rows = [figure(f"n{n}", 500 + n) for n in range(4)]
    broken = [figure(f"b{n}", 1, ok=False) for n in range(20)]
    assert [one.median for one in compare([*rows, *broken])][-1] == pytest.approx(501.5)


@pytest.fixture
def site(store):
    """A node in burn-in."""
    busy = {"approved": True, "stage": "burn_in", "job": "1" * 20, "boot_environment": "live"}
    with store.write() as tx:
        tx.add_nodes([a_node("n1", "commissioning", deadline_at=NOW + 900, **busy)])
        tx.put([Hardware(node="n1", product="Server 1")])
    return store


@pytest.mark.parametrize("event", ["stage_succeeded", "stage_failed"])
def test_results_are_kept_also_of_a_run_that_failed(site, event):
    """Each figure is a row with the model that makes it comparable; the journal does not repeat them."""
    found = {
        "cpu": {"ok": True, "measures": {"rounds_s": 2229.4}},
        "disk:sda": {"ok": True, "measures": {"read_mib_s": 512.0}, "model": "MAKER 1"},
        "self_test:sda": {"ok": False, "message": "read failure"},
    }
    with site.write() as tx:
        event = an_event(event, source="jobs", jid="1" * 20, burn_in=found)
        handle(tx, [event], the_rules(), NOW)
    rows = {row.part: row for row in site.parts(BurnResult, "n1")}
    assert (rows["cpu"].value, rows["cpu"].model) == (2229.4, "Server 1")
    assert (rows["disk:sda"].value, rows["disk:sda"].model) == (512.0, "MAKER 1")
    assert (rows["self_test:sda"].ok, rows["self_test:sda"].message) == (False, "read failure")
    assert "burn_in" not in site.journal()[-1].detail


def test_a_stale_result_is_not_kept(site):
    """Of another job than the node runs."""
    with site.write() as tx:
        found = {"cpu": {"ok": True}}
        event = an_event("stage_succeeded", source="jobs", jid="2" * 20, burn_in=found)
        handle(tx, [event], the_rules(), NOW)
    assert site.parts(BurnResult, "n1") == []


def test_old_runs_are_forgotten(site):
    """A node that is commissioned again and again does not fill the database."""
    for run in range(RUNS + 5):
        with site.write() as tx:
            record(
                tx, "n1", {"cpu": {"ok": True, "measures": {"a": 1}}}, "S", at=float(run), run=run
            )
    kept = sorted(row.at for row in site.parts(BurnResult, "n1"))
    assert kept == [float(run) for run in range(5, RUNS + 5)]


class Kept:
    """Takes what would be written."""

    def put(self, rows):
        """Keep it."""
        self.rows = rows

    def burns(self, node):
        """Say that there is nothing."""
        return []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=90), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=100), JSON | st.fixed_dictionaries({"measures": JSON})))
def test_no_result_breaks_it(found):
    """Whatever JSON comes, rows come out that a database takes."""
    kept = Kept()
    record(kept, "n1", found, None, at=1.0, run=1)
    for row in kept.rows:
        assert len(row.part) <= 80
        assert len(row.measure) <= 64
        assert row.value is None or abs(row.value) < 1e15
