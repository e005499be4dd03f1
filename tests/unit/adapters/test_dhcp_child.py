"""A server kept alive as a child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from racksalt.adapters import dhcp_child
from racksalt.adapters.dhcp_child import Child, program, with_argument
from racksalt.model.errors import DhcpError
from tests.support.waiting import wait_for


@pytest.fixture
def child(tmp_path):
    """A server that says that it is up and sleeps."""
    mark = f"--mark={tmp_path}"
    code = "import time; print('up and serving', flush=True); time.sleep(600)"
    found = Child([sys.executable, "-c", code, mark], mark=mark, ready="up and")
    yield found
    found.stop()


def test_a_child_is_up_when_it_says_so(child):
    """And what it says can be read."""
    assert not child.started
    child.start()
    assert child.is_up(20)
    assert child.pid is not None
    assert wait_for(lambda: child.lines() == ["up and serving"], 20) is not None


def test_a_child_that_dies_is_told_and_started_again(child):
    """After a pause that grows while it dies again and again."""
    pauses = []
    for _ in range(3):
        if not child.started:
            child.start()
        assert child.is_up(20)
        old = child.pid
        os.kill(old, signal.SIGKILL)
        said = []
        assert wait_for(lambda said=said: said.append(child.tend()) or said[-1], 20) is not None
        assert "signal 9" in said[-1]
        pauses.append(child._pause_s)
        assert wait_for(lambda: child.tend() or child.pid, 20) is not None
        assert child.pid != old
    assert pauses == [dhcp_child.FIRST_PAUSE_S * factor for factor in (1, 2, 4)]


def test_a_child_that_cannot_start_says_why(tmp_path):
    """Its last line is in the message."""
    child = Child([sys.executable, "-c", "exit('no port')"], mark=str(tmp_path), ready="up")
    child.start()
    assert not child.is_up(20)
    assert wait_for(lambda: child.tail() == "no port", 20) is not None


def test_an_orphan_of_a_killed_service_is_ended_first(child):
    """It is known by an argument that only this server has."""
    with subprocess.Popen(child._argv, stdout=subprocess.DEVNULL) as orphan:
        assert wait_for(lambda: with_argument(child._mark) == [orphan.pid], 20) is not None
        child.start()
        assert orphan.wait(20) == -signal.SIGTERM
    assert with_argument(child._mark) == [child.pid]


def test_a_stopped_child_stays_stopped(child):
    """Nothing starts it again."""
    child.start()
    child.stop()
    assert child.tend() is None
    assert child.pid is None


def test_a_missing_program_is_told_with_its_package():
    """And how to install it."""
    with pytest.raises(DhcpError, match="apt-get install dnsmasq-base"):
        program("no-such-dnsmasq", "dnsmasq-base")
