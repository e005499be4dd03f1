from __future__ import annotations

import pytest

from racksalt.lab.bmc import Fate
from racksalt.lab.redfish_bmc import MAX_SESSIONS, SESSION_S, RedfishBmc, RefusedError
from tests.support.redfish_rig import Startable


class Clocked(RedfishBmc):
    """A BMC that carries its clock: a slotted class takes no further attribute."""


@pytest.fixture(name="bmc")
def bmc_fixture():
    """A BMC whose clock stands."""
    now = [0.0]
    made = Clocked("n1", Startable(), "admin", "secret", clock=lambda: now[0])
    made.now = now
    return made


def test_sessions_are_few_and_end_by_themselves(bmc):
    """The ninth is refused as long as the others live."""
    tokens = [bmc.log_in("admin", "secret")[1] for _ in range(MAX_SESSIONS)]
    with pytest.raises(RefusedError) as caught:
        bmc.log_in("admin", "secret")
    assert caught.value.kind == "SessionLimitExceeded"
    bmc.now[0] += SESSION_S + 1
    assert not bmc.knows(tokens[0], None)
    bmc.log_in("admin", "secret")


@pytest.mark.parametrize(
    ("username", "password"), [("admin", "wrong"), ("other", "secret"), (None, None)]
)
def test_only_the_owner_gets_in(bmc, username, password):
    """By session or by password with each request."""
    with pytest.raises(RefusedError):
        bmc.log_in(username, password)
    assert not bmc.knows(None, (str(username), str(password)))
    assert not bmc.knows("guess", ("admin", "secret"))
    assert bmc.knows(None, ("admin", "secret"))


def test_readings_lie_as_the_fate_wants(bmc):
    """The machine itself is not touched by it."""
    bmc.machine.power_on()
    assert bmc.power_state() == "On"
    bmc.fate = Fate(says="off")
    assert bmc.power_state() == "Off"
    bmc.fate = Fate(lie_rate=0.25)
    lies = [bmc.power_state() for _ in range(400)].count("Off")
    assert 60 < lies < 140
    assert bmc.machine.power == "on"


def test_an_update_for_something_else_fails(bmc):
    """Neither junk nor an image for another target is written."""
    for image, targets in ((b"junk", []), (b'{"target": "bmc", "version": "2"}', ["bios"])):
        task = bmc.begin_update()
        bmc.finish_update(task, image, targets)
        assert task.state == "Exception"
    assert bmc.firmware["bmc"] == "1.0.0"


def test_firmware_of_the_bmc_itself_runs_at_once(bmc):
    """Only the BIOS needs a start of the machine."""
    task = bmc.begin_update()
    bmc.finish_update(task, b'{"target": "bmc", "version": "2"}', [])
    assert (task.state, bmc.firmware["bmc"]) == ("Completed", "2")
