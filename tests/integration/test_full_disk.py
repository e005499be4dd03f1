"""The disk of the database is full for a while, with a fleet on its way: nothing is lost, and all goes on by itself."""

from __future__ import annotations

import subprocess
import time

import httpx
import pytest

from racksalt.bootstrap import open_app
from racksalt.doctor import examine
from racksalt.lab.fleet import prepare
from racksalt.lab.installation import start_lab, start_server
from racksalt.lab.processes import answers
from racksalt.model.errors import StoreError
from tests.support.builders import an_event
from tests.support.conductors import states
from tests.support.fakes import wait_for

pytestmark = [pytest.mark.daemons, pytest.mark.needs(root=True)]
NAMES = [f"n{number:05d}" for number in range(1, 61)]
DISK, PIECE = "48m", 4096
FULL_S = 6.0


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk):
    """Write until nothing more fits; return the file that takes the room."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (PIECE * 256, PIECE):
            with pytest.raises(OSError, match="No space left"):
                endless(file, size)
    return filler


def endless(file, size):
    """Write until it fails."""
    while True:
        file.write(b"\0" * size)


def refused(app):
    """Say what a write of this process is told, if it fails."""
    try:
        app.conductor.handle_wait(an_event("approve", NAMES[0], "operator", at=time.time()))
    except StoreError as error:
        return str(error)
    return None


def writes(settings):
    """Say what the doctor finds of the database: reading it works all the time."""
    found = {finding.check: finding.ok for finding in examine(settings)}
    assert found["database"]
    return found["writing"]


def health(api):
    """Ask as a load balancer does."""
    return httpx.get(f"http://{api.host}:{api.port}/healthz", timeout=10)


@pytest.mark.timeout(240)
def test_a_full_disk_loses_nobody(disk):
    """Writes fail with a clear error and reads go on; with room again, all get to ready with no command."""
    installation = prepare(disk, NAMES, "simulated")
    app = open_app(installation.settings)
    api = installation.settings.boot_api
    pace = ("--post-s", "0.5", "--stage-s", "0.5", "--no-logs")
    try:
        app.operations.declare()
        with start_server(installation, "--conductor") as server:
            server.wait_until(lambda: answers(api.host, api.port), "answering", 60)
            with start_lab(installation, "--link", installation.settings.simulated, *pace) as lab:
                app.operations.run("commission", NAMES, "somebody", goal="ready")
                wait_for(lambda: app.store.head() > 8 * len(NAMES), 60, "the fleet on its way")
                filler = fill(disk)
                told = wait_for(lambda: fill(disk) and refused(app), 60, "a write that fails")
                assert "full" in told
                assert states(app.store)["ready"] < len(NAMES)
                before = app.store.head()
                time.sleep(FULL_S)
                assert len(app.operations.list_nodes()) == len(NAMES), "reads go on"
                assert app.store.head() == before
                assert not writes(installation.settings)
                assert health(api).status_code == 503
                filler.unlink()
                wait_for(lambda: writes(installation.settings), 10, "the doctor's consent")
                wait_for(lambda: health(api).status_code == 200, 10, "the boot API's health")
                wait_for(lambda: states(app.store)["ready"] == len(NAMES), 120, "all of them ready")
                assert server.alive()
                assert lab.alive()
        assert app.operations.replay() == dict.fromkeys(NAMES, "ready")
        assert app.store.count("outbox") == 0
    finally:
        app.close()
