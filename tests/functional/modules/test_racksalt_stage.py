"""What a minion knows of a job: running, queued, finished with a kept result, or nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import salt.payload
import salt.utils.minion
import salt.utils.state

JID = "20261123000102000007"


@pytest.fixture
def opts(node):
    """The options that the module sees."""
    return node.loaders.opts


def test_a_job_that_nobody_knows_is_unknown(node):
    """Neither running nor kept: the conductor may send it again."""
    assert node.modules.racksalt_stage.outcome(JID) == {"status": "unknown"}


def test_a_kept_result_comes_back_whole(node, opts):
    """What ``cache_jobs`` keeps is returned, also when the id came as a number from a command line."""
    kept = {"jid": JID, "fun": "state.apply", "return": {"a": {"result": True}}, "retcode": 0}
    salt.utils.minion.cache_jobs(opts, JID, kept)
    assert node.modules.racksalt_stage.outcome(int(JID)) == {"status": "finished", "return": kept}


def test_a_torn_kept_result_is_no_result(node, opts, tmp_path):
    """A file that a power cut left half written counts as nothing."""
    jid = "20261123000102000008"
    salt.utils.minion.cache_jobs(opts, jid, {"jid": jid, "return": "x" * 100})
    path = Path(opts["cachedir"], "minion_jobs", jid, "return.p")
    path.write_bytes(path.read_bytes()[:20])
    assert node.modules.racksalt_stage.outcome(jid) == {"status": "unknown"}


def test_a_queued_job_is_on_its_way(node, opts):
    """A job that waits in the minion's queue is not lost."""
    folder = Path(salt.utils.state.state_queue_dir(opts))
    folder.mkdir(parents=True)
    jid = "20261123000102000009"
    (folder / f"queued_1_{jid}.p").write_bytes(salt.payload.dumps({"jid": jid}))
    assert node.modules.racksalt_stage.outcome(jid) == {"status": "running"}


def test_a_running_job_is_on_its_way(node, opts):
    """The process file of a living salt-minion process means that the job runs."""
    jid = "20261123000102000010"
    proc = Path(opts["cachedir"], "proc", jid)
    proc.parent.mkdir(exist_ok=True)
    # Salt looks at the process's own title, lest a number that was given out again counts.
    with subprocess.Popen(
        [sys.executable, "-c", "input(1)", "salt-minion"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.read(1)
        job = {"pid": process.pid, "jid": jid, "fun": "state.apply", "tgt": "n1"}
        proc.write_bytes(salt.payload.dumps(job))
        found = node.modules.racksalt_stage.outcome(jid)
        process.communicate(b"\n")
    assert found == {"status": "running"}
    assert node.modules.racksalt_stage.outcome(jid) == {"status": "unknown"}
