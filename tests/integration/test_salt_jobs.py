"""Stages as jobs on a real minion: each id runs once, and a result that the master missed is found.

The master of these tests gets racksalt's loader folders from the installed package (``salt.loader``
entry point) and not from ``module_dirs``; the other Salt tests use ``module_dirs``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import salt.utils.jid

from racksalt.adapters.salt_jobs import SaltJobs
from racksalt.adapters.salt_switch import MinionRunner
from racksalt.conductor.ports import JobRequest
from racksalt.lab.rack import Rack
from racksalt.model.errors import AgentUnreachableError, NotFoundError, SwitchError
from racksalt.model.switch import Switch
from racksalt.share import share_dir
from tests.support.salt_daemons import Stranger, a_minion, journal_of, pre_accept
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.timeout(240),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
STATES = {
    "count": """
        count:
          cmd.run:
            - name: echo once >> {runs}
        """,
    "slow": """
        slow:
          cmd.run:
            - name: while [ ! -e {go} ]; do sleep 0.05; done; echo slow >> {runs}
        """,
    "wrong": """
        wrong:
          test.fail_without_changes:
            - comment: the disk is on fire
        """,
}


@pytest.fixture(scope="module")
def rack():
    """A master with the conductor, loaded through the entry point, and states of these tests."""
    root = Path(tempfile.mkdtemp(prefix="rj-", dir="/tmp"))
    paths = {"runs": root / "runs", "go": root / "go"}
    (root / "states/t").mkdir(parents=True)
    for name, text in STATES.items():
        (root / f"states/t/{name}.sls").write_text(text.format(**paths))
    roots = {"base": [str(root / "states"), str(share_dir("salt"))]}
    peers = {"m1$": [r"racksalt\.(present|desire|show|list)$"]}
    overrides = {"module_dirs": None, "file_roots": roots, "peer_run": peers}
    with Rack(root, master_overrides=overrides) as rack:
        rack.use_nodes(["m1", "gone"])
        rack.master.start()
        rack.master.wait_ready()
        yield rack
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def jobs(rack):
    """The port under test, with a minion that answers."""
    with a_minion(rack, "m1"):
        pre_accept(rack, "gone", Stranger(rack.root / "x", rack.master.address, "gone").public)
        port = SaltJobs(rack.master.opts)
        assert wait_for(lambda: port.answering({"m1": 0}, 2.0), 60, every_s=0) is not None
        yield port
        port._client.forget()


@pytest.fixture
def jid():
    """A job id that was never used: the time in microseconds."""
    return salt.utils.jid.gen_jid({})


@pytest.fixture
def runs(rack):
    """Return how often states ran since the test began."""
    path = rack.root / "runs"
    path.unlink(missing_ok=True)
    (rack.root / "go").unlink(missing_ok=True)
    return lambda: len(path.read_text().split()) if path.exists() else 0


def submit(jobs, jid, sls, node="m1"):
    """Hand in one stage."""
    jobs.submit([JobRequest(jid=jid, node=node, stage=sls, sls=f"t.{sls}")])


def result(jobs, jid, node="m1", timeout_s=30):
    """Wait for a result and return it."""
    found = []

    def there():
        found[:] = jobs.results([(jid, node)])
        return found

    assert wait_for(there, timeout_s) is not None
    return found[0]


def said(jobs, fun, *arguments):
    """Run a function on the minion and return its whole return."""
    jid = jobs._client.publish(["m1"], fun, arguments)
    assert wait_for(lambda: jobs.stored(jid, "m1"), 40) is not None
    return jobs._client.returns.of(jid, ["m1"])["m1"]


def folder_of(rack, jid):
    """Return the job cache's folder of a job."""
    opts = rack.master.opts
    jobs = str(Path(opts["cachedir"]) / "jobs")
    return Path(salt.utils.jid.jid_dir(jid, jobs, opts["hash_type"]))


def test_only_living_minions_answer_and_in_time(jobs):
    """A minion that is away costs the timeout, and nobody else's answer."""
    began = time.monotonic()
    assert jobs.answering(dict.fromkeys(["m1", "gone", "never-heard-of"], time.time()), 1.5) == {
        "m1"
    }
    assert time.monotonic() - began < 6
    assert jobs.answering({"never-heard-of": 0}, 1.0) == set()
    assert jobs.answering({}, 1.0) == set()


def test_a_slow_minion_is_not_a_silent_one(jobs):
    """An answer that came too late for one call counts in the next, unless the question was of an earlier time."""
    began = time.time()
    assert jobs.answering({"m1": began}, 0.0) == set()
    assert wait_for(lambda: jobs.answering({"m1": began}, 0.0), 20) is not None
    jobs.answering({"m1": began}, 0.0)
    assert jobs.answering({"m1": time.time()}, 0.0) == set()


def test_a_stage_runs_under_the_id_that_was_chosen(jobs, jid, runs):
    """The result is found by that id, and tells that all went well."""
    submit(jobs, jid, "count")
    found = result(jobs, jid)
    assert (found.jid, found.node, found.ok) == (jid, "m1", True)
    assert runs() == 1


def test_the_same_id_twice_runs_once(jobs, jid, runs):
    """A conductor that crashed after publishing publishes again; the minion does it once."""
    submit(jobs, jid, "count")
    submit(jobs, jid, "count")
    result(jobs, jid)
    submit(jobs, jid, "count")
    after = salt.utils.jid.gen_jid({})
    submit(jobs, after, "count")
    result(jobs, after)
    assert runs() == 2


def test_a_failing_stage_says_what_failed(jobs, jid):
    """The failing state's own comment is the message."""
    submit(jobs, jid, "wrong")
    found = result(jobs, jid)
    assert found.ok is False
    assert found.message == "wrong: the disk is on fire"


def test_a_running_job_is_running_and_a_second_one_queues(jobs, rack, jid, runs):
    """Stages on one node wait for one another instead of failing, and neither counts as lost."""
    submit(jobs, jid, "slow")
    behind = salt.utils.jid.gen_jid({})
    submit(jobs, behind, "count")
    assert jobs.outcomes([(jid, "m1")], 5) == {(jid, "m1"): "running"}
    assert jobs.outcomes([(behind, "m1")], 5) == {(behind, "m1"): "running"}
    (rack.root / "go").touch()
    assert result(jobs, jid).ok
    assert result(jobs, behind).ok
    assert runs() == 2


def test_a_job_that_never_arrived_is_lost(jobs, jid):
    """The minion knows nothing of it, so it may be sent again; a silent minion proves nothing."""
    assert jobs.outcomes([(jid, "m1")], 8) == {(jid, "m1"): "lost"}
    assert jobs.outcomes([(jid, "gone")], 2) == {}


@pytest.mark.parametrize("torn", [False, True])
def test_a_result_that_the_master_missed_is_taken_from_the_minion(jobs, rack, jid, torn):
    """The minion kept it; a return folder that a killed master left empty does not keep it out."""
    submit(jobs, jid, "count")
    result(jobs, jid)
    folder = folder_of(rack, jid)
    shutil.rmtree(folder)
    if torn:
        (folder / "m1").mkdir(parents=True)
        long_ago = time.time() - 60
        os.utime(folder / "m1", (long_ago, long_ago))
    assert jobs.results([(jid, "m1")]) == []
    assert jobs.outcomes([(jid, "m1")], 8) == {(jid, "m1"): "finished"}
    (found,) = jobs.results([(jid, "m1")])
    assert found.ok is True


def test_a_node_without_an_accepted_key_gets_no_job_and_hinders_no_other(jobs, jid, runs):
    """The error names the node; the other jobs of the same call are published."""
    other = salt.utils.jid.gen_jid({})
    with pytest.raises(NotFoundError, match="never-heard-of"):
        jobs.submit(
            [
                JobRequest(jid=other, node="never-heard-of", stage="count", sls="t.count"),
                JobRequest(jid=jid, node="m1", stage="count", sls="t.count"),
            ]
        )
    assert result(jobs, jid).ok
    assert runs() == 1


def test_another_nodes_result_is_not_mine(jobs, jid):
    """Results are by job and node."""
    submit(jobs, jid, "count")
    result(jobs, jid)
    assert jobs.results([(jid, "gone")]) == []
    assert jobs.stored(jid, "m1") is True
    assert jobs.stored(jid, "gone") is False


def test_the_engine_is_loaded_from_the_installed_package(jobs, rack):
    """Without ``module_dirs``, the entry point gives Salt the engine: it journals what the minion says."""
    app = rack.open()
    try:
        app.operations.declare()
        jobs._client.publish(
            ["m1"], "event.send", ["racksalt/node/m1/event/seen"], kwarg={"data": {"event_id": "1"}}
        )
        found = wait_for(lambda: any(e.event == "seen" for e in journal_of(app, "m1")), 30)
        assert found is not None
        (entry,) = [e for e in journal_of(app, "m1") if e.event == "seen"]
        assert (entry.kind, entry.source, entry.actor) == ("noted", "bus", "m1")
    finally:
        app.close()


def test_an_administrators_minion_declares_the_data_centre(jobs, rack):
    """States on a minion that ``peer_run`` allows declare racks and nodes; the journal says who asked."""

    def apply(*arguments, **options):
        asked = [*arguments, *(f"{key}={value}" for key, value in options.items())]
        (ret,) = said(jobs, "state.single", *asked)["return"].values()
        return ret

    app = rack.open()
    try:
        app.operations.declare()
        rack_there = apply("racksalt_rack.present", "r9", zone="z1")
        assert (rack_there["result"], bool(rack_there["changes"])) == (True, True)
        assert apply("racksalt_rack.present", "r9", zone="z1")["changes"] == {}
        # Such a name is text only as long as nobody reads it as YAML a second time.
        numbered = apply("racksalt_rack.present", "01", zone="z1")
        assert (numbered["result"], numbered["comment"]) == (True, "01 declared")
        assert apply("racksalt_network.present", "s9", cidr_v4="10.9.0.0/24")["result"] is True
        gone = [apply("racksalt_network.absent", "s9", **how) for how in ({"test": True}, {}, {})]
        assert [(it["result"], it["comment"]) for it in gone] == [
            (None, "s9 would be forgotten"),
            (True, "s9 is forgotten"),
            (True, "s9 is not there"),
        ]
        told = apply("racksalt_node.present", "x9", rack="r9", serial="X9", test=True)
        assert told["result"] is None
        assert apply("racksalt_node.present", "x9", rack="r9", serial="X9")["result"] is True
        assert app.operations.show("x9")["rack"] == "r9"
        asked = apply("racksalt_node.ready", "x9")
        assert asked["result"] is True, asked
        assert app.store.node("x9").goal == "ready"
        assert "minion m1" in {entry.actor for entry in journal_of(app, "x9")}
        refused = apply("racksalt_node.present", "y9", rack="no-such-rack")
        assert refused["result"] is False
        assert "no-such-rack" in refused["comment"]
        assert "Traceback" not in refused["comment"]
    finally:
        app.close()


def test_a_minion_may_not_run_what_peer_run_does_not_name(jobs):
    """Commands beyond declaring are refused, with the setting that would allow them."""
    answer = said(jobs, "racksalt_node.runner", "token_create", ["x", "node:write"])
    assert answer["retcode"] != 0
    assert "peer_run" in str(answer["return"])


def test_minions_get_node_modules_and_states_by_salts_own_sync(jobs):
    """From ``file_roots`` alone, as on a minion that has no racksalt installed; nothing of the master's goes along."""
    synced = said(jobs, "saltutil.sync_all", "refresh=False")["return"]
    assert {"modules.racksalt_hardware", "modules.racksalt_stage"} <= set(synced["modules"])
    assert {"states.racksalt_disk", "states.racksalt_hardware"} <= set(synced["states"])


def test_without_a_master_the_error_says_so(jobs, rack, jid):
    """What is known of the job is told: nothing."""
    opts = {**rack.master.opts, "sock_dir": str(rack.root / "nowhere")}
    with pytest.raises(AgentUnreachableError, match="did not take the job"):
        submit(SaltJobs(opts), jid, "count")


def test_scripts_for_a_switch_run_on_its_minion(rack, jobs):
    """What a script prints comes back whole, and a failure with what was said on standard error."""
    tor = Switch(name="tor", rack="r1", via="minion", minion="m1")
    runner = MinionRunner(rack.master.opts, tor)
    printed = runner.run("x='a b'\necho \"$x\"\necho '@@racksalt links'\necho []")
    assert printed == "a b\n@@racksalt links\n[]\n"
    with pytest.raises(SwitchError, match="tor: no such port"):
        runner.run("set -e\necho no such port >&2\nfalse\necho not reached")
    with pytest.raises(SwitchError, match="its minion tor did not answer"):
        MinionRunner(rack.master.opts, replace(tor, minion=None)).run("true")
