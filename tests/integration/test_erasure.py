"""An erasure from the job on a real minion to the signed certificate, by the conductor in a real master."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
import salt.utils.jid

from racksalt.adapters.salt_jobs import SaltJobs
from racksalt.conductor.ports import JobRequest
from racksalt.lab.hardware import make_hardware
from racksalt.lab.rack import Rack
from tests.support.salt_daemons import a_minion
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # Salt's request channel leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def rack():
    """A master with the conductor, and a node that nobody has worked on yet."""
    root = Path(tempfile.mkdtemp(prefix="re-", dir="/tmp"))
    with Rack(root) as rack:
        rack.use_nodes(["m1"])
        rack.master.start()
        rack.master.wait_ready()
        yield rack
    shutil.rmtree(root, ignore_errors=True)


def _machine(rack):
    """Return a virtual machine's minion configuration, with data on its disk."""
    disk, hardware = rack.root / "disk", rack.root / "hardware.json"
    disk.mkdir()
    (disk / "secret").write_text("customer data")
    hardware.write_text(json.dumps(make_hardware("m1")))
    url = "http://127.0.0.1:9"
    named = {"node": "m1", "url": url, "token": "f" * 64, "environment": "live"}
    return disk, {**named, "hardware_file": str(hardware), "target_root": str(disk)}


def test_a_retired_nodes_erasure_ends_in_a_certificate(rack):
    """The stage's result is taken from the job cache; disk and serial are in the text, the signature is good."""
    disk, settings = _machine(rack)
    jid = salt.utils.jid.gen_jid({})
    with a_minion(rack, "m1", cache_jobs=True, racksalt=settings):
        jobs, app = SaltJobs(rack.master.opts), rack.open()
        try:
            assert wait_for(lambda: jobs.answering({"m1": 0}, 2.0), 60, every_s=0) is not None
            node, now = app.store.node("m1"), time.time()
            with app.store.write() as tx:
                given = {"state": "retiring", "stage": "erase", "job": jid, "approved": True}
                given |= {"job_since": now, "deadline_at": now + 300, "version": node.version + 1}
                tx.update_nodes([(replace(node, **given), node.version)])
            jobs.submit([JobRequest(jid=jid, node="m1", stage="erase", sls="stages.erase")])
            assert wait_for(lambda: app.store.node("m1").state == "retired", 60) is not None
            found = app.operations.erase_certificates("m1")
        finally:
            app.close()
            jobs._client.forget()
    assert list(disk.iterdir()) == []
    assert [(one["id"], one["good"]) for one in found] == [(jid, True)]
    told = found[0]["erasure"]["disks"][0]
    assert told["serial"] == make_hardware("m1")["disks"][0]["serial"]
    assert told["bytes"] == len("customer data")
