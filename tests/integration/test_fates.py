"""Machines that misbehave, against the real boot API, conductor, IPMI and database: who gets there, and who parks."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from racksalt.bootstrap import open_app
from racksalt.lab.fates import FATES
from racksalt.lab.fleet import prepare
from racksalt.lab.installation import start_lab, start_server
from racksalt.lab.processes import answers
from racksalt.lab.rack import states_of
from tests.support.waiting import wait_for

# What becomes of each, and a word that the reason must have.
READY = (
    "",
    "flaky-stage",
    "slow-bmc",
    "lying-bmc",
    "flapping-power",
    "no-dhcp",
    "hangs-once",
    "slow-boot",
    "rude",
)
PARKED = {
    "bad-disk": "failing",
    "dead-bmc": "deadline",
    "full-bmc": "deadline",
    "stuck-bmc": "deadline",
    "never-boots": "deadline",
}
NOT_DECLARED = "imposter"
LOSSY = "lossy-bmc"
"""Gets there too, but by luck of the dice may need longer than the short deadlines of the others."""
PATIENCE = {"deadline_factor": 0.03, "power_sweep_s": 2.0, "start_grace_s": 1.0}


def test_no_fate_is_forgotten():
    """Every fate of the table is expected to end somewhere."""
    assert {fate.name for fate in FATES} == {*READY, *PARKED, NOT_DECLARED, LOSSY} - {""}


@contextmanager
def running(root, names, *machines, **conductor):
    """Run these nodes' machines with a conductor and the APIs, all sent on their way; give the app and the lab."""
    installation = prepare(root, names, "ipmi", conductor={**PATIENCE, **conductor})
    api = installation.settings.boot_api
    quick = ("--link", installation.settings.simulated, "--stage-s", "0.2", "--post-s", "0.3")
    app = open_app(installation.settings)
    try:
        app.operations.declare()
        with (
            start_server(installation, "--conductor") as server,
            start_lab(installation, *quick, *machines) as lab,
        ):
            server.wait_until(lambda: answers(api.host, api.port), "answering", 60)
            assert not app.operations.run("commission", names, "test", goal="ready")["refused"]
            yield app, lab
    finally:
        app.close()


def settled(app, timeout_s):
    """Wait until all nodes rest; return their states, or fail with what the others wait for."""
    rest = {"ready", "problem"}
    done = wait_for(lambda: set(states_of(app).values()) <= rest, timeout_s, every_s=0.5)
    states = states_of(app)
    assert done is not None, {n: app.operations.why(n) for n, s in states.items() if s not in rest}
    return states


@pytest.fixture(scope="module")
def lossy(shared_short_root):
    """The lossy machine in a rack of its own, which goes its way while the others of this file go theirs."""
    with running(shared_short_root, [f"m-{LOSSY}"], deadline_factor=0.3) as (app, _lab):
        yield app


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.usefixtures("lossy")
def test_each_fate_ends_where_it_should(short_root):
    """Passing trouble is overcome with no command from a person; lasting trouble parks and says why."""
    good = ["plain", *(f"m-{fate}" for fate in READY if fate)]
    bad = {f"m-{fate}": word for fate, word in PARKED.items()}
    names = [*good, *bad]
    with running(short_root, names, "--extra", "x-imposter") as (app, lab):
        states = settled(app, 400)
        wrong = {n: app.operations.why(n) for n in good if states[n] != "ready"}
        assert not wrong
        for name, word in bad.items():
            why = app.operations.why(name)
            assert states[name] == "problem"
            assert word in f"{why['reason']}", why
        assert "x-imposter" not in states
        assert lab.say("status")["x-imposter"]["environment"] is None
        assert app.operations.replay() == states


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_bmc_that_loses_packets_costs_only_time(lossy):
    """Three of ten each way: every exchange is tried again, and what may have been done is looked at first."""
    node = f"m-{LOSSY}"
    assert settled(lossy, 400) == {node: "ready"}, lossy.operations.why(node)
