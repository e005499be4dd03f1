"""Machines that misbehave, against the real boot API, conductor, IPMI and database: who gets there, and who parks."""

from __future__ import annotations

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
    "lossy-bmc",
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
PATIENCE = {"deadline_factor": 0.03, "power_sweep_s": 2.0, "start_grace_s": 1.0}


def test_no_fate_is_forgotten():
    """Every fate of the table is expected to end somewhere."""
    assert {fate.name for fate in FATES} == {*READY, *PARKED, NOT_DECLARED} - {""}


@pytest.mark.daemons
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_each_fate_ends_where_it_should(short_root):
    """Passing trouble is overcome with no command from a person; lasting trouble parks and says why."""
    good = ["plain", *(f"m-{fate}" for fate in READY if fate)]
    bad = {f"m-{fate}": word for fate, word in PARKED.items()}
    names = [*good, *bad]
    installation = prepare(short_root, names, "ipmi", conductor=PATIENCE)
    api = installation.settings.boot_api
    machines = ("--link", installation.settings.simulated, "--stage-s", "0.2", "--post-s", "0.3")
    app = open_app(installation.settings)
    try:
        app.operations.declare()
        with (
            start_server(installation, "--conductor") as server,
            start_lab(installation, *machines, "--extra", "x-imposter") as lab,
        ):
            server.wait_until(lambda: answers(api.host, api.port), "answering", 60)
            assert not app.operations.run("commission", names, "test", goal="ready")["refused"]
            settled = {"ready", "problem"}
            done = wait_for(lambda: set(states_of(app).values()) <= settled, 400, every_s=0.5)
            states = states_of(app)
            assert done is not None, {
                n: app.operations.why(n) for n, s in states.items() if s not in settled
            }
            wrong = {n: app.operations.why(n) for n in good if states[n] != "ready"}
            assert not wrong
            for name, word in bad.items():
                why = app.operations.why(name)
                assert states[name] == "problem"
                assert word in f"{why['reason']}", why
            assert "x-imposter" not in states
            assert lab.say("status")["x-imposter"]["environment"] is None
            assert app.operations.replay() == states
    finally:
        app.close()
